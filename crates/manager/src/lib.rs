//! Typed values in several tiers as one cache: what an application holds.
//!
//! [`CacheManager`] stores, loads and invalidates typed values. It stands on [`Tiers`],
//! several backends as one, which is a backend itself.
//!
//! ```
//! use larder_manager::CacheManager;
//! use larder_memory::InMemoryBackend;
//! use std::time::Duration;
//!
//! # async fn query(id: u64) -> std::io::Result<String> { Ok(format!("user {id}")) }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let shared = InMemoryBackend::default();
//! // `shared` is what several programs use, Redis for example.
//! let cache = CacheManager::builder().prefix("myapp").memory().tier(shared).build()?;
//! let minute = Duration::from_secs(60);
//! let user: String = cache.get_or_load("user:7", minute, |_| query(7)).await?;
//! assert_eq!(cache.get("user:7").await?, Some(user));
//! # Ok::<(), larder_core::Error>(())
//! # }).unwrap();
//! ```

mod codec;
mod load;
mod manager;
mod random;
mod tiers;

pub use codec::SerializerType;
pub use load::{Load, LoadOptions};
pub use manager::{
    CacheManager, CacheManagerBuilder, LoadStats, ManagerStats, OnError, TierStats, ToPattern,
    Value,
};
pub use tiers::{Tiers, TiersBuilder};
