//! What changes values on their way in and out: compression and encryption.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Counter, Pattern, Result,
    ScanPage, SetOptions, SharedBackend, StatsRecorder, TagMatch, Ttl, TtlState,
};

/// A way to change values that can be undone.
pub(crate) trait Transform: fmt::Debug + Send + Sync + 'static {
    /// What is stored for a value.
    fn encode(&self, key: &str, value: Bytes) -> Result<Bytes>;

    /// The value again; `None` if it cannot be read, which is a miss.
    fn decode(&self, key: &str, stored: Bytes) -> Option<Bytes>;

    /// What the backend still can do.
    fn capabilities(&self, inner: Capabilities) -> Capabilities;
}

/// A backend whose values are changed on their way.
#[derive(Debug)]
pub(crate) struct Transformed<T> {
    transform: T,
    inner: SharedBackend,
    /// What was a hit for the backend and is a miss for the caller.
    unreadable: Arc<StatsRecorder>,
}

impl<T: Transform> Transformed<T> {
    pub(crate) fn around(inner: SharedBackend, transform: T) -> SharedBackend {
        SharedBackend::new(Self {
            transform,
            inner,
            unreadable: Arc::default(),
        })
    }

    fn decode(&self, key: &str, stored: Bytes) -> Option<Bytes> {
        let value = self.transform.decode(key, stored);
        if value.is_none() {
            self.unreadable.add(Counter::Unreadable, 1);
        }
        value
    }

    fn decode_entry(&self, mut entry: CacheEntry) -> Option<CacheEntry> {
        entry.value = self.decode(&entry.key, entry.value)?;
        entry.size_bytes = entry.value.len() as u64;
        Some(entry)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: Transform> CacheBackend for Transformed<T> {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let stored = self.inner.get(key).await?;
        Ok(stored.and_then(|stored| self.decode(key, stored)))
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let stored = self.transform.encode(key, value)?;
        self.inner.set(key, stored, options).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.inner.delete(key).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        self.inner.exists(key).await
    }

    async fn clear(&self) -> Result<u64> {
        self.inner.clear().await
    }

    async fn stats(&self) -> Result<CacheStats> {
        Ok(self.inner.stats().await?.with(&self.unreadable))
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.transform.capabilities(self.inner.capabilities())
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let found = self.inner.get_entry(key).await?;
        Ok(found.and_then(|entry| self.decode_entry(entry)))
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let found = self.inner.get_entries(keys).await?.into_iter();
        Ok(found.filter_map(|entry| self.decode_entry(entry)).collect())
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let found = self.inner.get_many(keys).await?.into_iter();
        let readable = found.filter_map(|(key, stored)| {
            let value = self.decode(&key, stored)?;
            Some((key, value))
        });
        Ok(readable.collect())
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let encoded = items.into_iter().map(|(key, value)| {
            let stored = self.transform.encode(&key, value)?;
            Ok((key, stored))
        });
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        self.inner.set_many(encoded, options).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        self.inner.delete_many(keys).await
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        self.inner.keys(pattern).await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.inner.scan(pattern, after, limit).await
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        self.inner.delete_pattern(pattern).await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.inner.increment(key, delta, ttl).await
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.inner.decrement(key, delta, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.inner.touch(key, ttl).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        self.inner.ttl(key).await
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        self.inner.invalidate_tags(tags, which).await
    }
}
