//! The model under the contract: a backend that can do everything, slowly.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use larder_core::{
    CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Clock, Counter, Error,
    ManualClock, Pattern, Result, SetOptions, StatsRecorder, TagMatch, Ttl, TtlState,
};
use parking_lot::Mutex;

use crate::Model;

/// The [`Model`] as a backend: every capability but the ones that need a disk or a
/// network, and no limit.
///
/// The suite is tried on it, so that a case is wrong before a backend is.
///
/// ```
/// use larder_core::{ManualClock, SetOptions, SharedBackend};
/// use larder_testkit::ModelBackend;
///
/// let cache = SharedBackend::new(ModelBackend::with_clock(ManualClock::new())).blocking();
/// cache.set("a", "1", SetOptions::new().with_tags(["odd"]))?;
/// assert_eq!(cache.invalidate_tags(&["odd"], Default::default())?, Some(1));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ModelBackend {
    model: Mutex<Model>,
    clock: ManualClock,
    started: SystemTime,
    stats: Arc<StatsRecorder>,
}

impl ModelBackend {
    /// An empty backend on this clock.
    pub fn with_clock(clock: ManualClock) -> Self {
        // The model counts time from its own start.
        let (started, elapsed) = (clock.now(), clock.elapsed());
        let mut model = Model::default();
        model.pass(elapsed);
        Self {
            model: Mutex::new(model),
            clock,
            started: started - elapsed,
            stats: Arc::default(),
        }
    }

    /// Brings the model's time up to date, works on it, and counts what it counted.
    fn run<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.model.lock();
        let before = counts(&model);
        let passed = self.clock.elapsed().saturating_sub(model.now());
        model.pass(passed);
        let out = work(&mut model);
        for ((counter, after), (_, before)) in counts(&model).into_iter().zip(before) {
            self.stats.add(counter, after - before);
        }
        out
    }
}

fn counts(model: &Model) -> [(Counter, u64); 5] {
    [
        (Counter::Hit, model.hits),
        (Counter::Miss, model.misses),
        (Counter::Set, model.sets),
        (Counter::Delete, model.deletes),
        (Counter::EvictedExpired, model.expired),
    ]
}

impl CacheBackend for ModelBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.run(|model| model.get(key)))
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        Ok(self.run(|model| model.set(key, value, options)))
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.run(|model| model.delete(key)))
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.run(|model| model.exists(key)))
    }

    async fn clear(&self) -> Result<u64> {
        Ok(self.run(Model::clear))
    }

    async fn stats(&self) -> Result<CacheStats> {
        let (entries, bytes) = self.run(|model| (model.keys(None).len(), model.size_bytes()));
        let mut stats = self.stats.snapshot();
        stats.current_entries = entries as u64;
        stats.current_size_bytes = bytes;
        Ok(stats)
    }

    fn name(&self) -> &'static str {
        "model"
    }

    fn capabilities(&self) -> Capabilities {
        let absent = [Capability::Persistent, Capability::Shared];
        Capability::ALL
            .into_iter()
            .filter(|capability| !absent.contains(capability))
            .fold(Capabilities::new(), Capabilities::with)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let item = self.run(|model| model.get_item(key));
        Ok(item.map(|item| {
            let mut entry = CacheEntry::new(key, item.value, self.started + item.created);
            entry.expires_at = item.end.map(|end| self.started + end);
            entry.metadata = item.metadata;
            entry.tags = item.tags;
            entry
        }))
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        Ok(self.run(|model| model.keys(pattern)))
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.run(|model| model.increment(key, delta, ttl))
            .map_err(|kind| Error::new(kind, "cannot add to what is stored"))
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        Ok(self.run(|model| model.touch(key, ttl)))
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        Ok(self.run(|model| model.ttl(key)))
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        Ok(Some(self.run(|model| model.invalidate_tags(tags, which))))
    }
}
