//! The one handle to any backend, and the rules that hold for all of them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::erased::ErasedBackend;
use super::{Blocking, CacheBackend};
use crate::batch::{BatchReport, ScanPage};
use crate::capability::{Capabilities, Capability};
use crate::counter;
use crate::entry::CacheEntry;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::key::check_key;
use crate::options::{Condition, SetOptions, TagMatch, Ttl, TtlState};
use crate::pattern::Pattern;
use crate::stats::{CacheStats, Counter, StatsRecorder};
use crate::tags::check_tags;

/// A cheap, clonable handle to any backend; clones are the same cache.
///
/// It is itself a [`CacheBackend`] and applies what holds for all of them, in
/// one place:
///
/// - keys and tags are checked, and patterns, tags, metadata and conditions are
///   [`Unsupported`](ErrorKind::Unsupported) where the backend does not promise them;
/// - a value over the backend's limit is refused and removes the older value;
/// - a time to live of zero stores nothing, removes what was there, and is done;
/// - errors get the backend's name, the operation and the key, and are counted.
///
/// ```
/// use larder_core::{CacheBackend, SharedBackend};
///
/// fn is_empty(cache: &SharedBackend) -> larder_core::Result<bool> {
///     Ok(cache.clone().blocking().keys(None)?.is_empty())
/// }
/// ```
#[derive(Clone)]
pub struct SharedBackend {
    inner: Arc<dyn ErasedBackend>,
    /// What only this handle sees: failures and refusals.
    seen: Arc<StatsRecorder>,
}

impl SharedBackend {
    /// A handle to `backend`.
    pub fn new(backend: impl CacheBackend) -> Self {
        Self {
            inner: Arc::new(backend),
            seen: Arc::default(),
        }
    }

    /// The same cache for callers that cannot await.
    pub fn blocking(&self) -> Blocking {
        Blocking::new(self.clone())
    }

    /// Runs one operation, and gives its error a place and a count.
    async fn run<T>(
        &self,
        operation: Operation,
        key: Option<&str>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        work.await
            .map_err(|error| self.placed(error, operation, key))
    }

    /// Counts an error and gives it a place, unless another handle has done so.
    fn placed(&self, error: Error, operation: Operation, key: Option<&str>) -> Error {
        if error.operation().is_some() {
            return error;
        }
        self.seen.add(Counter::Error, 1);
        if error.kind() == ErrorKind::Timeout {
            self.seen.add(Counter::Timeout, 1);
        }
        error.in_operation(operation, self.inner.name_dyn(), key)
    }

    fn check(&self, key: &str) -> Result<()> {
        check_key(key, self.inner.capabilities_dyn().max_key_bytes())
    }

    fn check_all(&self, keys: &[&str]) -> Result<()> {
        keys.iter().try_for_each(|key| self.check(key))
    }

    fn require(&self, capability: Capability) -> Result<()> {
        if self.inner.capabilities_dyn().has(capability) {
            Ok(())
        } else {
            Err(Error::unsupported(capability))
        }
    }

    fn check_pattern(&self, pattern: Option<&Pattern>) -> Result<()> {
        self.require(Capability::Keys)?;
        pattern.map_or(Ok(()), |pattern| self.require(pattern.capability()))
    }

    fn check_options(&self, options: &SetOptions) -> Result<()> {
        if !options.metadata.is_empty() {
            self.require(Capability::Metadata)?;
        }
        if !options.tags.is_empty() {
            check_tags(&options.tags)?;
            self.require(Capability::Tags)?;
        }
        if options.condition != Condition::Always {
            self.require(Capability::Conditions)?;
        }
        Ok(())
    }

