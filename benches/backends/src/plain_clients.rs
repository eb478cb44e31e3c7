//! The clients that backends are made of, used as their documentation shows.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use rusqlite::{Connection, params};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex as AsyncMutex;

use crate::client::Client;

/// As many connections as a backend has.
const CONNECTIONS: u32 = 10;

/// A map behind a lock: what memory costs at least.
#[derive(Default)]
pub(crate) struct Map(Mutex<std::collections::HashMap<String, Bytes>>);

impl Client for Map {
    async fn get(&self, key: &str) -> usize {
        usize::from(self.0.lock().get(key).cloned().is_some())
    }

    async fn set(&self, key: &str, value: Bytes) -> usize {
        self.0.lock().insert(key.to_owned(), value);
        1
    }

    async fn delete(&self, key: &str) -> usize {
        usize::from(self.0.lock().remove(key).is_some())
    }

    async fn get_many(&self, keys: &[&str]) -> usize {
        let map = self.0.lock();
        let found: Vec<(String, Bytes)> = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), map.get(*key)?.clone())))
            .collect();
        found.len()
    }
}

/// Files in a folder, by the names of the keys.
pub(crate) struct Files(pub(crate) Arc<Path>);

impl Files {
    async fn block<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> T {
        let path = self.0.join(key.replace(':', "_"));
        tokio::task::spawn_blocking(move || work(&path))
            .await
            .expect("it does not panic")
    }
}

impl Client for Files {
    async fn get(&self, key: &str) -> usize {
        self.block(key, |path| usize::from(std::fs::read(path).is_ok()))
            .await
    }

    async fn set(&self, key: &str, value: Bytes) -> usize {
        self.block(key, move |path| {
            usize::from(std::fs::write(path, value).is_ok())
        })
        .await
    }

    async fn delete(&self, key: &str) -> usize {
        self.block(key, |path| usize::from(std::fs::remove_file(path).is_ok()))
            .await
    }

    async fn get_many(&self, keys: &[&str]) -> usize {
        let mut found = 0;
        for key in keys {
            found += self.get(key).await;
        }
        found
    }
}

/// The multiplexed connection of the redis crate.
pub(crate) struct Redis(MultiplexedConnection);

impl Redis {
    pub(crate) async fn connect(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a legal URL");
        let connection = client.get_multiplexed_async_connection().await;
        Self(connection.expect("the server is there"))
    }
}

impl Client for Redis {
    async fn get(&self, key: &str) -> usize {
        let value: Option<Vec<u8>> = self.0.clone().get(key).await.expect("the server answers");
        usize::from(value.is_some())
    }

    async fn set(&self, key: &str, value: Bytes) -> usize {
        let set: () = self
            .0
            .clone()
            .set(key, &value[..])
            .await
            .expect("the server answers");
        let () = set;
        1
    }

    async fn delete(&self, key: &str) -> usize {
        self.0.clone().del(key).await.expect("the server answers")
    }

    async fn get_many(&self, keys: &[&str]) -> usize {
        let values: Vec<Option<Vec<u8>>> =
            self.0.clone().mget(keys).await.expect("the server answers");
        values.iter().flatten().count()
    }
}

/// The classic text protocol of Memcached, on connections of which each serves one caller.
pub(crate) struct Memcached(Vec<AsyncMutex<BufReader<TcpStream>>>);

