//! Layers: each wraps a backend and is a backend.
//!
//! | layer | feature | what it adds |
//! |---|---|---|
//! | [`Namespace`] | – | keys, patterns and statistics of its own |
//! | [`Compression`] | `compression` | smaller values: LZ4 or Zstandard |
//! | [`Encryption`] | `encryption` | values that only holders of a key can read or make |
//! | [`Retry`] | `retry` | another try where that is safe |
//! | [`Timeout`] | `timeout` | an end to waiting |
//! | [`Breaker`] | – | rest for a backend that fails |
//! | [`Metrics`] | – | how long each operation takes |
//!
//! `docs/layers.md` says in which order they belong, and why.
//!
//! ```
//! use larder_core::{Layer, SetOptions, SharedBackend};
//! use larder_layers::{Breaker, Metrics, Namespace};
//! # use larder_core::ManualClock;
//! # let store = SharedBackend::new(larder_testkit::ModelBackend::with_clock(ManualClock::new()));
//!
//! let metrics = Metrics::new();
//! let mut cache = store;
//! for layer in [&Breaker::new() as &dyn Layer, &metrics, &Namespace::new("shop:")?] {
//!     cache = layer.layer(cache);
//! }
//! cache.blocking().set("basket", "apples", SetOptions::new())?;
//! assert_eq!(metrics.of(larder_core::Operation::Set).count, 1);
//! # Ok::<(), larder_core::Error>(())
//! ```

mod breaker;
#[cfg(feature = "compression")]
mod compression;
#[cfg(feature = "encryption")]
mod encryption;
mod guard;
mod metrics;
mod namespace;
#[cfg(feature = "retry")]
mod retry;
#[cfg(feature = "timeout")]
mod timeout;
#[cfg(any(feature = "compression", feature = "encryption"))]
mod transform;

pub use breaker::Breaker;
#[cfg(feature = "compression")]
pub use compression::Compression;
#[cfg(feature = "encryption")]
pub use encryption::{Encryption, SecretKey};
pub use metrics::{Latency, Metrics};
pub use namespace::Namespace;
#[cfg(feature = "retry")]
pub use retry::Retry;
#[cfg(feature = "timeout")]
pub use timeout::Timeout;
