//! Tiers under the contract of all backends.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Condition,
    Counter, Error, Pattern, Result, ScanPage, SetOptions, TagMatch, Ttl, TtlState, counter,
};

use super::keyed::Watch;
use super::tier::Tier;
use super::{Inner, Tiers};

impl Inner {
    /// The farthest tier, and those before it.
    fn split(&self) -> (&Tier, &[Tier]) {
        let (last, nearer) = self.tiers.split_last().expect("there is at least one");
        (last, nearer)
    }

    /// The options with the lifetime that is meant.
    fn resolved(&self, mut options: SetOptions) -> SetOptions {
        options.ttl = self.resolve(options.ttl);
        options
    }

    fn resolve(&self, ttl: Ttl) -> Ttl {
        ttl.resolve(self.default_ttl).map_or(Ttl::Never, Ttl::After)
    }

    /// Puts what a tier had into those before it, unless somebody has changed it.
    async fn promote(&self, watch: Watch<'_>, entry: &CacheEntry, nearer: &[Tier]) {
        if let Some(_held) = watch.hold_unchanged() {
            for tier in nearer.iter().rev() {
                // Without a copy the next read goes as far as this one.
                let _ = tier.fill(entry, self.clock.now()).await;
            }
        }
    }

    /// Removes copies, before what they are copies of is changed.
    async fn forget(&self, keys: &[&str]) -> Result<u64> {
        let mut forgotten = 0;
        for tier in self.split().1 {
            forgotten = tier.backend.delete_many(keys).await?.max(forgotten);
        }
        Ok(forgotten)
    }

    fn count_read(&self, found: bool) {
        let counter = if found { Counter::Hit } else { Counter::Miss };
        self.stats.add(counter, 1);
    }

    /// What the farthest tier says, or a nearer one if it is away.
    async fn ask<'a, T, F: Future<Output = Result<T>> + Send>(
        &'a self,
        ask: impl Fn(&'a Tier) -> F,
    ) -> Result<T> {
        let (last, nearer) = self.split();
        let error = match ask(last).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        for tier in nearer.iter().rev() {
            if let Ok(answer) = ask(tier).await {
                return Ok(answer);
            }
        }
        Err(error)
    }

