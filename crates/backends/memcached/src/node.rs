//! One server, and the connections to it.
//!
//! Requests wait in a line; workers, which have a connection each, send them. A connection
//! that was given up, or that the server has closed, is not used again.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result, Retry};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::connection::Connection;
use crate::errors::{lost, not_connected, runtime_ended, too_slow};
use crate::line::{Batch, Job, Line, Reply};
use crate::protocol::Command;

/// How long it is known what time it is at the server.
const CLOCK_KEPT: Duration = Duration::from_secs(60);

/// A connection that was used so lately is not looked at: that costs as much as half an
/// exchange.
const FRESH: Duration = Duration::from_millis(1);
/// Callers that wait at most in the line; more wait for a place.
const MOST_WAITING: usize = 4_096;

/// How to reach servers, whichever.
pub(crate) struct Link {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) tls: Option<TlsConnector>,
    /// User and password.
    pub(crate) user: Option<(String, String)>,
}

/// Why there is no answer.
#[derive(Clone)]
pub(crate) enum Failure {
    /// Nothing was sent.
    NotSent(Error),
    /// It was sent, or may have been.
    Lost(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::NotSent(error) | Self::Lost(error) => error,
        }
    }
}

/// One server.
pub(crate) struct Node {
    host: String,
    port: u16,
    name: String,
    link: Arc<Link>,
    line: Line,
    /// In the line.
    places: Semaphore,
    /// For connections.
    permits: Semaphore,
    /// The server's Unix time, and when it was asked.
    clock: Mutex<Option<(u64, Instant)>>,
}

impl Node {
    pub(crate) fn new((host, port): (String, u16), link: Arc<Link>) -> Self {
        Self {
            name: format!("{host}:{port}"),
            host,
            port,
            line: Line::default(),
            places: Semaphore::new(MOST_WAITING),
            permits: Semaphore::new(link.max_connections),
            clock: Mutex::default(),
            link,
        }
    }

    /// Until when an operation that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.link.timeout
    }

    /// Sends some commands in one go and waits for all answers.
    pub(crate) async fn run(self: &Arc<Self>, commands: &[&Command], deadline: Instant) -> Reply {
        let too_slow = || too_slow(&self.name);
        let place = timeout_at(deadline, self.places.acquire()).await;
        let _place = match place {
            Ok(place) => place.expect("it is never closed"),
            Err(_) => return Err(Failure::NotSent(too_slow())),
        };
        let (job, mut answers) = Job::new(commands, deadline);
        // Who is alone goes without a worker.
        if self.line.is_empty()
            && let Ok(_permit) = self.permits.try_acquire()
        {
            let mut kept = None;
            self.serve(Batch::of(job), &mut kept).await;
            if let Some(connection) = kept {
                self.line.keep(connection);
            }
            let reply = answers.try_recv();
            return reply.unwrap_or_else(|_| Err(Failure::Lost(too_slow())));
        }
        if self.line.put(job, self.link.max_connections) {
            tokio::spawn(Arc::clone(self).work());
        }
        match timeout_at(deadline, answers).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(Failure::Lost(runtime_ended())),
            // It may still be in the line; who knows.
            Err(_) => Err(Failure::Lost(too_slow())),
        }
    }

    /// Sends what is in the line, until it is empty.
    async fn work(self: Arc<Self>) {
        let mut worker = Worker {
            line: &self.line,
            is_over: false,
        };
        let permit = self.permits.acquire().await;
        let _permit = permit.expect("it is never closed");
        let mut kept = None;
        while let Some(batch) = self.line.next(&mut kept) {
            self.serve(batch, &mut kept).await;
        }
        worker.is_over = true;
    }

    /// Sends some requests on a connection, which is kept if it is still good.
    async fn serve(&self, mut batch: Batch, kept: &mut Option<Connection>) {
        let deadline = batch.deadline();
        let opened = match kept.take().or_else(|| self.kept()) {
            Some(connection) => Ok(connection),
            None => match timeout_at(deadline, self.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                return batch.fail(&Failure::NotSent(not_connected(&self.name, error)));
            }
        };
        match timeout_at(deadline, connection.run(&mut batch)).await {
            Ok(Ok(())) => *kept = Some(connection),
            Ok(Err(error)) => batch.fail(&Failure::Lost(lost(&self.name, error))),
            Err(_) => batch.fail(&Failure::Lost(too_slow(&self.name))),
        }
    }

    /// Sends a command whose answer is a list, and collects its lines up to the end.
    pub(crate) async fn lines(&self, command: &str, deadline: Instant) -> Result<Vec<String>> {
        let asking = async {
            let permit = self.permits.acquire().await;
            let _permit = permit.expect("it is never closed");
            let mut connection = match self.kept() {
                Some(connection) => connection,
                None => match self.connect().await {
                    Ok(connection) => connection,
                    Err(error) => return Err(not_connected(&self.name, error)),
                },
            };
            let lines = connection.lines(command).await;
            let lines = lines.map_err(|error| lost(&self.name, error))?;
            self.line.keep(connection);
            Ok(lines)
        };
        match timeout_at(deadline, asking).await {
            Ok(lines) => lines,
            Err(_) => Err(too_slow(&self.name)),
        }
    }

    /// What time it is at the server, in seconds of Unix.
    pub(crate) async fn time(&self, deadline: Instant) -> Result<u64> {
        let known = *self.clock.lock();
        if let Some((then, asked)) = known
            && asked.elapsed() < CLOCK_KEPT
        {
            return Ok(then + asked.elapsed().as_secs());
        }
        let asked = Instant::now();
        let stats = self.lines("stats", deadline).await?;
        let time = number_in(&stats, "time").ok_or_else(|| {
            let message = format!("{} does not tell what time it is", self.name);
            Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe)
        })?;
        *self.clock.lock() = Some((time, asked));
        Ok(time)
    }

    /// A connection that was kept and still stands.
    fn kept(&self) -> Option<Connection> {
        while let Some((connection, used)) = self.line.kept() {
            if used.elapsed() < FRESH || connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> io::Result<Connection> {
        let opened = Connection::open(&self.host, self.port, &self.link);
        let opened = timeout(self.link.connect_timeout, opened).await;
        opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A worker of a line, which may be dropped at any point.
struct Worker<'a> {
    line: &'a Line,
    is_over: bool,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.line.lose_worker();
        }
    }
}

/// The number that statistics say of something.
pub(crate) fn number_in(stats: &[String], what: &str) -> Option<u64> {
    stats.iter().find_map(|line| {
        let (name, number) = line.strip_prefix("STAT ")?.split_once(' ')?;
        (name == what).then(|| number.parse().ok()).flatten()
    })
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.name)
            .field("idle", &self.line.idle())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_dropped_makes_room_for_another() {
        let line = Line::default();
        let job = || Job::new(&[], Instant::now()).0;
        assert!(line.put(job(), 1), "the first needs a worker");
        assert!(!line.put(job(), 1), "there is one");
        drop(Worker {
            line: &line,
            is_over: false,
        });
        assert!(line.put(job(), 1), "there is none any more");
    }
}
