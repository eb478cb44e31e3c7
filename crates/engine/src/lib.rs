//! The in-process cache of Larder: typed, sync, no runtime, cannot fail.
//!
//! [`Cache`] is a map with limits (entries, weight, or both), lifetimes per entry,
//! idle expiry, and a [`Policy`] that picks the true victim of the whole cache.
//!
//! ```
//! use larder_engine::{Cache, Policy};
//! use std::time::Duration;
//!
//! let cache = Cache::builder()
//!     .max_weight(100)
//!     .weigher(|_key: &String, value: &String| value.len() as u64)
//!     .policy(Policy::Lru)
//!     .build()?;
//! cache.insert("short".to_owned(), "lived".to_owned());
//! cache.insert_with_ttl("long".to_owned(), "lived".to_owned(), Duration::from_secs(60));
//! assert_eq!(cache.weight(), 10);
//! # Ok::<(), larder_core::ConfigError>(())
//! ```

mod bounds;
mod budget;
mod builder;
mod cache;
mod expiry;
mod load;
mod lock;
mod lookup;
mod policy;
mod removal;
mod room;
mod scan;
mod shard;
mod sync;
mod write;

pub use builder::CacheBuilder;
pub use cache::Cache;
pub use equivalent::Equivalent;
pub use policy::Policy;
pub use removal::RemovalCause;
pub use scan::Iter;
pub use write::{Change, Computed};