    /// The entry from the first tier behind the nearest that has it.
    async fn look_farther(&self, key: &str) -> Result<Option<CacheEntry>> {
        let watch = self.keyed.watch(key);
        let mut failed = None;
        for (place, tier) in self.tiers.iter().enumerate().skip(1) {
            match tier.backend.get_entry(key).await {
                Ok(Some(entry)) => {
                    self.promote(watch, &entry, &self.tiers[..place]).await;
                    return Ok(Some(entry));
                }
                Ok(None) => failed = None,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// The values of distinct keys, in no order.
    async fn look_for_all(&self, keys: &[&str]) -> Result<HashMap<String, Bytes>> {
        let (nearest, farther) = self.tiers.split_first().expect("there is at least one");
        let near = nearest.backend.get_many(keys).await;
        let mut failed = near.as_ref().err().cloned();
        let mut found: HashMap<String, Bytes> = near.unwrap_or_default().into_iter().collect();
        for (place, tier) in farther.iter().enumerate() {
            let missing = keys.iter().filter(|key| !found.contains_key(**key));
            let missing: Vec<&str> = missing.copied().collect();
            if missing.is_empty() {
                return Ok(found);
            }
            let watches: Vec<Watch<'_>> = missing.iter().map(|key| self.keyed.watch(key)).collect();
            let entries = match tier.backend.get_entries(&missing).await {
                Ok(entries) => entries,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            failed = None;
            let mut watches: HashMap<&str, Watch<'_>> =
                missing.iter().copied().zip(watches).collect();
            for entry in entries {
                if let Some(watch) = watches.remove(entry.key.as_str()) {
                    self.promote(watch, &entry, &self.tiers[..=place]).await;
                }
                found.insert(entry.key, entry.value);
            }
        }
        match failed {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for Tiers {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let inner = &*self.0;
        let near = inner.tiers[0].backend.get(key).await;
        let found = match near {
            Ok(None) | Err(_) if inner.tiers.len() > 1 => {
                let entry = inner.look_farther(key).await?;
                entry.map(|entry| entry.value)
            }
            near => near?,
        };
        inner.count_read(found.is_some());
        Ok(found)
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let inner = &*self.0;
        let mut options = inner.resolved(options);
        let _held = inner.keyed.hold(&[key]).await;
        let (last, nearer) = inner.split();
        inner.forget(&[key]).await?;
        let far = last.options(&options);
        if !last.backend.set(key, value.clone(), far).await? {
            return Ok(false);
        }
        inner.stats.add(Counter::Set, 1);
        options.condition = Condition::Always;
        for tier in nearer.iter().rev() {
            // Without a copy the next read goes farther.
            let _ = tier
                .backend
                .set(key, value.clone(), tier.options(&options))
                .await;
        }
        Ok(true)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.delete_many(&[key]).await? > 0)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let inner = &*self.0;
        let mut failed = None;
        for tier in &inner.tiers {
            match tier.backend.exists(key).await {
                Ok(true) => return Ok(true),
                Ok(false) => failed = None,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    async fn clear(&self) -> Result<u64> {
        let inner = &*self.0;
        let _swept = inner.keyed.sweep().await;
        let (last, nearer) = inner.split();
        for tier in nearer {
            tier.backend.clear().await?;
        }
        last.backend.clear().await
    }

    async fn stats(&self) -> Result<CacheStats> {
        let inner = &*self.0;
        // What is there, what failed and what went by itself is for the farthest to say.
        let mut stats = inner.split().0.backend.stats().await?;
        (stats.hits, stats.misses, stats.sets, stats.deletes) = (0, 0, 0, 0);
        Ok(stats.with(&inner.stats))
    }

    fn name(&self) -> &'static str {
        "tiers"
    }

    fn capabilities(&self) -> Capabilities {
        let (last, nearer) = self.0.split();
        let all = nearer
            .iter()
            .map(|tier| tier.backend.capabilities().max_key_bytes());
        let far = last.backend.capabilities();
        let longest = all.min().unwrap_or(usize::MAX).min(far.max_key_bytes());
        far.with_max_key_bytes(longest).without(Capability::Tags)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let inner = &*self.0;
        let entry = inner.ask(|tier| tier.backend.get_entry(key)).await?;
        inner.count_read(entry.is_some());
        Ok(entry)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let inner = &*self.0;
        let keys: Vec<&str> = distinct(keys).collect();
        let mut found = inner.look_for_all(&keys).await?;
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
        let entries = inner.ask(|tier| tier.backend.get_entries(&keys)).await?;
        inner.stats.add(Counter::Hit, entries.len() as u64);
        inner
            .stats
            .add(Counter::Miss, (keys.len() - entries.len()) as u64);
        Ok(entries)
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let inner = &*self.0;
        let mut options = inner.resolved(options);
        let names: Vec<&str> = items.iter().map(|(key, _)| key.as_str()).collect();
        let distinct_names: Vec<&str> = distinct(&names).collect();
        let _held = inner.keyed.hold(&distinct_names).await;
        let (last, nearer) = inner.split();
        inner.forget(&distinct_names).await?;
        let report = last
            .backend
            .set_many(items.clone(), last.options(&options))
            .await?;
        inner.stats.add(Counter::Set, report.stored());
        let failed = report.failed().iter().map(|(key, _)| key.as_str());
        let not_stored: HashSet<&str> = failed
            .chain(report.refused().iter().map(String::as_str))
            .collect();
        let stored = items
            .iter()
            .filter(|(key, _)| !not_stored.contains(key.as_str()));
        let stored: Vec<(String, Bytes)> = stored.cloned().collect();
        options.condition = Condition::Always;
        for tier in nearer.iter().rev() {
            // Without copies the next reads go farther.
            let _ = tier
                .backend
                .set_many(stored.clone(), tier.options(&options))
                .await;
        }
        Ok(report)
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let inner = &*self.0;
        let keys: Vec<&str> = distinct(keys).collect();
        let _held = inner.keyed.hold(&keys).await;
        let near = inner.forget(&keys).await?;
        let far = inner.split().0.backend.delete_many(&keys).await?;
        // What has left the far tier may still have been in a nearer one.
        let deleted = near.max(far);
        inner.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        self.0.split().0.backend.keys(pattern).await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let (last, _) = self.0.split();
        last.backend.scan(pattern, after, limit).await
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let inner = &*self.0;
        let _swept = inner.keyed.sweep().await;
        let (last, nearer) = inner.split();
        for tier in nearer {
            tier.forget_matching(pattern).await?;
        }
        let deleted = last.backend.delete_pattern(pattern).await?;
        inner.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let inner = &*self.0;
        let _held = inner.keyed.hold(&[key]).await;
        let (last, _) = inner.split();
        inner.forget(&[key]).await?;
        let ttl = last.ttl(inner.resolve(ttl));
        let sum = last.backend.increment(key, delta, ttl).await?;
        inner.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let inner = &*self.0;
        let _held = inner.keyed.hold(&[key]).await;
        let (last, _) = inner.split();
        inner.forget(&[key]).await?;
        last.backend.touch(key, last.ttl(inner.resolve(ttl))).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        self.0.ask(|tier| tier.backend.ttl(key)).await
    }

    async fn invalidate_tags(&self, _tags: &[&str], _which: TagMatch) -> Result<u64> {
        Err(Error::unsupported(Capability::Tags))
    }
}
