//! Settings of the SQL backend, checked when it is built.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, ConfigError, Result, SystemClock, settings};
#[cfg(any(feature = "mysql", feature = "postgres"))]
use sqlx::ConnectOptions;
#[cfg(feature = "mysql")]
use sqlx::mysql::MySqlConnectOptions;
#[cfg(feature = "postgres")]
use sqlx::postgres::PgConnectOptions;

use crate::address::Address;
use crate::audit::Audit;
use crate::backend::SqlBackend;
use crate::database::Database;
use crate::dialect::Dialect;
#[cfg(feature = "mysql")]
use crate::server::mysql::MySql;
#[cfg(feature = "postgres")]
use crate::server::postgres::Postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::server::{Link, Server};
#[cfg(feature = "sqlite")]
use crate::sqlite::Sqlite;
use crate::store::Store;
use crate::table::Table;

const DEFAULT_TABLE: &str = "cache_entries";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_MAX_CONNECTIONS: usize = 10;
const DEFAULT_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// 8 MiB: some servers take no more than 16 MiB at once.
const DEFAULT_MAX_VALUE_BYTES: usize = 8 << 20;
/// More than that no database takes.
const MOST_VALUE_BYTES: usize = 512 << 20;
/// Names of indexes are longer, and databases take up to 63 characters.
const MOST_NAME_BYTES: usize = 48;
const MOST_ACTOR_BYTES: usize = 256;

