//! Counting wrongly.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use larder_core::{CacheStats, Counter, ErrorKind, Result, SetOptions, StatsRecorder, Ttl};

use crate::backend::Sabotaged;
use crate::flaw::Flaw;

impl Sabotaged {
    /// `increment` with its flaws.
    pub(crate) fn count(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
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
            Flaw::CountersArePadded => {
                let text = self.inner.get(key)?;
                let text = String::from_utf8_lossy(text.as_deref().unwrap_or(b"0")).into_owned();
                let sum = text.trim().parse::<i64>().unwrap_or(0).wrapping_add(delta);
                self.inner.set(key, format!("{sum:>20}"), ttl)?;
                Ok(sum)
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
    /// `stats` with its flaws.
    pub(crate) fn numbers(&self) -> CacheStats {
        let mut stats = self.inner.stats();
        if self.has(Flaw::CountsExpiredAsCurrent) {
            stats.current_entries += stats.evicted_expired;
        }
        let off = self.off.load(Relaxed);
        match self.flaw {
            Flaw::CountsClearAsDeletes => stats.deletes += off,
            Flaw::CountsRefusedSets => stats.sets += off,
            Flaw::CountsABatchAsOne => stats.sets -= off,
            Flaw::ForgetsExpired => stats.evicted_expired = 0,
            Flaw::CountsExpiredAsDeletes => stats.deletes += stats.evicted_expired,
            Flaw::SizeIncludesKeys => stats.current_size_bytes += stats.current_entries,
            Flaw::SizeNeverShrinks => {
                let most = self.off.fetch_max(stats.current_size_bytes, Relaxed);
                stats.current_size_bytes = stats.current_size_bytes.max(most);
            }
            _ => {}
        }
        if self.has(Flaw::ResetsOnlyTheCopy) {
            // The same numbers from a recorder that nobody else counts in.
            let recorder = Arc::new(StatsRecorder::new());
            recorder.add(Counter::Hit, stats.hits);
            recorder.add(Counter::Miss, stats.misses);
            recorder.add(Counter::Set, stats.sets);
            let mut copy = recorder.snapshot();
            copy.current_entries = stats.current_entries;
            return copy;
        }
        stats
    }
}
