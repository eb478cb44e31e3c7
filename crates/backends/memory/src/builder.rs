//! Settings of the memory backend, checked when it is built.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, ConfigError, MAX_KEY_BYTES, SystemClock};
use larder_engine::{Cache, Policy};

use crate::memory::InMemoryBackend;
use crate::stored::Stored;
use crate::tagged::Tagged;

/// 100 MB.
const DEFAULT_MAX_SIZE_BYTES: u64 = 100 * 1024 * 1024;

/// Settings of an [`InMemoryBackend`].
///
/// Without any: 100 MB of values, any number of entries, no default lifetime,
/// `lru`, the system clock, keys up to 250 bytes.
///
/// ```
/// use larder_engine::Policy;
/// use larder_memory::InMemoryBackend;
/// use std::time::Duration;
///
/// let cache = InMemoryBackend::builder()
///     .max_size_bytes(1024 * 1024)
///     .max_entries(10_000)
///     .default_ttl(Duration::from_secs(300))
///     .policy(Policy::Lfu)
///     .build()?;
/// assert_eq!(cache.stats().max_size_bytes, Some(1024 * 1024));
/// # Ok::<(), larder_core::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct InMemoryBuilder {
    max_size_bytes: u64,
    max_entries: Option<u64>,
    max_key_bytes: usize,
    default_ttl: Option<Duration>,
    policy: Policy,
    clock: Option<Arc<dyn Clock>>,
}

impl InMemoryBuilder {
    pub(crate) fn new() -> Self {
        Self {
            max_size_bytes: DEFAULT_MAX_SIZE_BYTES,
            max_entries: None,
            max_key_bytes: MAX_KEY_BYTES,
            default_ttl: None,
            policy: Policy::Lru,
            clock: None,
        }
    }

    /// Most bytes of all values together, at least 1.
    pub fn max_size_bytes(mut self, bytes: u64) -> Self {
        self.max_size_bytes = bytes;
        self
    }

    /// Most entries, at least 1.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// Longest key in bytes, at least 1.
    pub fn max_key_bytes(mut self, bytes: usize) -> Self {
        self.max_key_bytes = bytes;
        self
    }

    /// How long entries live unless told otherwise.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = Some(ttl);
        self
    }

    /// Which entry goes when room is needed.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where the time comes from.
    ///
    /// With a clock of your own nothing happens in the background; expired
    /// entries give their memory back through the backend's operations.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The backend.
    ///
    /// # Errors
    ///
    /// If a setting is out of range.
    pub fn build(self) -> Result<InMemoryBackend, ConfigError> {
        let limits = [
            ("max_size_bytes", self.max_size_bytes == 0),
            ("max_key_bytes", self.max_key_bytes == 0),
        ];
        for (field, is_zero) in limits {
            if is_zero {
                return Err(ConfigError::new(field, 0, "at least 1"));
            }
        }
        let tagged = Arc::new(Tagged::default());
        let listed = Arc::clone(&tagged);
        let mut cache = Cache::builder()
            .max_weight(self.max_size_bytes)
            .weigher(|_, stored: &Stored| stored.size_bytes())
            .on_removal(move |_, stored: &Stored, _| {
                if let Some(tags) = stored.tags() {
                    listed.strike(tags);
                }
            })
            .policy(self.policy);
        if let Some(entries) = self.max_entries {
            cache = cache.max_entries(entries);
        }
        if let Some(ttl) = self.default_ttl {
            cache = cache.time_to_live(ttl);
        }
        if let Some(clock) = &self.clock {
            cache = cache.clock(Arc::clone(clock));
        }
        Ok(InMemoryBackend::new(
            cache.build()?,
            tagged,
            self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            self.max_key_bytes,
        ))
    }
}
