//! The thread that writes. What came while it was busy it writes in one transaction, so
//! that many callers pay for one.

use std::path::Path;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result, Retry};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{errors, open, prepare};
use crate::statement::{Outcome, Statement};

/// Callers that wait at most; more wait for a place.
const QUEUE: usize = 1_024;
/// Changes in one transaction at most.
const GROUP: usize = 256;

/// Rows that one transaction changes when much is removed.
const MANY: u64 = 500;

/// A change and whoever waits for it.
struct Job {
    statements: Vec<Statement>,
    reply: oneshot::Sender<Result<Vec<Outcome>>>,
}

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl Writer {
    /// Opens the file, or makes it, and starts the thread.
    pub(super) fn start(file: &Path, patience: Duration) -> Result<Self> {
        let connection = open_to_write(file, patience).map_err(errors::said)?;
        let (sender, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("larder-sqlite".to_owned());
        let started = thread.spawn(move || work(&connection, jobs));
        started.map_err(|error| {
            let message = format!("cannot start a thread: {error}");
            Error::new(ErrorKind::Unavailable, message).with_source(error)
        })?;
        Ok(Self(sender))
    }

    pub(super) async fn write(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>> {
        let (reply, done) = oneshot::channel();
        let gone = || Error::new(ErrorKind::Unavailable, "the thread that writes has ended");
        let sent = self.0.send(Job { statements, reply }).await;
        sent.map_err(|_unsent| gone())?;
        done.await.map_err(|error| gone().with_source(error))?
    }
}

fn open_to_write(file: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    let connection = open(file, patience)?;
    // Says nothing in a file that has tables already.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // The file is whole whatever ends; when the power goes, the last changes may be lost.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(connection)
}

fn work(connection: &Connection, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        // Nobody waits for these any more, and none has begun.
        group.retain(|job| !job.reply.is_closed());
        if group.is_empty() {
            continue;
        }
        let done = commit(connection, &group);
        let changed: u64 = done
            .iter()
            .flatten()
            .flatten()
            .map(|outcome| outcome.changed)
            .sum();
        for (job, outcome) in group.into_iter().zip(done) {
            // Whoever is gone needs no answer.
            let _ = job.reply.send(outcome);
        }
        if changed >= MANY {
            // Gives back what was perhaps removed; if it cannot now, another time.
            let _ = connection.execute_batch("PRAGMA incremental_vacuum(1000)");
        }
    }
    // Planning of later statements profits; nothing is lost without.
    let _ = connection.execute_batch("PRAGMA optimize");
}

/// Makes all changes in one transaction. One that fails does not fail the others.
fn commit(connection: &Connection, group: &[Job]) -> Vec<Result<Vec<Outcome>>> {
    let all = |error: &Error| group.iter().map(|_| Err(error.clone())).collect();
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        return all(&errors::said(error));
    }
    let done: Vec<_> = group
        .iter()
        .map(|job| change(connection, &job.statements).map_err(errors::said))
        .collect();
    // Some failures end the transaction, as a full disk does.
    let committed = if connection.is_autocommit() {
        let message = "SQLite gave up the transaction that this was in";
        Err(Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe))
    } else {
        connection.execute_batch("COMMIT").map_err(errors::said)
    };
    match committed {
        Ok(()) => done,
        Err(error) => {
            // If it has ended already there is nothing to take back.
            let _ = connection.execute_batch("ROLLBACK");
            all(&error)
        }
    }
}

/// Makes one change: all its statements or none.
fn change(connection: &Connection, statements: &[Statement]) -> rusqlite::Result<Vec<Outcome>> {
    if let [statement] = statements {
        return Ok(vec![execute(connection, statement, 0)?]);
    }
    connection.execute_batch("SAVEPOINT change")?;
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(statements.len());
    for statement in statements {
        let before = outcomes.last().map_or(0, |outcome| outcome.changed);
        match execute(connection, statement, before) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                connection.execute_batch("ROLLBACK TO change; RELEASE change")?;
                return Err(error);
            }
        }
    }
    connection.execute_batch("RELEASE change")?;
    Ok(outcomes)
}

fn execute(
    connection: &Connection,
    statement: &Statement,
    changed_before: u64,
) -> rusqlite::Result<Outcome> {
    let mut prepared = prepare(connection, statement, changed_before)?;
    if statement.tells_number {
        let mut rows = prepared.raw_query();
        let number = match rows.next()? {
            Some(row) => Some(row.get(0)?),
            None => None,
        };
        // Only at its end the statement has been done.
        while rows.next()?.is_some() {}
        return Ok(Outcome {
            changed: number.is_some().into(),
            number,
        });
    }
    let changed = prepared.raw_execute()?;
    Ok(Outcome {
        changed: changed as u64,
        number: None,
    })
}