impl Memcached {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address)
                .await
                .expect("the server is there");
            stream.set_nodelay(true).expect("a socket option");
            connections.push(AsyncMutex::new(BufReader::new(stream)));
        }
        Self(connections)
    }

    async fn one(&self, key: &str) -> tokio::sync::MutexGuard<'_, BufReader<TcpStream>> {
        for connection in &self.0 {
            if let Ok(free) = connection.try_lock() {
                return free;
            }
        }
        let number = key.bytes().map(usize::from).sum::<usize>() % self.0.len();
        self.0[number].lock().await
    }

    async fn values(&self, keys: &[&str]) -> usize {
        let mut connection = self.one(keys[0]).await;
        let sent = format!("get {}\r\n", keys.join(" "));
        connection
            .get_mut()
            .write_all(sent.as_bytes())
            .await
            .expect("the server reads");
        let (mut found, mut line) = (0, String::new());
        loop {
            line.clear();
            connection
                .read_line(&mut line)
                .await
                .expect("the server answers");
            if line == "END\r\n" {
                return found;
            }
            let length = line
                .trim_end()
                .rsplit(' ')
                .next()
                .and_then(|word| word.parse().ok());
            let length: usize = length.expect("a length");
            let mut value = vec![0; length + 2];
            connection
                .read_exact(&mut value)
                .await
                .expect("the server answers");
            found += 1;
        }
    }

    async fn said(&self, key: &str, sent: &[u8]) -> String {
        let mut connection = self.one(key).await;
        connection
            .get_mut()
            .write_all(sent)
            .await
            .expect("the server reads");
        let mut line = String::new();
        connection
            .read_line(&mut line)
            .await
            .expect("the server answers");
        line
    }
}

impl Client for Memcached {
    async fn get(&self, key: &str) -> usize {
        self.values(&[key]).await
    }

    async fn set(&self, key: &str, value: Bytes) -> usize {
        let mut sent = format!("set {key} 0 0 {}\r\n", value.len()).into_bytes();
        sent.extend_from_slice(&value);
        sent.extend_from_slice(b"\r\n");
        usize::from(self.said(key, &sent).await == "STORED\r\n")
    }

    async fn delete(&self, key: &str) -> usize {
        let sent = format!("delete {key}\r\n");
        usize::from(self.said(key, sent.as_bytes()).await == "DELETED\r\n")
    }

    async fn get_many(&self, keys: &[&str]) -> usize {
        self.values(keys).await
    }
}

/// rusqlite on the threads for what blocks, one connection for each of some callers.
pub(crate) struct Sqlite(Arc<[Mutex<Connection>]>);

impl Sqlite {
    pub(crate) fn open(file: &Path) -> Self {
        let open = |_| {
            let connection = Connection::open(file).expect("the folder is ours");
            connection
                .execute_batch(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                     PRAGMA busy_timeout = 5000; CREATE TABLE IF NOT EXISTS raw \
                     (cache_key TEXT NOT NULL PRIMARY KEY, content BLOB)",
                )
                .expect("legal statements");
            Mutex::new(connection)
        };
        Self((0..CONNECTIONS).map(open).collect())
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        let connections = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let free = connections
                .iter()
                .find_map(|connection| connection.try_lock());
            let connection = free.unwrap_or_else(|| connections[0].lock());
            work(&connection)
        });
        done.await
            .expect("it does not panic")
            .expect("legal statements")
    }
}

impl Client for Sqlite {
    async fn get(&self, key: &str) -> usize {
        let key = key.to_owned();
        self.with(move |connection| {
            let mut get =
                connection.prepare_cached("SELECT content FROM raw WHERE cache_key = ?")?;
            let mut rows = get.query([key])?;
            let value: Option<Vec<u8>> = rows.next()?.map(|row| row.get(0)).transpose()?;
            Ok(usize::from(value.is_some()))
        })
        .await
    }

    async fn set(&self, key: &str, value: Bytes) -> usize {
        let key = key.to_owned();
        self.with(move |connection| {
            let mut set = connection.prepare_cached(
                "INSERT INTO raw (cache_key, content) VALUES (?, ?) \
                 ON CONFLICT (cache_key) DO UPDATE SET content = excluded.content",
            )?;
            set.execute(params![key, &value[..]])
        })
        .await
    }

    async fn delete(&self, key: &str) -> usize {
        let key = key.to_owned();
        self.with(move |connection| {
            connection
                .prepare_cached("DELETE FROM raw WHERE cache_key = ?")?
                .execute([key])
        })
        .await
    }