/// What operations go by.
pub(crate) struct Settings {
    pub(crate) prefix: String,
    pub(crate) default_ttl: Option<Duration>,
    pub(crate) max_value_bytes: usize,
    pub(crate) create_table: bool,
    pub(crate) timeout: Duration,
    /// Never with a clock that tests move.
    pub(crate) sweep_every: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Settings of a [`SqlBackend`].
///
/// Without any: the table `cache_entries`, made if it is missing, no prefix, no default
/// lifetime, 5 s to connect, 3 s for each statement, at most 10 connections, values up to
/// 8 MiB, a sweep each minute, no audit trail.
///
/// ```no_run
/// use larder_sql::SqlBackend;
/// use std::time::Duration;
///
/// let cache = SqlBackend::at("sqlite:///./cache.db")
///     .table("reports")
///     .key_prefix("shop")
///     .default_ttl(Duration::from_secs(7 * 86_400))
///     .audit("reporting-service")
///     .build()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[must_use]
pub struct SqlBuilder {
    address: Result<Address, ConfigError>,
    table: String,
    prefix: String,
    default_ttl: Option<Duration>,
    max_value_bytes: usize,
    create_table: bool,
    audit: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    max_connections: usize,
    sweep_every: Duration,
    clock: Option<Arc<dyn Clock>>,
}

impl SqlBuilder {
    pub(crate) fn at(url: &str) -> Self {
        Self::new(url.parse())
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite(file: PathBuf) -> Self {
        Self::new(Ok(Address::Sqlite(file)))
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn postgres(options: PgConnectOptions) -> Self {
        Self::new(Ok(Address::Postgres(options)))
    }

    #[cfg(feature = "mysql")]
    pub(crate) fn mysql(options: MySqlConnectOptions) -> Self {
        Self::new(Ok(Address::MySql(options)))
    }

    fn new(address: Result<Address, ConfigError>) -> Self {
        Self {
            address,
            table: DEFAULT_TABLE.to_owned(),
            prefix: String::new(),
            default_ttl: None,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            create_table: true,
            audit: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            sweep_every: DEFAULT_SWEEP_EVERY,
            clock: None,
        }
    }

    /// The name of the table: a letter or underscore, then letters, digits and underscores.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// What all keys of this cache begin with in the table; a `:` is put behind it if it
    /// has none. [`clear`](larder_core::CacheBackend::clear) and patterns stay within, so
    /// several caches can share a table.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long entries live unless told otherwise.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = Some(ttl);
        self
    }

    /// Most bytes of one value; larger ones are refused. MySQL and MariaDB have to be
    /// set to take as much at once (`max_allowed_packet`).
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Whether to make the table if it is missing, and to change it if it is of an older
    /// version. Needs the right to do so.
    pub fn create_table(mut self, may: bool) -> Self {
        self.create_table = may;
        self
    }

    /// Keeps a trail of all changes in a second table, whose name ends in `_audit`: when,
    /// who (this name), what, which key, and how many entries. It is only added to; what
    /// is too old there is for somebody else to remove.
    pub fn audit(mut self, actor: impl Into<String>) -> Self {
        self.audit = Some(actor.into());
        self
    }

    /// How long connecting may take.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long a statement may take, with connecting and trying again.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Most connections, at least 1; who needs another one waits. In SQLite this is about
    /// reading, one connection writes.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How often entries are removed that have ended, in batches of a thousand.
    pub fn sweep_every(mut self, pause: Duration) -> Self {
        self.sweep_every = pause;
        self
    }

    /// Where the time comes from. All programs that share a table should agree about it.
    ///
    /// With a clock of your own nothing happens in the background: call
    /// [`SqlBackend::sweep`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The backend. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](larder_core::ErrorKind::InvalidConfig) if a setting is out of
    /// range or the URL cannot be read.
    pub fn build(self) -> Result<SqlBackend> {
        self.check()?;
        let sweep_every = self.clock.is_none().then_some(self.sweep_every);
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        #[cfg(any(feature = "mysql", feature = "postgres"))]
        let link = Link {
            connect_timeout: self.connect_timeout.min(self.timeout),
            max_connections: self.max_connections,
            clock: Arc::clone(&clock),
        };
        let (dialect, database) = match self.address? {
            #[cfg(feature = "sqlite")]
            Address::Sqlite(file) => {
                let sqlite = Sqlite::new(file, self.timeout, self.max_connections);
                (Dialect::Sqlite, Database::Sqlite(sqlite))
            }
            #[cfg(feature = "postgres")]
            Address::Postgres(options) => {
                let driver = Postgres(options.disable_statement_logging());
                (
                    Dialect::Postgres,
                    Database::Postgres(Server::new(driver, link)),
                )
            }
            #[cfg(feature = "mysql")]
            Address::MySql(options) => {
                let driver = MySql(options.disable_statement_logging());
                (Dialect::MySql, Database::MySql(Server::new(driver, link)))
            }
        };
        let table = Table {
            dialect,
            name: self.table,
            audit: self.audit.map(|actor| Audit { actor }),
        };
        let settings = Settings {
            prefix: settings::with_colon(self.prefix),
            default_ttl: self.default_ttl,
            max_value_bytes: self.max_value_bytes,
            create_table: self.create_table,
            timeout: self.timeout,
            sweep_every,
            clock,
        };
        Ok(SqlBackend::new(Store::new(database, table, settings)))
    }

    fn check(&self) -> Result<(), ConfigError> {
        settings::check_times(&[
            ("connect_timeout", Some(self.connect_timeout)),
            ("timeout", Some(self.timeout)),
            ("default_ttl", self.default_ttl),
            ("sweep_every", Some(self.sweep_every)),
        ])?;
        settings::check_prefix(&self.prefix)?;
        if self.max_connections == 0 {
            return Err(ConfigError::new("max_connections", 0, "at least 1"));
        }
        if self.max_value_bytes > MOST_VALUE_BYTES {
            let allowed = format!("at most {MOST_VALUE_BYTES}");
            return Err(ConfigError::new(
                "max_value_bytes",
                self.max_value_bytes,
                allowed,
            ));
        }
        if !is_name(&self.table) {
            let allowed = format!(
                "a letter or underscore, then letters, digits and underscores, at most \
                 {MOST_NAME_BYTES}"
            );
            return Err(ConfigError::new(
                "table",
                format!("{:?}", self.table),
                allowed,
            ));
        }
        let is_actor = |actor: &String| {
            (1..=MOST_ACTOR_BYTES).contains(&actor.len()) && !actor.chars().any(char::is_control)
        };
        if self.audit.as_ref().is_some_and(|actor| !is_actor(actor)) {
            let allowed = format!("1 to {MOST_ACTOR_BYTES} bytes without control characters");
            return Err(ConfigError::new(
                "audit",
                format!("{:?}", self.audit),
                allowed,
            ));
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.len() <= MOST_NAME_BYTES
        && text.bytes().next().is_some_and(is_first)
        && text
            .bytes()
            .all(|byte| is_first(byte) || byte.is_ascii_digit())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("default_ttl", &self.default_ttl)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SqlBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither URL nor password.
        f.debug_struct("SqlBuilder")
            .field("table", &self.table)
            .field("prefix", &self.prefix)
            .field("default_ttl", &self.default_ttl)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: N1
    #[test]
    fn names_of_tables_are_words_and_nothing_else() {
        for name in ["cache_entries", "_x", "Order", &"a".repeat(48)] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "1a",
            "a-b",
            "a b",
            "a;DROP TABLE b",
            "a\"",
            "ä",
            "a.b",
            &"a".repeat(49),
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
