//! A cache that an application embeds: one set of verbs with one meaning.
//!
//! - [`Cache`] is typed and in process: a map with limits, lifetimes and a policy.
//! - [`InMemoryBackend`] keeps bytes under string keys, in process too.
//! - [`CacheBackend`] is the contract behind which backends can be swapped, and
//!   [`SharedBackend`] the handle to any of them.
//!
//! ```
//! use larder::{InMemoryBackend, SetOptions};
//! use std::time::Duration;
//!
//! let cache = InMemoryBackend::default();
//! cache.set("api:users:123", r#"{"name": "Alice"}"#, Duration::from_secs(300))?;
//! if let Some(user) = cache.get("api:users:123")? {
//!     assert_eq!(&user[..], br#"{"name": "Alice"}"#);
//! }
//! println!("{}", cache.stats());
//! # Ok::<(), larder::Error>(())
//! ```
//!
//! Types tell right from wrong before anything runs: a lifetime is a `Duration`
//! or a [`Ttl`], not a number whose unit one has to know.
//!
// covers: AA10
//! ```compile_fail,E0277
//! # let cache = larder::InMemoryBackend::default();
//! cache.set("key", "value", 300);
//! ```
//!
//! | feature | what it gives |
//! |---|---|
//! | `regex` | `Pattern::regex` |
//! | `file` | `FileBackend` |
//! | `redis` | `RedisBackend`: single servers, Sentinel, Cluster, TLS |
//! | `memcached` | `MemcachedBackend`: several servers, consistent hashing |
//! | `sqlite`, `postgres`, `mysql` | `SqlBackend`: a table in SQLite, PostgreSQL, MySQL or MariaDB |
//! | `manager` | `CacheManager`: typed values in several tiers, loading, tags |
//! | `compression`, `encryption`, `retry`, `timeout` | the [layers] of these names |
//! | `testkit` | the behaviour suite for authors of backends, `conformance!` |

/// What the guide shows has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/custom-backends.md")]
struct CustomBackends;

pub use larder_core::{
    Backplane, BatchReport, Blocking, Bytes, CacheBackend, CacheEntry, CacheStats, Capabilities,
    Capability, Clock, Codec, Condition, ConfigError, Counter, Error, ErrorKind, JsonCodec, Layer,
    MAX_KEY_BYTES, ManualClock, Metadata, Operation, Pattern, Result, Retry, ScanPage, SetOptions,
    SharedBackend, StatsRecorder, SystemClock, TagMatch, Ttl, TtlState, check_key, check_tags,
};
pub use larder_core::{Circuit, backplane, counter, stored};
pub use larder_engine as engine;
pub use larder_engine::{Cache, Policy};
#[cfg(feature = "file")]
pub use larder_file::{FileBackend, FileBuilder};
pub use larder_layers as layers;
#[cfg(feature = "manager")]
pub use larder_manager::{
    CacheManager, CacheManagerBuilder, Load, LoadOptions, LoadStats, ManagerStats, OnError,
    SerializerType, TierStats, Tiers, TiersBuilder, ToPattern, Value,
};
#[cfg(feature = "memcached")]
pub use larder_memcached::{MemcachedBackend, MemcachedBuilder};
pub use larder_memory::{InMemoryBackend, InMemoryBuilder};
#[cfg(feature = "redis")]
pub use larder_redis::{RedisBackend, RedisBuilder};
#[cfg(feature = "postgres")]
pub use larder_sql::PostgresBackplane;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use larder_sql::{SqlBackend, SqlBuilder};

#[cfg(feature = "testkit")]
pub use larder_testkit as testkit;
#[cfg(feature = "testkit")]
pub use larder_testkit::conformance;
