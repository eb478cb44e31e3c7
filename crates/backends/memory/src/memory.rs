//! The memory backend and its own, waiting-free methods.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    BatchReport, CacheEntry, CacheStats, Capability, Clock, Condition, Error, ErrorKind, Metadata,
    Pattern, Result, ScanPage, SetOptions, Ttl, TtlState, check_key, counter,
};
use larder_engine::{Cache, Change, Computed};

use crate::builder::InMemoryBuilder;

/// Keeps entries in the memory of this process; clones are the same cache.
///
/// The limit is in bytes of values, 100 MB unless set otherwise; keys, metadata
/// and bookkeeping come on top. When it is reached the least recently used entry
/// goes. Its methods do not wait and need no runtime; the same methods of
/// [`CacheBackend`](larder_core::CacheBackend) are for callers that await.
///
/// ```
/// use larder_core::{ManualClock, SetOptions};
/// use larder_memory::InMemoryBackend;
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let cache = InMemoryBackend::with_clock(clock.clone());
/// cache.set("temp", "expires soon", Duration::from_secs(1))?;
/// assert!(cache.exists("temp")?);
/// clock.advance(Duration::from_millis(1500));
/// assert!(!cache.exists("temp")?);
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct InMemoryBackend {
    pub(crate) cache: Cache<Box<str>, Stored>,
    clock: Arc<dyn Clock>,
    pub(crate) max_key_bytes: usize,
}

/// What is kept under a key.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    value: Bytes,
    created_at: SystemTime,
    metadata: Option<Arc<Metadata>>,
}

impl Stored {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.value.len() as u64
    }
}

impl InMemoryBackend {
    /// A cache of at most this many bytes of values; zero counts as one.
    pub fn with_max_size_bytes(max_size_bytes: u64) -> Self {
        Self::builder()
            .max_size_bytes(max_size_bytes.max(1))
            .build()
            .expect("the limit is positive and nothing else was set")
    }

