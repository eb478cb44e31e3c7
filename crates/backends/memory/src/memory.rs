//! The memory backend and its own, waiting-free methods.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    BatchReport, CacheEntry, CacheStats, Clock, Condition, Error, ErrorKind, Result, SetOptions,
    TagMatch, Ttl, TtlState, check_key, check_tags, counter,
};
use larder_engine::{Cache, Change, Computed};

use crate::builder::InMemoryBuilder;
use crate::stored::Stored;
use crate::tagged::{Tagged, Tags};

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
    tagged: Arc<Tagged>,
    /// How often what was stored was distrusted.
    pub(crate) epoch: Arc<AtomicU32>,
    clock: Arc<dyn Clock>,
    pub(crate) max_key_bytes: usize,
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
        tagged: Arc<Tagged>,
        clock: Arc<dyn Clock>,
        max_key_bytes: usize,
    ) -> Self {
        Self {
            cache,
            tagged,
            epoch: Arc::default(),
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
        let look = |stored: &Stored| self.trusted(stored).then(|| stored.value.clone());
        self.found(key, self.cache.get_map(key, look).flatten())
    }

    /// What was found under a key. What is not allowed is never there, so it is enough to
    /// check a key that was not found.
    pub(crate) fn found<T>(&self, key: &str, found: Option<T>) -> Result<Option<T>> {
        if found.is_none() {
            self.check(key)?;
        }
        Ok(found)
    }

    /// Stores a value; `false` if it is larger than the whole cache or the
    /// condition does not hold.
    ///
    /// # Errors
    ///
    /// If the key or a tag is not allowed.
    pub fn set(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        options: impl Into<SetOptions>,
    ) -> Result<bool> {
        let options = options.into();
        self.check(key)?;
        check_tags(&options.tags)?;
        let tags = self.list(key, options.tags);
        let stored = Stored::new(value.into(), self.clock.now(), self.epoch())
            .with_metadata(options.metadata)
            .with_tags(tags.clone());
        let mut allowed = true;
        let is_stored = if options.condition == Condition::Always {
            self.cache.insert_with_ttl(key.into(), stored, options.ttl)
        } else {
            let computed = self.cache.compute(key.into(), |present| {
                allowed = options.condition.allows(present.is_some());
                if allowed {
                    Change::Insert(stored.clone(), options.ttl)
                } else {
                    Change::Keep
                }
            });
            allowed && computed != Computed::Refused
        };
        if let Some(tags) = tags {
            self.settle(key, &tags, is_stored && !options.ttl.is_zero());
        }
        Ok(is_stored)
    }

    fn list(&self, key: &str, names: Vec<String>) -> Option<Arc<Tags>> {
        (!names.is_empty()).then(|| Arc::new(self.tagged.list(key, names)))
    }

    /// Takes back what was invalidated while it was stored, and strikes out what was not
    /// stored.
    fn settle(&self, key: &str, tags: &Tags, is_stored: bool) {
        if !is_stored {
            self.tagged.strike(tags);
        } else if !self.tagged.is_valid(tags) {
            self.remove_numbered(key, tags.number());
        }
    }

    /// Removes a key if it still has the value of this number.
    fn remove_numbered(&self, key: &str, number: u64) -> bool {
        let computed = self.cache.compute(key.into(), |present| {
            let is_that = present.is_some_and(|stored| stored.number() == Some(number));
            if is_that {
                Change::Remove
            } else {
                Change::Keep
            }
        });
        computed == Computed::Removed
    }

    /// Removes the entries with any or all of the tags and tells how many.
    ///
    /// ```
    /// use larder_core::{SetOptions, TagMatch};
    /// use larder_memory::InMemoryBackend;
    ///
    /// let cache = InMemoryBackend::default();
    /// cache.set("user:7", "Alice", SetOptions::new().with_tags(["users", "user:7"]))?;
    /// assert_eq!(cache.invalidate_tags(&["users", "teams"], TagMatch::Any), 1);
    /// assert!(!cache.exists("user:7")?);
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> u64 {
        let found = self.tagged.invalidate(tags, which).into_iter();
        let removed = found.filter(|(number, key)| self.remove_numbered(key, *number));
        removed.count() as u64
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
        if self.epoch() == 0 {
            return Ok(self.cache.contains_key(key));
        }
        let stored = self.cache.peek(key);
        Ok(stored.is_some_and(|stored| self.trusted(&stored)))
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
        let found = self.cache.get_with_ttl(key);
        let Some((stored, ttl)) = found.filter(|(stored, _)| self.trusted(stored)) else {
            return Ok(None);
        };
        let mut entry = CacheEntry::new(key, stored.value.clone(), stored.created_at);
        entry.expires_at = ttl
            .remaining()
            .and_then(|left| self.clock.now().checked_add(left));
        stored.tell(&mut entry);
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
            let stored = self.cache.get(key).filter(|stored| self.trusted(stored))?;
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
        let mut listed: Option<Arc<Tags>> = None;
        let computed = self.cache.compute(key.into(), |present| {
            // Of an attempt that found no room.
            if let Some(tags) = listed.take() {
                self.tagged.strike(&tags);
            }
            sum = counter::add(present.map(|stored| &*stored.value), delta);
            let Ok(sum) = &sum else {
                return Change::Keep;
            };
            let value = Bytes::from(sum.to_string());
            match present {
                Some(present) => {
                    // A value of its own in the lists, as the old one strikes itself out.
                    let names = present.tag_names();
                    listed = self.list(key, names.to_vec());
                    Change::Update(present.with_value(value, listed.clone()))
                }
                None => Change::Insert(Stored::new(value, now, self.epoch()), ttl),
            }
        });
        if let Some(tags) = listed {
            self.settle(key, &tags, computed == Computed::Stored);
        }
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

    /// Sets the limit in bytes, at least 1, and evicts what is too much.
    pub fn set_max_size_bytes(&self, max_size_bytes: u64) {
        self.cache.set_max_weight(max_size_bytes);
    }

    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        // Ordering: relaxed, a reader a moment ago would have seen the same.
        self.epoch.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn trusted(&self, stored: &Stored) -> bool {
        stored.epoch() == self.epoch()
    }

    /// Removes what has expired; on the system clock this happens by itself.
    pub fn sweep(&self) {
        self.cache.sweep();
    }

    /// Checks every invariant; panics if one does not hold.
    #[cfg(feature = "validate")]
    pub fn validate(&self) {
        self.cache.validate();
        self.sweep();
        let values = self.cache.filter_map(|_, stored| Some(stored.clone()));
        self.tagged.validate(values.iter().filter_map(Stored::tags));
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
