//! One of several tiers.

use std::time::{Duration, SystemTime};

use larder_core::{
    CacheBackend, CacheEntry, Capability, Pattern, Result, SetOptions, SharedBackend, Ttl,
};

/// A backend at its place.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) backend: SharedBackend,
    /// How long it keeps something at most.
    pub(super) at_most: Option<Duration>,
}

impl Tier {
    pub(super) fn new(backend: SharedBackend, at_most: Option<Duration>) -> Self {
        Self { backend, at_most }
    }

    pub(super) fn has(&self, capability: Capability) -> bool {
        self.backend.capabilities().has(capability)
    }

    /// The options as this tier can have them: nothing in it is forever if it is limited,
    /// and what it cannot keep is left out.
    pub(super) fn options(&self, options: &SetOptions) -> SetOptions {
        let mut options = options.clone();
        options.ttl = self.ttl(options.ttl);
        if !self.has(Capability::Metadata) {
            options.metadata.clear();
        }
        options
    }

    /// This lifetime, or the longest that this tier gives.
    pub(super) fn ttl(&self, ttl: Ttl) -> Ttl {
        let lifetime = ttl.resolve(None);
        match (lifetime, self.at_most) {
            (Some(lifetime), Some(at_most)) => Ttl::After(lifetime.min(at_most)),
            (None, Some(at_most)) => Ttl::After(at_most),
            (_, None) => ttl,
        }
    }

    /// Keeps a copy of an entry that another tier has.
    pub(super) async fn fill(&self, entry: &CacheEntry, now: SystemTime) -> Result<bool> {
        let ttl = match entry.ttl_remaining(now) {
            // It has just ended.
            Some(rest) if rest.is_zero() => return Ok(false),
            Some(rest) => Ttl::After(rest),
            None => Ttl::Never,
        };
        let mut options = SetOptions::new().with_ttl(ttl);
        options.metadata.clone_from(&entry.metadata);
        let options = self.options(&options);
        self.backend
            .set(&entry.key, entry.value.clone(), options)
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
