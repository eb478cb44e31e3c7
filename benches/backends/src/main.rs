//! Compares the backends with the clients that they are made of, in one run and
//! interleaved; started by `cargo xtask bench backends`.

mod client;
mod measure;
mod plain_clients;

use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{CacheBackend, SharedBackend};
use larder_file::FileBackend;
use larder_memcached::MemcachedBackend;
use larder_memory::InMemoryBackend;
use larder_redis::RedisBackend;
use larder_sql::SqlBackend;
use larder_testkit::servers::Server;

use client::Larder;
use measure::{Effort, Work, compare};

/// For all alike: the system's allocator makes threads wait that free what others made.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Compares the backends with the clients that they are made of, in one run and interleaved.
Servers are started privately. Prints operations a second, of get_many(100) keys a second.

Usage: cargo xtask bench backends [OPTIONS]

  --only NAME    memory, file, redis, memcached, sqlite, postgres or mariadb
  --work NAME    get, set, delete or get_many(100)
  --rounds N     rounds in which everyone takes part once; 5 without this
  --quick        short rounds, to see whether it works";

/// All, in the order in which they are measured.
const NAMES: [&str; 7] = [
    "memory",
    "file",
    "redis",
    "memcached",
    "sqlite",
    "postgres",
    "mariadb",
];

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    match runtime.block_on(run(std::env::args().skip(1))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::from(2)
        }
    }
}

async fn run(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let mut effort = Effort {
        rounds: 5,
        slice: Duration::from_millis(500),
        work: None,
    };
    let mut only = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(());
            }
            "--quick" => (effort.rounds, effort.slice) = (1, Duration::from_millis(50)),
            "--work" => {
                let name = words.next().ok_or("--work wants a name")?;
                let work = Work::ALL.into_iter().find(|work| work.name() == name);
                effort.work = Some(work.ok_or(format!("there is no work {name}"))?);
            }
            "--rounds" => {
                let rounds = words.next().and_then(|rounds| rounds.parse().ok());
                let rounds = rounds.filter(|rounds| *rounds > 0);
                effort.rounds = rounds.ok_or("--rounds wants a number from 1 on")?;
            }
            "--only" => only = Some(words.next().ok_or("--only wants a name")?),
            other => {
                return Err(format!(
                    "there is no option {other}; --help tells which there are"
                ));
            }
        }
    }
    if let Some(only) = only.as_deref().filter(|only| !NAMES.contains(only)) {
        return Err(format!(
            "there is no {only}; there are {}",
            NAMES.join(", ")
        ));
    }
    for name in NAMES {
        if only.as_deref().is_none_or(|only| only == name) {
            one(name, effort).await;
        }
    }
    Ok(())
}

fn larder(backend: Result<impl CacheBackend, impl Debug>) -> Arc<Larder> {
    Arc::new(Larder(SharedBackend::new(backend.expect("legal settings"))))
}

async fn one(name: &str, effort: Effort) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    match name {
        "memory" => {
            let ours = larder(InMemoryBackend::builder().max_size_bytes(1 << 30).build());
            compare(
                name,
                "a map behind a lock",
                effort,
                ours,
                Arc::<plain_clients::Map>::default(),
            )
            .await;
        }
        "file" => {
            let ours = larder(FileBackend::builder(folder.path().join("larder")).build());
            let raw = plain_clients::Files(folder.path().into());
            compare(
                name,
                "files, neither whole nor limited",
                effort,
                ours,
                raw.into(),
            )
            .await;
        }
        "redis" => {
            let server = Server::redis();
            let url = format!("redis://{}", server.address());
            let ours = larder(RedisBackend::single(&url).key_prefix("larder").build());
            let raw = plain_clients::Redis::connect(&url).await;
            compare(name, "the redis crate", effort, ours, raw.into()).await;
        }
        "memcached" => {
            let server = Server::memcached();
            let address = server.address();
            let ours = larder(
                MemcachedBackend::at([address.to_string()])
                    .key_prefix("larder")
                    .build(),
            );
            let raw = plain_clients::Memcached::connect(address).await;
            compare(name, "the text protocol", effort, ours, raw.into()).await;
        }
        "sqlite" => {
            let ours = larder(SqlBackend::sqlite(folder.path().join("larder.db")).build());
            let raw = plain_clients::Sqlite::open(&folder.path().join("raw.db"));
            compare(name, "rusqlite", effort, ours, raw.into()).await;
        }
        "postgres" => {
            let server = Server::postgres();
            let ours = larder(SqlBackend::at(server.sql_url()).build());
            let raw = plain_clients::Postgres::connect(&server.sql_url()).await;
            compare(name, "sqlx", effort, ours, raw.into()).await;
        }
        _ => {
            let server = Server::mariadb();
            let ours = larder(SqlBackend::at(server.sql_url()).build());
            let raw = plain_clients::MySql::connect(&server.sql_url()).await;
            compare(name, "sqlx", effort, ours, raw.into()).await;
        }
    }
}
