//! A backend that keeps entries in Memcached: one server or several, each with its share
//! of the keys.
//!
//! A batch takes one round trip to each server, and a server that is gone harms only its
//! own keys. Servers keep nothing when they end, and let the least recently used go when
//! they are full.
//!
//! ```no_run
//! use larder_core::{CacheBackend, SetOptions, SharedBackend};
//! use larder_memcached::MemcachedBackend;
//!
//! # async fn example() -> larder_core::Result<()> {
//! let cache = SharedBackend::new(MemcachedBackend::at(["127.0.0.1:11211"]).build()?);
//! cache.set("greeting", "hello".into(), SetOptions::new()).await?;
//! assert_eq!(cache.get("greeting").await?, Some("hello".into()));
//! # Ok(())
//! # }
//! ```

mod backend;
mod builder;
mod connection;
mod errors;
mod line;
mod listing;
mod name;
mod node;
mod pool;
mod protocol;
mod ring;
mod store;
mod tls;
mod value;

pub use backend::MemcachedBackend;
pub use builder::MemcachedBuilder;
