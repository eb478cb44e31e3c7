//! One of several tiers.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, Capability, Pattern, Result, SetOptions, SharedBackend,
    Ttl,
};
use larder_memory::InMemoryBackend;

use super::packed::Packed;
use super::tokens::LONGEST_TAGGED;

/// A backend at its place.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) backend: SharedBackend,
    /// The same, if it is in the memory of this process.
    pub(crate) memory: Option<InMemoryBackend>,
    /// How long it keeps something at most.
    pub(crate) at_most: Option<Duration>,
    /// How long it keeps something at most while nobody tells of changes.
    pub(crate) untold: Option<(Duration, Arc<AtomicBool>)>,
    /// It keeps tags itself; otherwise they are packed with the value.
    pub(super) keeps_tags: bool,
}

impl Tier {
    pub(crate) fn new<B: CacheBackend>(backend: B, at_most: Option<Duration>) -> Self {
        let any: &dyn Any = &backend;
        let memory = any.downcast_ref().cloned();
        let backend = SharedBackend::new(backend);
        Self {
            keeps_tags: backend.capabilities().has(Capability::Tags),
            backend,
            memory,
            at_most,
            untold: None,
        }
    }

    pub(crate) fn has(&self, capability: Capability) -> bool {
        self.backend.capabilities().has(capability)
    }

    /// This lifetime, or the longest that this tier gives.
    pub(super) fn ttl(&self, ttl: Ttl) -> Ttl {
        let untold = self.untold.as_ref();
        // Ordering: relaxed, what was stored before is distrusted.
        let untold = untold.filter(|(_, is_told)| !is_told.load(Ordering::Relaxed));
        let limits = [self.at_most, untold.map(|(at_most, _)| *at_most)];
        match limits.into_iter().flatten().min() {
            Some(at_most) => shorter(ttl, at_most),
            None => ttl,
        }
    }

    /// The same for a value of these tags.
    pub(super) fn ttl_of(&self, tags: &[String], ttl: Ttl) -> Ttl {
        let ttl = self.ttl(ttl);
        if self.keeps_tags || tags.is_empty() {
            return ttl;
        }
        shorter(ttl, LONGEST_TAGGED)
    }

    /// The options as this tier can have them: nothing in it is forever if it is limited,
    /// and what it cannot keep is left out.
    fn options(&self, options: &SetOptions) -> SetOptions {
        let mut options = options.clone();
        if !self.has(Capability::Metadata) {
            options.metadata.clear();
        }
        options.ttl = self.ttl_of(&options.tags, options.ttl);
        if !self.keeps_tags {
            options.tags.clear();
        }
        options
    }

    /// The value as this tier keeps it.
    fn form(&self, value: Bytes, tags: &[String], stamp: Option<u64>) -> Bytes {
        if self.keeps_tags {
            return value;
        }
        let tags = tags.to_vec();
        Packed { value, tags, stamp }.to_bytes()
    }

    pub(super) async fn set(
        &self,
        key: &str,
        value: Bytes,
        options: &SetOptions,
        stamp: Option<u64>,
    ) -> Result<bool> {
        let value = self.form(value, &options.tags, stamp);
        self.backend.set(key, value, self.options(options)).await
    }

    /// The same, but for the whole lifetime, however long this tier keeps copies.
    pub(super) async fn set_for_good(
        &self,
        key: &str,
        value: Bytes,
        options: &SetOptions,
    ) -> Result<bool> {
        let mut whole = self.options(options);
        whole.ttl = options.ttl;
        let value = self.form(value, &options.tags, None);
        self.backend.set(key, value, whole).await
    }

    pub(super) async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: &SetOptions,
        stamp: Option<u64>,
    ) -> Result<BatchReport> {
        let form = |(key, value)| (key, self.form(value, &options.tags, stamp));
        let items = items.into_iter().map(form).collect();
        self.backend.set_many(items, self.options(options)).await
    }

    /// Whether what is in memory is a copy of this entry; then it is served again if it was
    /// distrusted.
    fn revalidate(&self, entry: &CacheEntry, now: SystemTime) -> bool {
        let Some(memory) = &self.memory else {
            return false;
        };
        let is_bare = entry.tags.is_empty() && entry.metadata.is_empty();
        if !is_bare || !memory.revalidate(&entry.key, &entry.value) {
            return false;
        }
        let ttl = entry.ttl_remaining(now).map_or(Ttl::Never, Ttl::After);
        memory.touch(&entry.key, self.ttl(ttl)).unwrap_or(false)
    }

    /// Keeps a copy of an entry that another tier has.
    pub(super) async fn fill(
        &self,
        entry: &CacheEntry,
        stamp: Option<u64>,
        now: SystemTime,
    ) -> Result<bool> {
        let ttl = match entry.ttl_remaining(now) {
            // It has just ended.
            Some(rest) if rest.is_zero() => return Ok(false),
            Some(rest) => Ttl::After(rest),
            None => Ttl::Never,
        };
        if self.revalidate(entry, now) {
            return Ok(true);
        }
        let mut options = SetOptions::new().with_ttl(ttl);
        options.metadata.clone_from(&entry.metadata);
        options.tags.clone_from(&entry.tags);
        self.set(&entry.key, entry.value.clone(), &options, stamp)
            .await
    }

    /// Removes its copies of what matches, and perhaps of more.
    pub(super) async fn forget_matching(&self, pattern: &Pattern) -> Result<()> {
        if self.has(pattern.capability()) {
            return self.backend.delete_pattern(pattern).await.map(drop);
        }
        self.backend.clear().await.map(drop)
    }
}

/// The lifetime, or this one if it is longer.
fn shorter(ttl: Ttl, at_most: Duration) -> Ttl {
    let lifetime = ttl.resolve(None).unwrap_or(at_most);
    Ttl::After(lifetime.min(at_most))
}