    /// A cache with the default limits on a clock of your own.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self::builder()
            .clock(Arc::new(clock))
            .build()
            .expect("the defaults are in range")
    }

    /// Settings to start from.
    pub fn builder() -> InMemoryBuilder {
        InMemoryBuilder::new()
    }

    pub(crate) fn new(
        cache: Cache<Box<str>, Stored>,
        clock: Arc<dyn Clock>,
        max_key_bytes: usize,
    ) -> Self {
        Self {
            cache,
            clock,
            max_key_bytes,
        }
    }

    /// The value, `None` if missing or expired. An empty value is `Some`.
    ///
    /// # Errors
    ///
    /// If the key is not allowed; so for every method that takes one.
    pub fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.check(key)?;
        Ok(self.cache.get(key).map(|stored| stored.value))
    }

    /// Stores a value; `false` if it is larger than the whole cache or the
    /// condition does not hold.
    ///
    /// # Errors
    ///
    /// If the key is not allowed, or tags are given, which this backend does not keep.
    pub fn set(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        options: impl Into<SetOptions>,
    ) -> Result<bool> {
        let options = options.into();
        self.check(key)?;
        if !options.tags.is_empty() {
            return Err(Error::unsupported(Capability::Tags));
        }
        let metadata = (!options.metadata.is_empty()).then(|| Arc::new(options.metadata));
        let stored = Stored {
            value: value.into(),
            created_at: self.clock.now(),
            metadata,
        };
        if options.condition == Condition::Always {
            return Ok(self.cache.insert_with_ttl(key.into(), stored, options.ttl));
        }
        let mut allowed = false;
        let computed = self.cache.compute(key.into(), |present| {
            allowed = options.condition.allows(present.is_some());
            if allowed {
                Change::Insert(stored.clone(), options.ttl)
            } else {
                Change::Keep
            }
        });
        Ok(allowed && computed != Computed::Refused)
    }

    /// Removes a key; `true` if it was there and not expired.
    ///
    /// # Errors
    ///
    /// If the key is not allowed.
    pub fn delete(&self, key: &str) -> Result<bool> {
        self.check(key)?;
        Ok(self.cache.remove(key).is_some())
    }

    /// Whether a key is there and not expired. Counts as no use.
    ///
    /// # Errors
    ///
    /// If the key is not allowed.
    pub fn exists(&self, key: &str) -> Result<bool> {
        self.check(key)?;
        Ok(self.cache.contains_key(key))
    }

    /// Removes every entry and tells how many.
    pub fn clear(&self) -> u64 {
        self.cache.clear()
    }

    /// Current statistics; sizes are bytes of values.
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// The value with everything known about it. Counts as a `get`.
    ///
    /// # Errors
    ///
    /// If the key is not allowed.
    pub fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        self.check(key)?;
        let Some((stored, ttl)) = self.cache.get_with_ttl(key) else {
            return Ok(None);
        };
        let mut entry = CacheEntry::new(key, stored.value, stored.created_at);
        entry.expires_at = ttl
            .remaining()
            .and_then(|left| self.clock.now().checked_add(left));
        entry.metadata = stored
            .metadata
            .map(Arc::unwrap_or_clone)
            .unwrap_or_default();
        Ok(Some(entry))
    }

    /// The entries that are there, in the order of `keys`, each key once.
    ///
    /// # Errors
    ///
    /// If a key is not allowed.
    pub fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let entries = distinct(keys).map(|key| self.get_entry(key));
        entries.filter_map(Result::transpose).collect()
    }

    /// The values that are there, in the order of `keys`, each key once.
    ///
    /// # Errors
    ///
    /// If one of the keys is not allowed; then nothing was looked up.
    pub fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        keys.iter().try_for_each(|key| self.check(key))?;
        let found = |key: &str| {
            let stored = self.cache.get(key)?;
            Some((key.to_owned(), stored.value))
        };
        Ok(distinct(keys).filter_map(found).collect())
    }

    /// Stores many values with the same options; each has its own outcome.
    pub fn set_many<K: AsRef<str>, T: Into<Bytes>>(
        &self,
        items: impl IntoIterator<Item = (K, T)>,
        options: impl Into<SetOptions>,
    ) -> BatchReport {
        let options = options.into();
        let mut report = BatchReport::new();
        for (key, value) in items {
            let key = key.as_ref();
            report.record(key, self.set(key, value, options.clone()));
        }
        report
    }

    /// Removes many keys and tells how many were there.
    ///
    /// # Errors
    ///
    /// If one of the keys is not allowed; then nothing was removed.
    pub fn delete_many<K: AsRef<str>>(&self, keys: &[K]) -> Result<u64> {
        keys.iter().try_for_each(|key| self.check(key.as_ref()))?;
        let removed = keys
            .iter()
            .filter(|key| self.cache.remove(key.as_ref()).is_some());
        Ok(removed.count() as u64)
    }

    /// All live keys that match, all of them without a pattern, in no particular order.
    ///
    /// Looks at every entry.
    pub fn keys(&self, pattern: Option<&Pattern>) -> Vec<String> {
        self.cache.filter_map(|key, _| {
            let wanted = pattern.is_none_or(|pattern| pattern.matches(key));
            wanted.then(|| key.to_string())
        })
    }

    /// At most `limit` matching keys after `after`, in lexicographic order.
    ///
    /// Looks at every entry, but keeps only one page of keys. A `limit` of zero
    /// counts as one.
    pub fn scan(&self, pattern: Option<&Pattern>, after: Option<&str>, limit: usize) -> ScanPage {
        let limit = limit.max(1);
        // The lowest keys so far, one more than fit the page; the highest on top.
        let mut lowest: BinaryHeap<Box<str>> = BinaryHeap::new();
        self.cache.filter_map(|key, _| {
            let is_behind = after.is_none_or(|after| **key > *after);
            let is_low = lowest.len() <= limit || lowest.peek().is_some_and(|top| key < top);
            if is_behind && is_low && pattern.is_none_or(|pattern| pattern.matches(key)) {
                lowest.push(key.clone());
                if lowest.len() > limit + 1 {
                    lowest.pop();
                }
            }
            None::<()>
        });
        let mut keys: Vec<String> = lowest
            .into_sorted_vec()
            .into_iter()
            .map(String::from)
            .collect();
        let more = keys.len() > limit;
        keys.truncate(limit);
        ScanPage::new(keys, more)
    }

    /// Removes all keys that match and tells how many. Looks at every entry.
    pub fn delete_pattern(&self, pattern: &Pattern) -> u64 {
        let matching = self
            .cache
            .filter_map(|key, _| pattern.matches(key).then(|| key.clone()));
        let removed = matching
            .iter()
            .filter(|key| self.cache.remove(&**key).is_some());
        removed.count() as u64
    }

    /// Adds `delta` to a decimal number and returns the sum, in one step.
    ///
    /// A missing key counts as 0 and is created with `ttl`; a present one keeps
    /// its lifetime.
    ///
    /// # Errors
    ///
    /// If the value is no number or the sum leaves 64 bits; then nothing changed.
    /// If the key is not allowed, the `ttl` is zero, or the number has no room.
    pub fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.check(key)?;
        counter::check_ttl(ttl)?;
        let now = self.clock.now();
        let mut sum = Ok(0);
        let computed = self.cache.compute(key.into(), |present| {
            sum = counter::add(present.map(|stored| &*stored.value), delta);
            let Ok(sum) = &sum else {
                return Change::Keep;
            };
            let stored = Stored {
                value: Bytes::from(sum.to_string()),
                created_at: present.map_or(now, |stored| stored.created_at),
                metadata: present.and_then(|stored| stored.metadata.clone()),
            };
            match present {
                Some(_) => Change::Update(stored),
                None => Change::Insert(stored, ttl),
            }
        });
        if computed == Computed::Refused {
            let text = "the number is longer than the whole cache";
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        sum
    }

    /// Subtracts `delta`; otherwise as [`increment`](Self::increment).
    ///
    /// # Errors
    ///
    /// As [`increment`](Self::increment).
    pub fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl)
    }

    /// Gives a present key a new lifetime; `false` if it is missing or expired.
    ///
    /// # Errors
    ///
    /// If the key is not allowed.
    pub fn touch(&self, key: &str, ttl: impl Into<Ttl>) -> Result<bool> {
        self.check(key)?;
        Ok(self.cache.set_ttl(key, ttl))
    }

    /// The same as [`touch`](Self::touch).
    ///
    /// # Errors
    ///
    /// If the key is not allowed.
    pub fn expire(&self, key: &str, ttl: impl Into<Ttl>) -> Result<bool> {
        self.touch(key, ttl)
    }

    /// How much longer a key lives; `None` if it is missing or expired.
    ///
    /// # Errors
    ///
    /// If the key is not allowed.
    pub fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        self.check(key)?;
        Ok(self.cache.ttl(key))
    }

    /// The keys in the order in which they would make room, the next one first.
    ///
    /// Looks at every entry: for finding out why something was evicted.
    pub fn eviction_order(&self, limit: usize) -> Vec<String> {
        let keys = self.cache.eviction_order(limit);
        keys.into_iter().map(String::from).collect()
    }

    /// Sets the limit in bytes, at least 1, and evicts what is too much.
    pub fn set_max_size_bytes(&self, max_size_bytes: u64) {
        self.cache.set_max_weight(max_size_bytes);
    }

    /// Removes what has expired; on the system clock this happens by itself.
    pub fn sweep(&self) {
        self.cache.sweep();
    }

    /// Checks every invariant; panics if one does not hold.
    #[cfg(feature = "validate")]
    pub fn validate(&self) {
        self.cache.validate();
    }

    fn check(&self, key: &str) -> Result<()> {
        check_key(key, self.max_key_bytes)
    }
}

/// 100 MB on the system clock.
impl Default for InMemoryBackend {
    fn default() -> Self {
        Self::builder().build().expect("the defaults are in range")
    }
}
