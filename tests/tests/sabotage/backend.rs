//! A memory backend that breaks one promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder::Policy;
use larder_core::{
    CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Condition, Error, ManualClock,
    Pattern, Result, ScanPage, SetOptions, TagMatch, Ttl, TtlState,
};
use larder_memory::InMemoryBackend;

use crate::flaw::Flaw;

/// A limit that cases can fill and their largest values fit.
pub(crate) const MAX_SIZE_BYTES: u64 = 1024 * 1024 + 64 * 1024;

/// The memory backend with one flaw.
pub(crate) struct Sabotaged {
    pub(crate) flaw: Flaw,
    pub(crate) inner: InMemoryBackend,
    /// By how much a wrong number is wrong.
    pub(crate) off: AtomicU64,
}

impl Sabotaged {
    pub(crate) fn new(flaw: Flaw, clock: ManualClock) -> Self {
        let limit = match flaw {
            Flaw::HasALargerLimit => MAX_SIZE_BYTES * 10,
            _ => MAX_SIZE_BYTES,
        };
        let policy = match flaw {
            Flaw::ReadingIsNoUse => Policy::Fifo,
            _ => Policy::Lru,
        };
        let inner = InMemoryBackend::builder()
            .max_size_bytes(limit)
            .policy(policy)
            .clock(Arc::new(clock))
            .build();
        Self {
            flaw,
            inner: inner.expect("a positive limit"),
            off: AtomicU64::new(0),
        }
    }

    /// Whether what is promised is done at all.
    pub(crate) fn can(&self) -> Result<()> {
        if self.has(Flaw::PromisesOnly) {
            return Err(Error::unsupported("what was promised"));
        }
        Ok(())
    }

    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn key(&self, key: &str) -> String {
        match self.flaw {
            Flaw::FoldsCase => key.to_lowercase(),
            Flaw::MixesUpKeys if key.starts_with("key:") => "key:one".to_owned(),
            _ => key.to_owned(),
        }
    }

    fn ttl_for(&self, key: &str, ttl: Ttl) -> Ttl {
        let milli = Duration::from_millis(1);
        match (self.flaw, ttl) {
            (Flaw::ExpiresLate, Ttl::After(after)) => Ttl::After(after + milli),
            (Flaw::ExpiresEarly, Ttl::After(after)) => Ttl::After(after.saturating_sub(milli)),
            (Flaw::ExpiresEverything, Ttl::Default | Ttl::Never) => Ttl::After(milli * 1_000),
            (Flaw::KeepsTheOldLifetime, ttl) => match self.inner.ttl(key) {
                Ok(Some(TtlState::Remaining(rest))) => Ttl::After(rest),
                _ => ttl,
            },
            _ => ttl,
        }
    }
}

