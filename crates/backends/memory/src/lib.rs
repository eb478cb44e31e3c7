//! The Larder backend that keeps entries in the memory of this process.
//!
//! [`InMemoryBackend`] works without a runtime through its own methods, and as a
//! [`CacheBackend`](larder_core::CacheBackend) wherever one is asked for.
//!
//! ```
//! use larder_core::{Pattern, SetOptions};
//! use larder_memory::InMemoryBackend;
//! use std::time::Duration;
//!
//! let cache = InMemoryBackend::with_max_size_bytes(1024 * 1024);
//! cache.set("user:1", "Alice", Duration::from_secs(300))?;
//! cache.set("user:2", "Bob", SetOptions::new())?;
//!
//! assert_eq!(cache.get("user:1")?.as_deref(), Some(&b"Alice"[..]));
//! assert_eq!(cache.keys(Some(&Pattern::glob("user:*")?)).len(), 2);
//! assert_eq!(cache.stats().hits, 1);
//! # Ok::<(), larder_core::Error>(())
//! ```

mod backend;
mod builder;
mod listing;
mod memory;
mod near;
mod stored;
mod tagged;

pub use builder::InMemoryBuilder;
pub use memory::InMemoryBackend;
