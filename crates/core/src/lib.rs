//! The words that every part of Larder shares, and the contract of a backend.
//!
//! - [`CacheBackend`] keeps bytes under string keys; six methods are required.
//!   [`SharedBackend`] is the one erased handle to any of them.
//! - [`CacheEntry`], [`SetOptions`], [`Ttl`], [`Pattern`] and [`CacheStats`] are
//!   the nouns of its methods; [`Error`] is what can go wrong.
//! - [`Layer`] wraps a backend into another one, [`Codec`] turns values into bytes.
//! - [`Clock`] is the only source of time.
//!
//! The crate has no runtime, starts no thread and does no input or output.
//!
//! ```
//! use larder_core::{Pattern, SetOptions, Ttl};
//! use std::time::Duration;
//!
//! let options = SetOptions::from(Duration::from_secs(60));
//! assert_eq!(options.ttl, Ttl::After(Duration::from_secs(60)));
//! assert!(Pattern::glob("user:*")?.matches("user:1"));
//! # Ok::<(), larder_core::Error>(())
//! ```

pub mod backend;
pub mod backplane;
pub mod batch;
pub mod capability;
pub mod clock;
pub mod codec;
pub mod counter;
pub mod entry;
pub mod error;
pub mod key;
pub mod layer;
pub mod options;
pub mod pattern;
pub mod settings;
pub mod stats;
pub mod stored;
pub mod tags;

pub use backend::{Blocking, CacheBackend, SharedBackend};
pub use backplane::Backplane;
pub use batch::{BatchReport, ScanPage};
pub use capability::{Capabilities, Capability};
pub use clock::{Clock, ManualClock, SystemClock};
pub use codec::{Codec, JsonCodec};
pub use entry::{CacheEntry, Metadata};
pub use error::{ConfigError, Error, ErrorKind, Operation, Result, Retry};
pub use key::{MAX_KEY_BYTES, check_key};
pub use layer::Layer;
pub use options::{Condition, SetOptions, TagMatch, Ttl, TtlState};
pub use pattern::Pattern;
pub use stats::{CacheStats, Circuit, Counter, StatsRecorder};
pub use tags::{MAX_TAGS, check_tags};

pub use bytes::Bytes;
