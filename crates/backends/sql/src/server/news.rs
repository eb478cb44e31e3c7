//! Messages between programs, over PostgreSQL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::backplane::{Backplane, Boxed, Heard, Listener};
use larder_core::{ConfigError, Error, ErrorKind, Result, Retry, SystemClock};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::postgres::Postgres;
use super::{Driver, Link, Server};
use crate::address::Address;
use crate::dialect::Dialect;
use crate::statement::Statement;

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// After so long without a message the server is asked for a sign of life.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Between two attempts to connect; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// What is heard and not taken yet, at most; then the server keeps it.
const MOST_UNTAKEN: usize = 1_024;
/// Connections that tell.
const MOST_CONNECTIONS: usize = 4;

/// Lets programs tell each other what changed, through a PostgreSQL database that they
/// share; nothing is stored in it.
///
/// Needs a tokio runtime. Connections are opened when they are needed; who listens has one
/// of its own.
///
/// ```no_run
/// use larder_sql::PostgresBackplane;
///
/// let backplane = PostgresBackplane::new("postgres://app@127.0.0.1/shop")?;
/// # Ok::<(), larder_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct PostgresBackplane(Arc<Server<Postgres>>);

impl PostgresBackplane {
    /// The backplane of a database.
    ///
    /// # Errors
    ///
    /// If the URL is none of PostgreSQL.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let address = url.parse::<Address>()?;
        #[allow(unreachable_patterns, reason = "there may be no other database")]
        let Address::Postgres(options) = address else {
            let allowed = "postgres://[user[:password]@]host[:port]/database";
            return Err(ConfigError::new("url", "of another database", allowed));
        };
        let link = Link {
            connect_timeout: TIMEOUT,
            max_connections: MOST_CONNECTIONS,
            clock: Arc::new(SystemClock::new()),
        };
        Ok(Self(Arc::new(Server::new(Postgres(options), link))))
    }
}

impl Backplane for PostgresBackplane {
    fn publish<'a>(&'a self, channel: &'a str, message: String) -> Boxed<'a, Result<()>> {
        let statement = Statement::new(Dialect::Postgres).sql("SELECT pg_notify(");
        let statement = statement.key(&name_of(channel)).sql(", ").key(&message);
        let statement = statement.sql(")");
        Box::pin(async move {
            // Who hears it twice knows it by its number.
            let told = self.0.read(&statement, |_| None::<()>);
            timeout(TIMEOUT, told).await.map_err(|_late| {
                let message = format!("no answer within {TIMEOUT:?}");
                Error::new(ErrorKind::Timeout, message).with_retry(Retry::MaybeApplied)
            })??;
            Ok(())
        })
    }

    fn listen(&self, channel: &str) -> Box<dyn Listener> {
        let (sender, heard) = mpsc::channel(MOST_UNTAKEN);
        let (server, name) = (Arc::clone(&self.0), name_of(channel));
        let task = tokio::spawn(async move { listen(&server, &name, &sender).await });
        Box::new(Ear {
            heard,
            task: task.abort_handle(),
        })
    }
}

impl fmt::Debug for PostgresBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresBackplane")
            .field(&self.0.driver.address())
            .finish()
    }
}

/// The side that hears.
#[derive(Debug)]
struct Ear {
    heard: mpsc::Receiver<Heard>,
    task: AbortHandle,
}

impl Listener for Ear {
    fn next(&mut self) -> Boxed<'_, Option<Heard>> {
        Box::pin(self.heard.recv())
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens until nobody wants to hear any more.
async fn listen(server: &Server<Postgres>, name: &str, sender: &mpsc::Sender<Heard>) {
    let mut pause = FIRST_PAUSE;
    while !sender.is_closed() {
        let opened = timeout(TIMEOUT, open(server, name)).await;
        let Ok(Ok(mut line)) = opened else {
            let _ = timeout(pause, sender.closed()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            continue;
        };
        pause = FIRST_PAUSE;
        let _ = sender.send(Heard::Listening).await;
        pass_on(&mut line, sender).await;
        let _ = sender.send(Heard::Lost).await;
    }
}

async fn open(server: &Server<Postgres>, name: &str) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.acquire_timeout(TIMEOUT);
    let pool = pool.connect_lazy_with(server.driver.0.clone());
    let mut line = PgListener::connect_with(&pool).await?;
    // It has to be known that something may be missed.
    line.eager_reconnect(false);
    line.listen(name).await?;
    Ok(line)
}

/// Passes on what is heard, until the connection ends or the server is silent.
async fn pass_on(line: &mut PgListener, sender: &mpsc::Sender<Heard>) {
    loop {
        match timeout(HEARTBEAT, line.try_recv()).await {
            Ok(Ok(Some(told))) => {
                let message = Heard::Message(told.payload().to_owned());
                if sender.send(message).await.is_err() {
                    return;
                }
            }
            Ok(Ok(None) | Err(_)) => return,
            Err(_silence) => {
                let alive = sqlx::query("SELECT 1").execute(&mut *line);
                if !matches!(timeout(TIMEOUT, alive).await, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}

/// The name of a channel in the database: short enough, whatever the channel is called.
fn name_of(channel: &str) -> String {
    // FNV-1a, the same for every program of every version.
    let hash = channel
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("larder_{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_have_the_same_name_for_ever() {
        assert_eq!(name_of(""), "larder_cbf29ce484222325");
        assert_eq!(name_of("a"), "larder_af63dc4c8601ec8c");
        assert_ne!(name_of(&"x".repeat(500)), name_of(&"x".repeat(501)));
    }

    #[test]
    fn only_postgres_will_do() {
        assert!(PostgresBackplane::new("postgres://app:pw@db/shop").is_ok());
        for bad in ["", "redis://db", "mysql://db/shop", "sqlite:///cache.db"] {
            let error = PostgresBackplane::new(bad).expect_err(bad);
            assert_eq!(error.field(), "url", "{bad}");
        }
    }
}
