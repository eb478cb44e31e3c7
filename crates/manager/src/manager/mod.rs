//! What an application holds: typed values over tiers.

mod batch;
mod builder;
mod listening;
mod patterns;
mod stats;
mod verbs;

use std::fmt;
use std::sync::{Arc, OnceLock};

use larder_core::{Clock, Result, SharedBackend, StatsRecorder};
use larder_memory::InMemoryBackend;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Decoded, SerializerType};
use crate::load::Loads;
use crate::tiers::{Tiers, is_away};

pub use builder::CacheManagerBuilder;
pub use patterns::ToPattern;
pub use stats::{LoadStats, ManagerStats, TierStats};

/// A type of values: everything that serde can store and that can be cloned.
///
/// Values are returned by clone: for what is expensive to clone use `Arc<T>`, which is
/// stored as `T`. Then the same value is shared by all who read it near.
pub trait Value: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Value for T {}

/// What to do if no tier can be reached.
///
/// ```
/// assert_eq!(larder_manager::OnError::default(), larder_manager::OnError::FailOpen);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// A read finds nothing and a write does nothing, as if the cache were empty; both
    /// are counted and logged. What the caller did wrong is an error all the same, and so
    /// is a counter that cannot count.
    #[default]
    FailOpen,
    /// The caller gets the error.
    Propagate,
}

/// Typed values in one tier or several; what an application holds.
///
/// Clones are the same cache. Keys are relative to the prefix of the cache. A value that
/// is near was decoded once: the next who reads it gets a clone.
///
/// ```
/// use larder_manager::CacheManager;
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// struct User { name: String }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let cache = CacheManager::memory();
/// let alice = User { name: "Alice".to_owned() };
/// cache.set("user:1", &alice, Duration::from_secs(300)).await?;
/// assert_eq!(cache.get("user:1").await?, Some(alice));
/// assert_eq!(cache.get::<User>("user:2").await?, None);
/// # Ok::<(), larder_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct CacheManager(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) tiers: Tiers,
    /// The tiers with the rules that hold for all backends.
    pub(crate) cache: SharedBackend,
    /// The first tier, if it is in the memory of this process.
    pub(crate) near: Option<InMemoryBackend>,
    pub(crate) prefix: String,
    pub(crate) serializer: SerializerType,
    pub(crate) on_error: OnError,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) loads: Loads,
    /// Hears what other programs change, if there is a backplane.
    listening: OnceLock<listening::Listening>,
    /// What the memory of this process did not answer.
    pub(crate) stats: Arc<StatsRecorder>,
}

impl CacheManager {
    /// A cache in the memory of this process: 10,000 entries and 100 MB at most.
    pub fn memory() -> Self {
        let memory = Self::builder().memory();
        memory.build().expect("the defaults are legal")
    }

    /// A cache to be set up.
    pub fn builder() -> CacheManagerBuilder {
        CacheManagerBuilder::new()
    }

    /// The tiers as a backend of bytes: what typed values are stored as.
    pub fn backend(&self) -> &SharedBackend {
        &self.0.cache
    }

    /// How large a value is as it is stored.
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn size_of<T: Serialize + ?Sized>(&self, value: &T) -> Result<usize> {
        Ok(self.0.serializer.encode(value, None)?.len())
    }
}

impl Inner {
    /// The value, or what stands for it if the tiers are away and that is no error here.
    pub(crate) fn lenient<T>(&self, outcome: Result<T>, otherwise: T) -> Result<T> {
        match self.on_error {
            OnError::FailOpen => without(outcome, otherwise),
            OnError::Propagate => outcome,
        }
    }

    /// The value near by, if it is there and fresh.
    #[inline]
    pub(crate) fn near<T: Value>(&self, key: &str) -> Option<T> {
        let decoded = self.near_decoded::<T>(key)?;
        let is_fresh = decoded.is_fresh(|| self.clock.now());
        is_fresh.then_some(decoded.value)
    }

    #[inline]
    pub(crate) fn near_decoded<T: Value>(&self, key: &str) -> Option<Decoded<T>> {
        let near = self.near.as_ref()?;
        // What cannot be read, or has no legal key, is told by who goes on to look.
        near.get_as(key, Decoded::<T>::read).ok()?
    }
}

/// The value, or what stands for it if the tiers are away: whoever has something to go on
/// with does.
pub(crate) fn without<T>(outcome: Result<T>, otherwise: T) -> Result<T> {
    match outcome {
        Err(error) if is_away(&error) => {
            tracing::warn!(%error, "the cache does without");
            Ok(otherwise)
        }
        outcome => outcome,
    }
}

impl fmt::Debug for CacheManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheManager")
            .field("tiers", &self.0.tiers)
            .field("prefix", &self.0.prefix)
            .field("serializer", &self.0.serializer)
            .field("on_error", &self.0.on_error)
            .finish_non_exhaustive()
    }
}
