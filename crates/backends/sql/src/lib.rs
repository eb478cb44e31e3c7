//! A backend that keeps entries in a table of SQLite, PostgreSQL, MySQL or MariaDB.
//!
//! The table is made when it is missing. Values and numbers are in columns of their own, so
//! people and other programs can read them. When an entry ends is for the clocks of the
//! programs to say, not for the database's.
//!
//! The features `sqlite` (there by default), `postgres` and `mysql` bring the databases.
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use larder_core::{CacheBackend, SetOptions, SharedBackend};
//! use larder_sql::SqlBackend;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("cache.db");
//! let cache = SharedBackend::new(SqlBackend::sqlite(file).build()?);
//! cache.set("greeting", "hello".into(), SetOptions::new()).await?;
//! assert_eq!(cache.get("greeting").await?, Some("hello".into()));
//! # Ok::<(), larder_core::Error>(())
//! # }).unwrap();
//! # }
//! ```

// Without any database there is nothing to build.
#![cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]

mod address;
mod audit;
mod backend;
mod builder;
mod database;
mod dialect;
mod listing;
mod row;
mod schema;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
mod store;
mod table;
mod upkeep;

pub use backend::SqlBackend;
pub use builder::SqlBuilder;
#[cfg(feature = "postgres")]
pub use server::news::PostgresBackplane;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use sqlx;