    async fn checked_set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        self.check(key)?;
        self.check_options(&options)?;
        if options.ttl.is_zero() {
            return self.set_already_expired(key, options.condition).await;
        }
        if value.len() > self.inner.capabilities_dyn().max_value_bytes() {
            self.seen.add(Counter::Rejected, 1);
            // The application has replaced the old value: it must not be served again.
            self.inner.delete_dyn(key).await?;
            return Ok(false);
        }
        self.inner.set_dyn(key, value, options).await
    }

    /// Stores nothing and removes what was there, if the condition holds.
    async fn set_already_expired(&self, key: &str, condition: Condition) -> Result<bool> {
        match condition {
            Condition::Always => self.inner.delete_dyn(key).await.map(|_| true),
            Condition::IfAbsent => self.inner.exists_dyn(key).await.map(|present| !present),
            Condition::IfPresent => self.inner.delete_dyn(key).await,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for SharedBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.run(Operation::Get, Some(key), async {
            self.check(key)?;
            self.inner.get_dyn(key).await
        })
        .await
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let work = self.checked_set(key, value, options);
        self.run(Operation::Set, Some(key), work).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.run(Operation::Delete, Some(key), async {
            self.check(key)?;
            self.inner.delete_dyn(key).await
        })
        .await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        self.run(Operation::Exists, Some(key), async {
            self.check(key)?;
            self.inner.exists_dyn(key).await
        })
        .await
    }

    async fn clear(&self) -> Result<u64> {
        self.run(Operation::Clear, None, self.inner.clear_dyn())
            .await
    }

    async fn stats(&self) -> Result<CacheStats> {
        let stats = self.inner.stats_dyn();
        let stats = self.run(Operation::Stats, None, stats).await?;
        Ok(stats.with(&self.seen))
    }

    fn name(&self) -> &'static str {
        self.inner.name_dyn()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities_dyn()
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        self.run(Operation::GetEntry, Some(key), async {
            self.check(key)?;
            self.require(Capability::Entries)?;
            self.inner.get_entry_dyn(key).await
        })
        .await
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        self.run(Operation::GetMany, None, async {
            self.check_all(keys)?;
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            self.inner.get_many_dyn(keys).await
        })
        .await
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        self.run(Operation::GetEntries, None, async {
            self.check_all(keys)?;
            self.require(Capability::Entries)?;
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            self.inner.get_entries_dyn(keys).await
        })
        .await
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let options_are_fine = async { self.check_options(&options) };
        self.run(Operation::SetMany, None, options_are_fine).await?;
        let limit = self.capabilities().max_value_bytes();
        let is_plain =
            |(key, value): &(String, Bytes)| self.check(key).is_ok() && value.len() <= limit;
        if !options.ttl.is_zero() && items.iter().all(is_plain) {
            if items.is_empty() {
                return Ok(BatchReport::new());
            }
            let all = self.inner.set_many_dyn(items, options);
            let report = self.run(Operation::SetMany, None, all).await?;
            return Ok(
                report.map_failures(|key, error| self.placed(error, Operation::SetMany, Some(key)))
            );
        }
        // Something in it needs a rule of its own: one by one, each with its outcome.
        let mut report = BatchReport::new();
        for (key, value) in items {
            let outcome = self.set(&key, value, options.clone()).await;
            report.record(&key, outcome);
        }
        Ok(report)
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        self.run(Operation::DeleteMany, None, async {
            self.check_all(keys)?;
            if keys.is_empty() {
                return Ok(0);
            }
            self.inner.delete_many_dyn(keys).await
        })
        .await
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        self.run(Operation::Keys, None, async {
            self.check_pattern(pattern)?;
            self.inner.keys_dyn(pattern).await
        })
        .await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.run(Operation::Scan, None, async {
            self.check_pattern(pattern)?;
            self.inner.scan_dyn(pattern, after, limit).await
        })
        .await
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        self.run(Operation::DeletePattern, None, async {
            self.check_pattern(Some(pattern))?;
            self.inner.delete_pattern_dyn(pattern).await
        })
        .await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.run(Operation::Increment, Some(key), async {
            self.check(key)?;
            self.require(Capability::Counters)?;
            counter::check_ttl(ttl)?;
            self.inner.increment_dyn(key, delta, ttl).await
        })
        .await
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.run(Operation::Decrement, Some(key), async {
            self.check(key)?;
            self.require(Capability::Counters)?;
            counter::check_ttl(ttl)?;
            self.inner.decrement_dyn(key, delta, ttl).await
        })
        .await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.run(Operation::Touch, Some(key), async {
            self.check(key)?;
            self.require(Capability::Touch)?;
            if ttl.is_zero() {
                return self.inner.delete_dyn(key).await;
            }
            self.inner.touch_dyn(key, ttl).await
        })
        .await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        self.run(Operation::Ttl, Some(key), async {
            self.check(key)?;
            self.require(Capability::Entries)?;
            self.inner.ttl_dyn(key).await
        })
        .await
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        self.run(Operation::InvalidateTags, None, async {
            check_tags(tags)?;
            self.require(Capability::Tags)?;
            if tags.is_empty() {
                return Ok(Some(0));
            }
            self.inner.invalidate_tags_dyn(tags, which).await
        })
        .await
    }
}

impl fmt::Debug for SharedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBackend")
            .field("name", &self.name())
            .field("capabilities", &self.capabilities().to_string())
            .finish_non_exhaustive()
    }
}
