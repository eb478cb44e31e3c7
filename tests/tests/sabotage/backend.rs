//! A memory backend that breaks one promise.

use std::time::Duration;

use bytes::Bytes;
use larder_core::{
    CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Condition, Counter, ErrorKind,
    ManualClock, Pattern, Result, ScanPage, SetOptions, StatsRecorder, TagMatch, Ttl, TtlState,
};
use larder_memory::InMemoryBackend;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    LosesEmptyValues,
    CutsLargeValues,
    FindsWhatIsMissing,
    KeepsTheOldLifetime,
    DeletesWhatIsMissing,
    CountsExistsAsGet,
    MiscountsClear,
    FoldsCase,
    ExpiresLate,
    ExpiresEarly,
    ExpiresEverything,
    TouchCreates,
    TouchDoesNothing,
    TtlIsConstant,
    RepeatsKeys,
    ReversesKeys,
    ForgetsLastItem,
    CountsAllDeletes,
    HidesOneKey,
    IgnoresPatterns,
    RepeatsPages,
    DeletesOneTooMany,
    CountsFromOne,
    StopsAtZero,
    CountingEndsLifetime,
    NewCountersNeverEnd,
    TextCountsAsZero,
    WrapsAround,
    ResetsOnlyTheCopy,
    CountsExpiredAsCurrent,
    ForgetsMetadata,
    IgnoresConditions,
    PromisesTags,
    CountsInTwoSteps,
    MixesUpKeys,
}

/// The memory backend with one flaw.
pub(crate) struct Sabotaged {
    flaw: Flaw,
    inner: InMemoryBackend,
}

impl Sabotaged {
    pub(crate) fn new(flaw: Flaw, clock: ManualClock) -> Self {
        Self {
            flaw,
            inner: InMemoryBackend::with_clock(clock),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
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
        self.inner.set(&key, value, options)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
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
        Ok(cleared + u64::from(self.has(Flaw::MiscountsClear)))
    }

    async fn stats(&self) -> Result<CacheStats> {
        let mut stats = self.inner.stats();
        if self.has(Flaw::CountsExpiredAsCurrent) {
            stats.current_entries += stats.evicted_expired;
        }
        if self.has(Flaw::ResetsOnlyTheCopy) {
            // The same numbers from a recorder that nobody else counts in.
            let recorder = std::sync::Arc::new(StatsRecorder::new());
            recorder.add(Counter::Hit, stats.hits);
            recorder.add(Counter::Miss, stats.misses);
            recorder.add(Counter::Set, stats.sets);
            let mut copy = recorder.snapshot();
            copy.current_entries = stats.current_entries;
            return Ok(copy);
        }
        Ok(stats)
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
        self.inner.get_entry(key)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let mut found = self.inner.get_many(keys)?;
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
        options: SetOptions,
    ) -> Result<larder_core::BatchReport> {
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
        let mut keys = self.inner.keys(pattern);
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
        Ok(deleted)
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        match self.flaw {
            Flaw::CountsFromOne if !self.inner.exists(key)? => {
                self.inner.increment(key, delta.saturating_add(1), ttl)
            }
            Flaw::NewCountersNeverEnd => self.inner.increment(key, delta, Ttl::Never),
            Flaw::StopsAtZero | Flaw::CountingEndsLifetime => {
                let sum = self.inner.increment(key, delta, ttl)?;
                let sum = if self.has(Flaw::StopsAtZero) {
                    sum.max(0)
                } else {
                    sum
                };
                self.inner.set(key, sum.to_string(), SetOptions::new())?;
                Ok(sum)
            }
            Flaw::TextCountsAsZero | Flaw::WrapsAround => {
                let outcome = self.inner.increment(key, delta, ttl);
                match outcome.as_ref().map_err(larder_core::Error::kind) {
                    Err(ErrorKind::NotANumber) if self.has(Flaw::TextCountsAsZero) => Ok(delta),
                    Err(ErrorKind::Overflow) if self.has(Flaw::WrapsAround) => Ok(0),
                    _ => outcome,
                }
            }
            Flaw::CountsInTwoSteps => {
                let text = self
                    .inner
                    .get(key)?
                    .map(|value| String::from_utf8_lossy(&value).into_owned());
                let number: i64 = text.and_then(|text| text.parse().ok()).unwrap_or(0);
                std::thread::yield_now();
                self.inner.set(key, (number + delta).to_string(), ttl)?;
                Ok(number + delta)
            }
            _ => self.inner.increment(key, delta, ttl),
        }
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
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

    async fn invalidate_tags(&self, _tags: &[&str], _which: TagMatch) -> Result<u64> {
        Ok(0)
    }
}
