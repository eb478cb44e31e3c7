//! A client of databases under test.

#![allow(dead_code, unreachable_pub, reason = "not every test needs all of it")]
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use larder_core::{Blocking, SharedBackend};
use larder_sql::{SqlBackend, SqlBuilder};
use larder_testkit::servers::Server;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The backend, for callers without a runtime of their own.
pub fn open(builder: SqlBuilder) -> Blocking {
    open_backend(builder.build().unwrap())
}

pub fn open_backend(backend: SqlBackend) -> Blocking {
    let backend = SharedBackend::new(backend);
    Blocking::run_by(backend, |future| RUNTIME.block_on(future))
}

/// A database of each kind.
pub enum Place {
    File(TempDir),
    Server(Server),
}

impl Place {
    /// One of each kind, nothing in them.
    pub fn all() -> [Self; 3] {
        [
            Self::file(),
            Self::Server(Server::postgres()),
            Self::Server(Server::mariadb()),
        ]
    }

    pub fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(folder) => Some(folder.path().join("cache.db")),
            Self::Server(_) => None,
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::File(_) => format!("sqlite:///{}", self.path().unwrap().display()),
            Self::Server(server) => server.sql_url(),
        }
    }

    pub fn builder(&self) -> SqlBuilder {
        SqlBackend::at(self.url())
    }

    /// Makes statements without the backend under test.
    pub fn execute(&self, sql: &str) {
        RUNTIME.block_on(async {
            match self {
                Self::File(_) => {
                    let connection = rusqlite::Connection::open(self.path().unwrap()).unwrap();
                    connection.execute_batch(sql).unwrap();
                }
                Self::Server(server) if server.sql_url().starts_with("postgres") => {
                    postgres::execute(&server.sql_url(), sql).await;
                }
                Self::Server(server) => mysql::execute(&server.sql_url(), sql).await,
            }
        });
    }

    /// The rows that a statement finds, with a text in each column.
    pub fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        RUNTIME.block_on(async {
            match self {
                Self::File(_) => sqlite_rows(&self.path().unwrap(), sql),
                Self::Server(server) if server.sql_url().starts_with("postgres") => {
                    postgres::ask(&server.sql_url(), sql).await
                }
                Self::Server(server) => mysql::ask(&server.sql_url(), sql).await,
            }
        })
    }
}

fn sqlite_rows(file: &std::path::Path, sql: &str) -> Vec<Vec<String>> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|n| row.get(n)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

/// The same for each kind of server.
macro_rules! client {
    ($name:ident, $connection:ty) => {
        mod $name {
            use sqlx::{AssertSqlSafe, Connection, Row, query, raw_sql};

            type Client = $connection;

            pub async fn execute(url: &str, sql: &str) {
                let mut client = Client::connect(url).await.unwrap();
                raw_sql(AssertSqlSafe(sql))
                    .execute(&mut client)
                    .await
                    .unwrap();
            }

            pub async fn ask(url: &str, sql: &str) -> Vec<Vec<String>> {
                let mut client = Client::connect(url).await.unwrap();
                let rows = query(AssertSqlSafe(sql))
                    .fetch_all(&mut client)
                    .await
                    .unwrap();
                let texts = rows
                    .iter()
                    .map(|row| (0..row.len()).map(|n| row.get(n)).collect());
                texts.collect()
            }
        }
    };
}

client!(postgres, sqlx::PgConnection);
client!(mysql, sqlx::MySqlConnection);

/// Where a proxy listens, in a URL of a server.
pub fn through(url: &str, server: SocketAddr, proxy: SocketAddr) -> String {
    url.replace(&server.to_string(), &proxy.to_string())
}
