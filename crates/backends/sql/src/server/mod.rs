//! Databases that are servers: their connections, and what is repeated when one is lost.

mod errors;
#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(feature = "postgres")]
pub(crate) mod news;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, Result, Retry};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::database::Read;
use crate::statement::{Outcome, Statement};
use errors::{Failure, not_connected, too_busy, too_slow};

/// A connection that rested longer is asked for a sign of life before it is used.
const FRESH: Duration = Duration::from_millis(1);
/// How often a change is tried that stands in the way of another one.
const MOST_TRIES: u32 = 8;

/// Talking to one kind of server.
pub(crate) trait Driver: Send + Sync + 'static {
    type Connection: Send;

    /// Where it connects to, as messages say it.
    fn address(&self) -> String;

    fn connect(&self) -> impl Future<Output = sqlx::Result<Self::Connection>> + Send;

    /// Asks for a sign of life.
    fn ping(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;

    fn read<T: Send>(
        connection: &mut Self::Connection,
        statement: &Statement,
        read: Read<T>,
    ) -> impl Future<Output = sqlx::Result<Vec<T>>> + Send;

    /// All statements in one transaction.
    fn write(
        connection: &mut Self::Connection,
        statements: &[Statement],
    ) -> impl Future<Output = sqlx::Result<Vec<Outcome>>> + Send;
}

/// How connections are used.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) connect_timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A server with a bounded number of connections to it.
pub(crate) struct Server<D: Driver> {
    driver: D,
    link: Link,
    permits: Semaphore,
    /// The last one used is the first one used again.
    idle: Mutex<Vec<Idle<D::Connection>>>,
}

struct Idle<C> {
    connection: C,
    since: Duration,
}

/// A connection in use. Whatever ends its use early ends it.
struct Held<'a, C> {
    connection: C,
    is_new: bool,
    _permit: SemaphorePermit<'a>,
}

/// What comes after an exchange.
enum Next<T> {
    Done(Result<T>),
    Again,
}

impl<D: Driver> Server<D> {
    pub(crate) fn new(driver: D, link: Link) -> Self {
        Self {
            permits: Semaphore::new(link.max_connections),
            idle: Mutex::default(),
            driver,
            link,
        }
    }

    pub(crate) async fn read<T: Send>(
        &self,
        statement: &Statement,
        read: Read<T>,
    ) -> Result<Vec<T>> {
        loop {
            let mut held = self.hold().await?;
            let outcome = D::read(&mut held.connection, statement, read).await;
            if let Next::Done(done) = self.settle(held, outcome, Retry::Safe, MOST_TRIES) {
                return done;
            }
        }
    }

    pub(crate) async fn write(&self, statements: &[Statement]) -> Result<Vec<Outcome>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut held = self.hold().await?;
            let outcome = D::write(&mut held.connection, statements).await;
            let next = self.settle(held, outcome, Retry::MaybeApplied, tries);
            if let Next::Done(done) = next {
                return done;
            }
        }
    }

    /// A connection that works, as far as can be known.
    async fn hold(&self) -> Result<Held<'_, D::Connection>> {
        let permit = self.permits.acquire().await;
        let permit = permit.expect("it is never closed");
        loop {
            let rested = self.idle.lock().pop();
            let Some(Idle {
                mut connection,
                since,
            }) = rested
            else {
                break;
            };
            let rest = self.link.clock.elapsed().saturating_sub(since);
            if rest < FRESH || D::ping(&mut connection).await.is_ok() {
                return Ok(Held {
                    connection,
                    is_new: false,
                    _permit: permit,
                });
            }
        }
        let connecting = tokio::time::timeout(self.link.connect_timeout, self.driver.connect());
        let address = self.driver.address();
        let connected = connecting.await.map_err(|_late| too_slow(&address))?;
        let connection = connected.map_err(|error| not_connected(&address, error))?;
        Ok(Held {
            connection,
            is_new: true,
            _permit: permit,
        })
    }

    /// Puts a connection back if it is good, and tells whether to try again.
    fn settle<T>(
        &self,
        held: Held<'_, D::Connection>,
        outcome: sqlx::Result<T>,
        if_lost: Retry,
        tries: u32,
    ) -> Next<T> {
        let failure = match outcome {
            Ok(done) => {
                self.rest(held);
                return Next::Done(Ok(done));
            }
            Err(error) => Failure::of(&self.driver.address(), error),
        };
        match failure {
            // An old connection may have been lost long ago; a new one was not.
            Failure::Lost(error) => match if_lost {
                Retry::Safe if !held.is_new => Next::Again,
                _ => Next::Done(Err(error.with_retry(if_lost))),
            },
            Failure::InTheWay => {
                self.rest(held);
                if tries < MOST_TRIES {
                    return Next::Again;
                }
                Next::Done(Err(too_busy(&self.driver.address())))
            }
            Failure::Refused(error) => {
                self.rest(held);
                Next::Done(Err(error))
            }
        }
    }

    fn rest(&self, held: Held<'_, D::Connection>) {
        let since = self.link.clock.elapsed();
        let connection = held.connection;
        self.idle.lock().push(Idle { connection, since });
    }
}

impl<D: Driver> fmt::Debug for Server<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.driver.address())
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}