    async fn get_many(&self, keys: &[&str]) -> usize {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        self.with(move |connection| {
            let places = vec!["?"; keys.len()].join(", ");
            let text = format!("SELECT cache_key, content FROM raw WHERE cache_key IN ({places})");
            let mut get = connection.prepare_cached(&text)?;
            let mut rows = get.query(rusqlite::params_from_iter(keys))?;
            let mut found: Vec<(String, Vec<u8>)> = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((row.get(0)?, row.get(1)?));
            }
            Ok(found.len())
        })
        .await
    }
}

/// The pools of sqlx, which differ in their words.
macro_rules! sqlx_pool {
    ($name:ident, $pool:ty, $options:ty, $key:literal, $bytes:literal, $upsert:literal, $place:expr) => {
        /// A pool of sqlx.
        pub(crate) struct $name($pool);

        impl $name {
            pub(crate) async fn connect(url: &str) -> Self {
                let options = <$options>::new()
                    .max_connections(CONNECTIONS)
                    .test_before_acquire(false);
                let pool = options.connect(url).await.expect("the server is there");
                let text = concat!(
                    "CREATE TABLE raw (cache_key ",
                    $key,
                    " PRIMARY KEY, content ",
                    $bytes,
                    ")"
                );
                sqlx::query(text)
                    .execute(&pool)
                    .await
                    .expect("a legal statement");
                Self(pool)
            }

            /// The texts of places for so many values.
            fn places(count: usize) -> String {
                let place: fn(usize) -> String = $place;
                (1..=count).map(place).collect::<Vec<_>>().join(", ")
            }
        }

        impl Client for $name {
            async fn get(&self, key: &str) -> usize {
                let text = format!(
                    "SELECT content FROM raw WHERE cache_key = {}",
                    Self::places(1)
                );
                let value: Option<(Vec<u8>,)> = sqlx::query_as(AssertSqlSafe(text))
                    .bind(key)
                    .fetch_optional(&self.0)
                    .await
                    .expect("the server answers");
                usize::from(value.is_some())
            }

            async fn set(&self, key: &str, value: Bytes) -> usize {
                let places = Self::places(2);
                let text = format!(
                    "INSERT INTO raw (cache_key, content) VALUES ({places}) {}",
                    $upsert
                );
                let done = sqlx::query(AssertSqlSafe(text)).bind(key).bind(&value[..]);
                done.execute(&self.0).await.expect("the server answers");
                1
            }

            async fn delete(&self, key: &str) -> usize {
                let text = format!("DELETE FROM raw WHERE cache_key = {}", Self::places(1));
                let done = sqlx::query(AssertSqlSafe(text))
                    .bind(key)
                    .execute(&self.0)
                    .await;
                usize::try_from(done.expect("the server answers").rows_affected()).unwrap_or(0)
            }

            async fn get_many(&self, keys: &[&str]) -> usize {
                let places = Self::places(keys.len());
                let text =
                    format!("SELECT cache_key, content FROM raw WHERE cache_key IN ({places})");
                let mut query = sqlx::query_as(AssertSqlSafe(text));
                for key in keys {
                    query = query.bind(key);
                }
                let found: Vec<(String, Vec<u8>)> =
                    query.fetch_all(&self.0).await.expect("the server answers");
                found.len()
            }
        }
    };
}

sqlx_pool!(
    Postgres,
    PgPool,
    PgPoolOptions,
    "TEXT",
    "BYTEA",
    "ON CONFLICT (cache_key) DO UPDATE SET content = excluded.content",
    |number| format!("${number}")
);
sqlx_pool!(
    MySql,
    MySqlPool,
    MySqlPoolOptions,
    "VARCHAR(255)",
    "LONGBLOB",
    "ON DUPLICATE KEY UPDATE content = VALUES(content)",
    |_| "?".to_owned()
);