impl CacheBackend for Sabotaged {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let value = self.inner.get(&self.key(key))?;
        Ok(match self.flaw {
            Flaw::LosesEmptyValues => value.filter(|value| !value.is_empty()),
            Flaw::CutsLargeValues => value.map(|value| value.slice(..value.len().min(65_535))),
            Flaw::FindsWhatIsMissing => Some(value.unwrap_or_default()),
            _ => value,
        })
    }

    async fn set(&self, key: &str, value: Bytes, mut options: SetOptions) -> Result<bool> {
        let key = self.key(key);
        options.ttl = self.ttl_for(&key, options.ttl);
        if self.has(Flaw::ForgetsMetadata) {
            options.metadata.clear();
        }
        if self.has(Flaw::IgnoresConditions) {
            options.condition = Condition::Always;
        }
        if self.has(Flaw::PromisesTags) {
            options.tags.clear();
        }
        if self.has(Flaw::KeepsOldTags)
            && let Some(old) = self.inner.get_entry(&key)?
        {
            options.tags.extend(old.tags);
        }
        if self.has(Flaw::InvalidatesForEver) && self.off.load(Relaxed) > 0 {
            return Ok(true);
        }
        let bytes = value.len() as u64;
        if self.has(Flaw::KeepsTheOldOversized) && bytes > MAX_SIZE_BYTES
            || self.has(Flaw::RefusesTheLimit) && bytes == MAX_SIZE_BYTES
        {
            return Ok(false);
        }
        // Found out for these flaws only, because it looks at every entry.
        let is_replaced = self.has(Flaw::WritingIsNoUse) && self.inner.exists(&key)?;
        let evicted = match self.flaw {
            Flaw::EvictsOneTooMany => self.inner.stats().evicted_capacity,
            _ => u64::MAX,
        };
        let stored = self.inner.set(&key, value, options)?;
        if is_replaced {
            // All others are used after it.
            for other in self.inner.eviction_order(100) {
                if other != key {
                    self.inner.get(&other)?;
                }
            }
        }
        if self.inner.stats().evicted_capacity > evicted {
            for victim in self.inner.eviction_order(1) {
                self.inner.delete(&victim)?;
            }
        }
        self.off.fetch_add(u64::from(!stored), Relaxed);
        Ok(stored)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        if self.has(Flaw::DeleteRemovesNothing) {
            return self.inner.exists(key);
        }
        let deleted = self.inner.delete(&self.key(key))?;
        Ok(deleted || self.has(Flaw::DeletesWhatIsMissing))
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        if self.has(Flaw::CountsExistsAsGet) {
            return Ok(self.inner.get(key)?.is_some());
        }
        self.inner.exists(&self.key(key))
    }

    async fn clear(&self) -> Result<u64> {
        let cleared = self.inner.clear();
        self.off.fetch_add(cleared, Relaxed);
        Ok(cleared + u64::from(self.has(Flaw::MiscountsClear)))
    }

    async fn stats(&self) -> Result<CacheStats> {
        Ok(self.numbers())
    }

    fn capabilities(&self) -> Capabilities {
        let honest = self.inner.capabilities();
        if self.has(Flaw::PromisesTags) {
            honest.with(Capability::Tags)
        } else {
            honest
        }
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        self.can()?;
        let mut entry = self.inner.get_entry(key)?;
        if let Some(entry) = entry.as_mut().filter(|_| self.has(Flaw::ForgetsTimes)) {
            entry.created_at = SystemTime::UNIX_EPOCH;
        }
        Ok(entry)
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        self.can()?;
        let mut found = self.inner.get_entries(keys)?;
        if self.has(Flaw::ReversesEntries) {
            found.reverse();
        }
        Ok(found)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let mut found = self.inner.get_many(keys)?;
        if self.has(Flaw::BatchFillsGaps) && found.is_empty() {
            found.extend(keys.iter().map(|key| ((*key).to_owned(), Bytes::new())));
        }
        if self.has(Flaw::RepeatsKeys) {
            found.extend(found.first().cloned());
        }
        if self.has(Flaw::ReversesKeys) {
            found.reverse();
        }
        Ok(found)
    }

    async fn set_many(
        &self,
        mut items: Vec<(String, Bytes)>,
        mut options: SetOptions,
    ) -> Result<larder_core::BatchReport> {
        if self.has(Flaw::BatchIgnoresConditions) {
            options.condition = Condition::Always;
        }
        if self.has(Flaw::CountsABatchAsOne) {
            self.off.fetch_add(items.len() as u64 - 1, Relaxed);
        }
        if self.has(Flaw::BatchForgetsTags) {
            options.tags.clear();
        }
        if self.has(Flaw::ForgetsLastItem) {
            items.pop();
        }
        Ok(self.inner.set_many(items, options))
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let deleted = self.inner.delete_many(keys)?;
        Ok(if self.has(Flaw::CountsAllDeletes) {
            keys.len() as u64
        } else {
            deleted
        })
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let pattern = pattern.filter(|_| !self.has(Flaw::IgnoresPatterns));
        self.can()?;
        let mut keys = self.inner.keys(pattern);
        if self.has(Flaw::KeysHaveAPrefix) {
            for key in &mut keys {
                key.insert_str(0, "app:");
            }
        }
        if self.has(Flaw::ListsAThousand) {
            keys.truncate(1_000);
        }
        if self.has(Flaw::HidesOneKey) {
            keys.pop();
        }
        Ok(keys)
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let after = after.filter(|_| !self.has(Flaw::RepeatsPages));
        Ok(self.inner.scan(pattern, after, limit))
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let deleted = self.inner.delete_pattern(pattern);
        if self.has(Flaw::DeletesOneTooMany) {
            self.inner.delete("session:abc")?;
        }
        Ok(deleted + u64::from(self.has(Flaw::MiscountsPatterns)))
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.can()?;
        self.count(key, delta, ttl)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.can()?;
        match self.flaw {
            Flaw::TouchDoesNothing => self.inner.exists(key),
            Flaw::TouchCreates if !self.inner.exists(key)? => self.inner.set(key, "", ttl),
            _ => self.inner.touch(key, ttl),
        }
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let ttl = self.inner.ttl(key)?;
        if self.has(Flaw::TtlIsConstant) {
            return Ok(ttl.map(|_| TtlState::Remaining(Duration::from_secs(60))));
        }
        Ok(ttl)
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        let which = match self.flaw {
            Flaw::AllTagsAreAny => TagMatch::Any,
            _ => which,
        };
        let removed = self.inner.invalidate_tags(tags, which);
        self.off.fetch_add(removed, Relaxed);
        Ok(Some(removed))
    }
}
