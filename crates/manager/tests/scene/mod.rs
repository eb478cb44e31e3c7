//! A cache in memory before something far that tests can slow down and switch off.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]

pub mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Error, ErrorKind, ManualClock,
    Pattern, Result, SetOptions, SharedBackend, Ttl,
};
use larder_manager::Tiers;
use larder_memory::InMemoryBackend;
use tokio::sync::Semaphore;

/// What several programs share: it can be slow, and away.
#[derive(Debug, Clone)]
pub struct Far(pub Arc<State>, Arc<AtomicBool>);

#[derive(Debug)]
pub struct State {
    pub memory: InMemoryBackend,
    /// Each answer to a read needs a permit, when it has been found.
    answers: Semaphore,
    /// Reads that wait for their answers.
    reading: Semaphore,
    pub reads: AtomicU64,
    pub is_away: AtomicBool,
    /// Nothing is answered.
    pub is_mute: AtomicBool,
}

/// More permits than any test needs.
pub const MANY: usize = 100_000;

impl Far {
    /// The same over a line of its own, which can be cut.
    pub fn line(&self) -> Self {
        Self(Arc::clone(&self.0), Arc::default())
    }

    /// Whether this line is cut from now on.
    pub fn cut(&self, is_cut: bool) {
        self.1.store(is_cut, Ordering::Relaxed);
    }

    pub fn new(clock: &ManualClock) -> Self {
        let state = State {
            memory: InMemoryBackend::with_clock(clock.clone()),
            answers: Semaphore::new(MANY),
            reading: Semaphore::new(0),
            reads: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
        };
        Self(Arc::new(state), Arc::default())
    }

    /// Keeps answers to reads back from now on.
    pub fn slow_down(&self) {
        self.0.answers.forget_permits(MANY);
    }

    /// Waits until so many reads have found something and wait.
    pub async fn has_read(&self, count: u32) {
        let waiting = self.0.reading.acquire_many(count).await;
        waiting.expect("it is never closed").forget();
    }

    pub fn answer(&self, count: usize) {
        self.0.answers.add_permits(count);
    }

    pub fn can(&self) -> Result<&InMemoryBackend> {
        if self.0.is_away.load(Ordering::Relaxed) || self.1.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "it is away"));
        }
        Ok(&self.0.memory)
    }

    /// On the way to it.
    async fn way(&self) {
        tokio::task::yield_now().await;
        if self.0.is_mute.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    async fn read<T>(&self, found: Result<T>) -> Result<T> {
        if self.0.is_mute.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        self.0.reading.add_permits(1);
        self.0
            .answers
            .acquire()
            .await
            .expect("it is never closed")
            .forget();
        found
    }
}

impl CacheBackend for Far {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.read(self.can()?.get(key)).await
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        self.way().await;
        let stored = self.can()?.set(key, value, options);
        // The answer takes a while.
        tokio::task::yield_now().await;
        stored
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.way().await;
        self.can()?.delete(key)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        self.can()?.exists(key)
    }

    async fn clear(&self) -> Result<u64> {
        Ok(self.can()?.clear())
    }

    async fn stats(&self) -> Result<CacheStats> {
        Ok(self.can()?.stats())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .with(Capability::Entries)
            .with(Capability::Keys)
            .with(Capability::Metadata)
            .with(Capability::Conditions)
            .with(Capability::Shared)
            .with(Capability::Touch)
            .with(Capability::Counters)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        self.read(self.can()?.get_entry(key)).await
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let keys: Vec<&str> = distinct(keys).collect();
        self.read(self.can()?.get_entries(&keys)).await
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        Ok(self.can()?.keys(pattern))
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        Ok(self.can()?.delete_pattern(pattern))
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.can()?.touch(key, ttl)
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.can()?.increment(key, delta, ttl)
    }
}

/// A cache with memory before something far, and both of them.
pub struct Scene {
    pub cache: SharedBackend,
    pub near: InMemoryBackend,
    pub far: Far,
    pub clock: ManualClock,
}

pub fn scene() -> Scene {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    scene_with(far, clock)
}

/// The same before something far that others use too.
pub fn scene_with(far: Far, clock: ManualClock) -> Scene {
    let near = InMemoryBackend::with_clock(clock.clone());
    let tiers = Tiers::builder()
        .tier_for(near.clone(), Duration::from_secs(60))
        .tier(far.clone())
        .clock(Arc::new(clock.clone()))
        .build();
    let cache = SharedBackend::new(tiers.expect("legal settings"));
    Scene {
        cache,
        near,
        far,
        clock,
    }
}

impl Scene {
    /// Reads a key, and while the answer is on its way does something else.
    pub async fn while_reading<T>(&self, change: impl Future<Output = Result<T>>) -> Option<Bytes> {
        self.far.slow_down();
        let cache = self.cache.clone();
        let reading = tokio::spawn(async move { cache.get("key").await });
        self.far.has_read(1).await;
        change.await.expect("it succeeds");
        self.far.answer(MANY);
        reading
            .await
            .expect("it does not panic")
            .expect("it succeeds")
    }
}
