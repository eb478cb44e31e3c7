//! Tiers under the contract of all backends.

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Counter, Pattern,
    Result, ScanPage, SetOptions, TagMatch, Ttl, TtlState, counter,
};

use super::tokens::RESERVED;
use super::{NAME, Tiers};

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for Tiers {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let found = self.0.find(key).await?;
        self.0.count_read(found.is_some());
        Ok(found)
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        self.0.set(key, value, self.0.resolved(options)).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.0.delete_many(&[key]).await? > 0)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        self.0.is_anywhere(key).await
    }

    async fn clear(&self) -> Result<u64> {
        self.0.clear().await
    }

    async fn stats(&self) -> Result<CacheStats> {
        let inner = &*self.0;
        // What is there, what failed and what went by itself is for the farthest to say.
        let mut stats = inner.split().0.backend.stats().await?;
        (stats.hits, stats.misses, stats.sets, stats.deletes) = (0, 0, 0, 0);
        Ok(stats.with(&inner.stats))
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let (last, nearer) = self.0.split();
        let all = nearer
            .iter()
            .map(|tier| tier.backend.capabilities().max_key_bytes());
        let far = last.backend.capabilities();
        let longest = all.min().unwrap_or(usize::MAX).min(far.max_key_bytes());
        far.with_max_key_bytes(longest).with(Capability::Tags)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let inner = &*self.0;
        let found = inner.ask(|tier| inner.entry_in(tier, key)).await?;
        inner.count_read(found.is_some());
        Ok(found.map(|(entry, _)| entry))
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let inner = &*self.0;
        let keys: Vec<&str> = distinct(keys).collect();
        let mut found = inner.find_all(&keys).await?;
        let in_order = keys.iter().filter_map(|key| {
            let value = found.remove(*key);
            inner.count_read(value.is_some());
            Some(((*key).to_owned(), value?))
        });
        Ok(in_order.collect())
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let inner = &*self.0;
        let keys: Vec<&str> = distinct(keys).collect();
        let found = inner.ask(|tier| inner.entries_in(tier, &keys)).await?;
        inner.stats.add(Counter::Hit, found.len() as u64);
        inner
            .stats
            .add(Counter::Miss, (keys.len() - found.len()) as u64);
        Ok(found.into_iter().map(|(entry, _)| entry).collect())
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        self.0.set_many(items, self.0.resolved(options)).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let keys: Vec<&str> = distinct(keys).collect();
        self.0.delete_many(&keys).await
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        self.0.own_keys(pattern).await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let last = &self.0.split().0.backend;
        if !self.0.has_own_keys() {
            return last.scan(pattern, after, limit).await;
        }
        // One more than fit the page, to know whether others follow.
        let limit = limit.max(1);
        let (mut keys, mut after) = (Vec::new(), after.map(str::to_owned));
        while keys.len() <= limit {
            let room = limit + 1 - keys.len();
            let page = last.scan(pattern, after.as_deref(), room).await?;
            after = page.next().map(str::to_owned);
            let found = page.into_keys().into_iter();
            keys.extend(found.filter(|key| !key.starts_with(RESERVED)));
            match &mut after {
                None => break,
                // The cache's own stand in a row.
                Some(last) if last.starts_with(RESERVED) => {
                    *last = format!("{RESERVED}{}", char::MAX);
                }
                Some(_) => {}
            }
        }
        let more = keys.len() > limit;
        keys.truncate(limit);
        Ok(ScanPage::new(keys, more))
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        self.0.delete_pattern(pattern).await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.0.increment(key, delta, self.0.resolve(ttl)).await
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.0.touch(key, self.0.resolve(ttl)).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let inner = &*self.0;
        let found = inner.ask(|tier| inner.entry_in(tier, key)).await?;
        let now = inner.clock.now();
        Ok(found.map(|(entry, _)| match entry.ttl_remaining(now) {
            Some(rest) => TtlState::Remaining(rest),
            None => TtlState::Never,
        }))
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        self.0.invalidate_tags(tags, which).await
    }
}
