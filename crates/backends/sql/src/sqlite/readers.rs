//! Connections that read. Reads wait in a line, and a few workers take from it until it is
//! empty: while there are many callers, no thread goes to sleep between two of them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::{errors, open_to_read, rows};
use crate::database::Read;
use crate::statement::Statement;

/// Callers that wait at most in the line; more wait for a place.
const QUEUE: usize = 1_024;

/// A read, given a connection or the reason why there is none.
type Job = Box<dyn FnOnce(Result<&Connection, Error>) + Send>;

/// A line of reads and who works on it.
pub(super) struct Readers {
    file: PathBuf,
    patience: Duration,
    max_workers: usize,
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    line: VecDeque<Job>,
    workers: usize,
    resting: Vec<Connection>,
}

impl Readers {
    pub(super) fn new(file: PathBuf, patience: Duration, max_workers: usize) -> Arc<Self> {
        Arc::new(Self {
            file,
            patience,
            max_workers,
            places: Semaphore::new(QUEUE),
            state: Mutex::default(),
        })
    }

    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        statement: Statement,
        read: Read<T>,
    ) -> Result<Vec<T>> {
        let _place = self.places.acquire().await.expect("it is never closed");
        let (reply, done) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever has lost patience needs no answer.
            if !reply.is_closed() {
                let found = connection.and_then(|connection| {
                    rows(connection, &statement, read).map_err(errors::said)
                });
                let _ = reply.send(found);
            }
        });
        if self.put(job) {
            let worker = Worker {
                readers: Arc::clone(self),
                is_over: false,
            };
            drop(tokio::task::spawn_blocking(move || worker.work()));
        }
        done.await.map_err(|error| {
            let message = "the runtime ended before the file was read";
            Error::new(ErrorKind::Unavailable, message).with_source(error)
        })?
    }

    /// Puts a read into the line; whether somebody else should begin to work.
    fn put(&self, job: Job) -> bool {
        let mut state = self.state.lock();
        state.line.push_back(job);
        let is_one_more = state.workers < self.max_workers;
        state.workers += usize::from(is_one_more);
        is_one_more
    }

    /// Works until the line is empty.
    fn work(&self) {
        let mut connection = self.state.lock().resting.pop();
        while let Some(job) = self.next(&mut connection) {
            match &connection {
                Some(connection) => job(Ok(connection)),
                None => match open_to_read(&self.file, self.patience) {
                    Ok(opened) => job(Ok(connection.insert(opened))),
                    Err(error) => job(Err(errors::said(error))),
                },
            }
        }
    }

    /// The next in the line; if there is none the connection rests, and so does the worker.
    fn next(&self, connection: &mut Option<Connection>) -> Option<Job> {
        let mut state = self.state.lock();
        let next = state.line.pop_front();
        if next.is_none() {
            state.workers -= 1;
            state.resting.extend(connection.take());
        }
        next
    }
}

/// A worker of the line. The runtime may end before it has begun: then the next one does
/// what it would have done.
struct Worker {
    readers: Arc<Readers>,
    is_over: bool,
}

impl Worker {
    fn work(mut self) {
        self.readers.work();
        self.is_over = true;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.is_over {
            self.readers.state.lock().workers -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_never_began_makes_room_for_another() {
        let readers = Readers::new("unused.db".into(), Duration::from_secs(1), 1);
        assert!(readers.put(Box::new(|_| {})), "the first needs a worker");
        assert!(!readers.put(Box::new(|_| {})), "there is one");
        drop(Worker {
            readers: Arc::clone(&readers),
            is_over: false,
        });
        assert!(readers.put(Box::new(|_| {})), "there is none any more");
    }
}
