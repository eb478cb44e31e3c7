//! A complete backend in six methods: what an author starts from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{
    CacheBackend, CacheStats, Clock, Counter, ManualClock, Result, SetOptions, StatsRecorder,
};
use parking_lot::Mutex;

/// A map behind a lock with lifetimes and statistics, and no limit.
///
/// It implements the six required methods only, so everything else is what
/// [`CacheBackend`] provides.
///
/// ```
/// use larder_core::{CacheBackend, SetOptions, SharedBackend};
/// use larder_testkit::SixMethods;
///
/// let cache = SharedBackend::new(SixMethods::default()).blocking();
/// cache.set("a", "1", SetOptions::new())?;
/// assert_eq!(cache.get_many(&["a", "b"])?, [("a".to_owned(), "1".into())]);
/// assert!(cache.keys(None).is_err(), "not promised, so not there");
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SixMethods {
    entries: Mutex<HashMap<String, Entry>>,
    clock: Arc<dyn Clock>,
    stats: Arc<StatsRecorder>,
}

#[derive(Debug)]
struct Entry {
    value: Bytes,
    /// On the clock's monotonic scale.
    end: Option<Duration>,
}

impl SixMethods {
    /// An empty backend on this clock.
    pub fn with_clock(clock: ManualClock) -> Self {
        Self::on(Arc::new(clock))
    }

    fn on(clock: Arc<dyn Clock>) -> Self {
        Self {
            entries: Mutex::default(),
            clock,
            stats: Arc::default(),
        }
    }

    /// Works on the entries after those that have expired were removed.
    ///
    /// Looking at all of them each time is fine for an example only.
    fn live<T>(&self, work: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
        let mut entries = self.entries.lock();
        let now = self.clock.elapsed();
        let before = entries.len();
        entries.retain(|_, entry| entry.end.is_none_or(|end| now < end));
        let expired = before - entries.len();
        self.stats.add(Counter::EvictedExpired, expired as u64);
        work(&mut entries)
    }
}

impl Default for SixMethods {
    fn default() -> Self {
        Self::on(Arc::new(larder_core::SystemClock::new()))
    }
}

impl CacheBackend for SixMethods {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let value = self.live(|entries| entries.get(key).map(|entry| entry.value.clone()));
        let counter = if value.is_some() {
            Counter::Hit
        } else {
            Counter::Miss
        };
        self.stats.add(counter, 1);
        Ok(value)
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let end = options
            .ttl
            .resolve(None)
            .map(|ttl| self.clock.elapsed() + ttl);
        self.live(|entries| entries.insert(key.to_owned(), Entry { value, end }));
        self.stats.add(Counter::Set, 1);
        Ok(true)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let deleted = self.live(|entries| entries.remove(key)).is_some();
        self.stats.add(Counter::Delete, u64::from(deleted));
        Ok(deleted)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.live(|entries| entries.contains_key(key)))
    }

    async fn clear(&self) -> Result<u64> {
        Ok(self.live(|entries| entries.drain().count() as u64))
    }

    async fn stats(&self) -> Result<CacheStats> {
        let (entries, bytes) = self.live(|entries| {
            let bytes = entries.values().map(|entry| entry.value.len() as u64).sum();
            (entries.len() as u64, bytes)
        });
        let mut stats = self.stats.snapshot();
        stats.current_entries = entries;
        stats.current_size_bytes = bytes;
        Ok(stats)
    }
}
