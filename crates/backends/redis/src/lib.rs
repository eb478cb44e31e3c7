//! A backend that keeps entries in Redis: one server, the master that Sentinels know, or
//! a cluster.
//!
//! Requests share a few connections, which open and reopen by themselves. A batch takes
//! one round trip to each server. Clearing walks through the keys of this cache alone and
//! never stops the server.
//!
//! ```no_run
//! use larder_core::{CacheBackend, SetOptions, SharedBackend};
//! use larder_redis::RedisBackend;
//!
//! # async fn example() -> larder_core::Result<()> {
//! let redis = RedisBackend::single("redis://127.0.0.1:6379").key_prefix("shop").build()?;
//! let cache = SharedBackend::new(redis);
//! cache.set("greeting", "hello".into(), SetOptions::new()).await?;
//! assert_eq!(cache.get("greeting").await?, Some("hello".into()));
//! # Ok(())
//! # }
//! ```

mod backend;
mod builder;
mod census;
mod errors;
mod fleet;
mod listen;
mod node;
mod send;
mod slot;
mod store;
mod value;
mod walk;

pub use backend::RedisBackend;
pub use builder::RedisBuilder;
pub use listen::{Heard, Listener};
