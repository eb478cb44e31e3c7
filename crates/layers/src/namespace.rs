//! A part of a store that is like a store of its own.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, ConfigError,
    Counter, Layer, Pattern, Result, ScanPage, SetOptions, SharedBackend, StatsRecorder, TagMatch,
    Ttl, TtlState, check_key,
};

/// Longest prefix in bytes.
const MAX_PREFIX_BYTES: usize = 64;

/// Puts a prefix before every key, so that others in the same store are not met: not by
/// keys, patterns or tags, and not when it is cleared.
///
/// Its statistics count the requests that went through it, and, where keys can be
/// listed, its entries; the rest is the whole store's.
///
/// ```
/// use larder_core::{Layer, SetOptions, SharedBackend};
/// use larder_layers::Namespace;
/// # use larder_core::ManualClock;
/// # let store = SharedBackend::new(larder_testkit::ModelBackend::with_clock(ManualClock::new()));
///
/// let [shop, blog] = ["shop:", "blog:"].map(Namespace::new);
/// let (shop, blog) = (shop?.layer(store.clone()).blocking(), blog?.layer(store).blocking());
/// shop.set("front", "apples", SetOptions::new())?;
/// blog.set("front", "news", SetOptions::new())?;
/// assert_eq!(shop.clear()?, 1);
/// assert_eq!(blog.keys(None)?, ["front"]);
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Namespace {
    prefix: Arc<str>,
}

impl Namespace {
    /// A namespace by its prefix, of which a separator such as `:` should be the end.
    ///
    /// # Errors
    ///
    /// If it is empty, longer than 64 bytes, or could not begin a key.
    pub fn new(prefix: &str) -> Result<Self, ConfigError> {
        if check_key(prefix, MAX_PREFIX_BYTES).is_err() {
            let allowed = "1 to 64 bytes without control characters";
            return Err(ConfigError::new("prefix", format!("{prefix:?}"), allowed));
        }
        Ok(Self {
            prefix: prefix.into(),
        })
    }
}

impl Layer for Namespace {
    fn layer(&self, inner: SharedBackend) -> SharedBackend {
        SharedBackend::new(Namespaced {
            prefix: Arc::clone(&self.prefix),
            inner,
            stats: Arc::default(),
        })
    }
}

#[derive(Debug)]
struct Namespaced {
    prefix: Arc<str>,
    inner: SharedBackend,
    stats: Arc<StatsRecorder>,
}

impl Namespaced {
    fn full(&self, key: &str) -> String {
        [&self.prefix, key].concat()
    }

    fn all_full(&self, keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| self.full(key)).collect()
    }

    /// The entry as callers know it.
    fn own_entry(&self, mut entry: CacheEntry) -> CacheEntry {
        entry.key = self.own(entry.key);
        for tag in &mut entry.tags {
            *tag = self.own(std::mem::take(tag));
        }
        entry
    }

    /// The key as callers know it; the prefix is there because they were asked for.
    fn own(&self, mut key: String) -> String {
        if key.starts_with(&*self.prefix) {
            key.drain(..self.prefix.len());
        }
        key
    }

    /// Everything here, or what matches here.
    fn pattern(&self, pattern: Option<&Pattern>) -> Pattern {
        match pattern {
            Some(pattern) => pattern.under(&self.prefix),
            None => Pattern::prefix(&self.prefix),
        }
    }

    fn options(&self, mut options: SetOptions) -> SetOptions {
        for tag in &mut options.tags {
            *tag = self.full(tag);
        }
        options
    }

    fn count_found(&self, asked: usize, found: usize) {
        self.stats.add(Counter::Hit, found as u64);
        self.stats
            .add(Counter::Miss, asked.saturating_sub(found) as u64);
    }
}

fn borrowed(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for Namespaced {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let found = self.inner.get(&self.full(key)).await?;
        self.count_found(1, usize::from(found.is_some()));
        Ok(found)
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let options = self.options(options);
        let stored = self.inner.set(&self.full(key), value, options).await?;
        self.stats.add(Counter::Set, u64::from(stored));
        Ok(stored)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let deleted = self.inner.delete(&self.full(key)).await?;
        self.stats.add(Counter::Delete, u64::from(deleted));
        Ok(deleted)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        self.inner.exists(&self.full(key)).await
    }

    async fn clear(&self) -> Result<u64> {
        self.inner.delete_pattern(&self.pattern(None)).await
    }

    async fn stats(&self) -> Result<CacheStats> {
        let mut stats = self.inner.stats().await?;
        (stats.hits, stats.misses, stats.sets, stats.deletes) = (0, 0, 0, 0);
        let mut stats = stats.with(&self.stats);
        stats.current_entries = if self.capabilities().has(Capability::Keys) {
            self.inner.keys(Some(&self.pattern(None))).await?.len() as u64
        } else {
            stats.current_entries
        };
        Ok(stats)
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        let longest = inner.max_key_bytes().saturating_sub(self.prefix.len());
        inner.with_max_key_bytes(longest)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let entry = self.inner.get_entry(&self.full(key)).await?;
        self.count_found(1, usize::from(entry.is_some()));
        Ok(entry.map(|entry| self.own_entry(entry)))
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let asked = larder_core::backend::distinct(keys).count();
        let full = self.all_full(keys);
        let found = self.inner.get_entries(&borrowed(&full)).await?;
        self.count_found(asked, found.len());
        Ok(found
            .into_iter()
            .map(|entry| self.own_entry(entry))
            .collect())
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let asked = larder_core::backend::distinct(keys).count();
        let full = self.all_full(keys);
        let found = self.inner.get_many(&borrowed(&full)).await?;
        self.count_found(asked, found.len());
        let own = found.into_iter().map(|(key, value)| (self.own(key), value));
        Ok(own.collect())
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let full = items
            .into_iter()
            .map(|(key, value)| (self.full(&key), value));
        let options = self.options(options);
        let report = self.inner.set_many(full.collect(), options).await?;
        self.stats.add(Counter::Set, report.stored());
        Ok(report.map_keys(|key| self.own(key)))
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let full = self.all_full(keys);
        let deleted = self.inner.delete_many(&borrowed(&full)).await?;
        self.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let keys = self.inner.keys(Some(&self.pattern(pattern))).await?;
        Ok(keys.into_iter().map(|key| self.own(key)).collect())
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let after = after.map(|after| self.full(after));
        let pattern = self.pattern(pattern);
        let page = self
            .inner
            .scan(Some(&pattern), after.as_deref(), limit)
            .await?;
        let more = page.next().is_some();
        let keys = page.into_keys().into_iter().map(|key| self.own(key));
        Ok(ScanPage::new(keys.collect(), more))
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let deleted = self
            .inner
            .delete_pattern(&self.pattern(Some(pattern)))
            .await?;
        self.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let sum = self.inner.increment(&self.full(key), delta, ttl).await?;
        self.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let sum = self.inner.decrement(&self.full(key), delta, ttl).await?;
        self.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.inner.touch(&self.full(key), ttl).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        self.inner.ttl(&self.full(key)).await
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        let tags = self.all_full(tags);
        self.inner.invalidate_tags(&borrowed(&tags), which).await
    }
}
