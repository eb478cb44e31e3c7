//! The memory backend under the contract of all backends.

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Pattern, Result,
    ScanPage, SetOptions, TagMatch, Ttl, TtlState,
};

use crate::memory::InMemoryBackend;

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for InMemoryBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.get(key)
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        self.set(key, value, options)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.delete(key)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        self.exists(key)
    }

    async fn clear(&self) -> Result<u64> {
        Ok(self.clear())
    }

    async fn stats(&self) -> Result<CacheStats> {
        Ok(self.stats())
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .with(Capability::Keys)
            .with(Capability::RegexPatterns)
            .with(Capability::LikePatterns)
            .with(Capability::Counters)
            .with(Capability::Touch)
            .with(Capability::Entries)
            .with(Capability::Metadata)
            .with(Capability::Tags)
            .with(Capability::Conditions)
            .with_max_key_bytes(self.max_key_bytes)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        self.get_entry(key)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        self.get_many(keys)
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        self.get_entries(keys)
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        Ok(self.set_many(items, options))
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        self.delete_many(keys)
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        Ok(self.keys(pattern))
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        Ok(self.scan(pattern, after, limit))
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        Ok(self.delete_pattern(pattern))
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, delta, ttl)
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.decrement(key, delta, ttl)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.touch(key, ttl)
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        self.ttl(key)
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        Ok(Some(self.invalidate_tags(tags, which)))
    }
}
