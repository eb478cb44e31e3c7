//! Several backends as one: near ones in front of far ones.
//!
//! ```
//! use larder_core::{CacheBackend, SetOptions, SharedBackend};
//! use larder_manager::Tiers;
//! use larder_memory::InMemoryBackend;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let far = InMemoryBackend::default();
//! // `far` is what several programs share, Redis for example.
//! let tiers = Tiers::builder().tier(InMemoryBackend::default()).tier(far).build()?;
//! let cache = SharedBackend::new(tiers);
//! cache.set("greeting", "hello".into(), SetOptions::new()).await?;
//! assert_eq!(cache.get("greeting").await?, Some("hello".into()));
//! # Ok::<(), larder_core::Error>(())
//! # }).unwrap();
//! ```

mod tiers;

pub use tiers::{Tiers, TiersBuilder};
