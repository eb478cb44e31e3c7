//! Reading from tiers, nearest first.

use std::collections::HashMap;

use bytes::Bytes;
use larder_core::{CacheBackend, CacheEntry, Counter, Result};

use super::Inner;
use super::keyed::Watch;
use super::packed::Packed;
use super::tier::Tier;

/// An entry, and what its tags stood at when it was stored.
pub(super) type Found = (CacheEntry, Option<u64>);

impl Inner {
    /// The value of a key in the nearest tier that has it.
    pub(super) async fn find(&self, key: &str) -> Result<Option<Bytes>> {
        match self.value_in(&self.tiers[0], key).await {
            Ok(None) | Err(_) if self.tiers.len() > 1 => {
                let found = self.find_farther(key).await?;
                Ok(found.map(|entry| entry.value))
            }
            near => near,
        }
    }

    /// The entry from the first tier behind the nearest that has it; it is near then.
    pub(super) async fn find_farther(&self, key: &str) -> Result<Option<CacheEntry>> {
        let watch = self.watch(key);
        let mut failed = None;
        for (place, tier) in self.tiers.iter().enumerate().skip(1) {
            match self.entry_in(tier, key).await {
                Ok(Some(found)) => {
                    self.promote(watch, &found, &self.tiers[..place]).await;
                    return Ok(Some(found.0));
                }
                Ok(None) => failed = None,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// The values of distinct keys, in no order.
    pub(super) async fn find_all(&self, keys: &[&str]) -> Result<HashMap<String, Bytes>> {
        let (nearest, farther) = self.tiers.split_first().expect("there is at least one");
        let near = self.values_in(nearest, keys).await;
        let mut failed = near.as_ref().err().cloned();
        let mut found = near.unwrap_or_default();
        for (place, tier) in farther.iter().enumerate() {
            let missing = keys.iter().filter(|key| !found.contains_key(**key));
            let missing: Vec<&str> = missing.copied().collect();
            if missing.is_empty() {
                return Ok(found);
            }
            let mut watches: HashMap<&str, TaggedWatch<'_>> =
                missing.iter().map(|key| (*key, self.watch(key))).collect();
            let entries = match self.entries_in(tier, &missing).await {
                Ok(entries) => entries,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            failed = None;
            for entry in entries {
                if let Some(watch) = watches.remove(entry.0.key.as_str()) {
                    self.promote(watch, &entry, &self.tiers[..=place]).await;
                }
                found.insert(entry.0.key, entry.0.value);
            }
        }
        match failed {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Whether the nearest tier that has the key at all has it still.
    pub(super) async fn is_anywhere(&self, key: &str) -> Result<bool> {
        let mut failed = None;
        for tier in &self.tiers {
            match self.is_in(tier, key).await {
                Ok(true) => return Ok(true),
                Ok(false) => failed = None,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    /// What the farthest tier says, or a nearer one if it is away.
    pub(super) async fn ask<'a, T, F: Future<Output = Result<T>> + Send>(
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

    pub(super) fn count_read(&self, found: bool) {
        let counter = if found { Counter::Hit } else { Counter::Miss };
        self.stats.add(counter, 1);
    }

    async fn value_in(&self, tier: &Tier, key: &str) -> Result<Option<Bytes>> {
        if self.may_be_old(tier, key) {
            return Ok(self
                .entry_in(tier, key)
                .await?
                .map(|(entry, _)| entry.value));
        }
        let stored = tier.backend.get(key).await?;
        if tier.keeps_tags {
            return Ok(stored);
        }
        let Some(packed) = stored.and_then(|stored| self.unpack(stored)) else {
            return Ok(None);
        };
        let holds = self.hold(&[&packed]).await?;
        Ok(holds[0].then_some(packed.value))
    }

    async fn values_in(&self, tier: &Tier, keys: &[&str]) -> Result<HashMap<String, Bytes>> {
        if keys.iter().any(|key| self.may_be_old(tier, key)) {
            let entries = self.entries_in(tier, keys).await?.into_iter();
            return Ok(entries.map(|(entry, _)| (entry.key, entry.value)).collect());
        }
        let stored = tier.backend.get_many(keys).await?;
        if tier.keeps_tags {
            return Ok(stored.into_iter().collect());
        }
        let unpacked = stored
            .into_iter()
            .filter_map(|(key, value)| Some((key, self.unpack(value)?)));
        let unpacked: Vec<(String, Packed)> = unpacked.collect();
        let values: Vec<&Packed> = unpacked.iter().map(|(_, packed)| packed).collect();
        let holds = self.hold(&values).await?;
        let held = unpacked.into_iter().zip(holds).filter(|(_, holds)| *holds);
        Ok(held.map(|((key, packed), _)| (key, packed.value)).collect())
    }

    async fn is_in(&self, tier: &Tier, key: &str) -> Result<bool> {
        if self.may_be_old(tier, key) {
            return Ok(self.entry_in(tier, key).await?.is_some());
        }
        Ok(tier.backend.exists(key).await?
            && (tier.keeps_tags || self.value_in(tier, key).await?.is_some()))
    }

    /// Whether a tier has missed changes that it may not have made good for.
    fn may_be_old(&self, tier: &Tier, key: &str) -> bool {
        !self.missed.is_empty()
            && std::ptr::eq(tier, self.split().0)
            && (self.missed.has_tags() || self.missed.concerns(key, &[]))
    }

    pub(super) async fn entry_in(&self, tier: &Tier, key: &str) -> Result<Option<Found>> {
        if self.may_be_old(tier, key) {
            return Ok(self.entries_in(tier, &[key]).await?.pop());
        }
        let entry = tier.backend.get_entry(key).await?;
        Ok(self
            .unpacked(tier, entry.into_iter().collect())
            .await?
            .pop())
    }

    pub(super) async fn entries_in(&self, tier: &Tier, keys: &[&str]) -> Result<Vec<Found>> {
        let entries = async {
            let entries = tier.backend.get_entries(keys).await?;
            self.unpacked(tier, entries).await
        };
        if self.missed.is_empty() || !std::ptr::eq(tier, self.split().0) {
            return entries.await;
        }
        // What it has missed is known here.
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let missed = keys
            .iter()
            .filter_map(|key| self.missed.entry(key, now, elapsed));
        let mut found: Vec<Found> = missed.map(|entry| (entry, None)).collect();
        match entries.await {
            Err(error) if found.is_empty() => return Err(error),
            // What is known is better than nothing.
            Err(_) => {}
            Ok(entries) => {
                let others = entries.into_iter();
                let is_right = |(entry, _): &Found| !self.missed.concerns(&entry.key, &entry.tags);
                found.extend(others.filter(is_right));
            }
        }
        Ok(found)
    }

    /// The entries that nobody has invalidated.
    async fn unpacked(&self, tier: &Tier, entries: Vec<CacheEntry>) -> Result<Vec<Found>> {
        if tier.keeps_tags {
            return Ok(entries.into_iter().map(|entry| (entry, None)).collect());
        }
        let unpacked = entries.into_iter().filter_map(|entry| {
            let packed = self.unpack(entry.value.clone())?;
            Some((entry, packed))
        });
        let unpacked: Vec<(CacheEntry, Packed)> = unpacked.collect();
        let values: Vec<&Packed> = unpacked.iter().map(|(_, packed)| packed).collect();
        let holds = self.hold(&values).await?;
        let held = unpacked.into_iter().zip(holds).filter(|(_, holds)| *holds);
        let entry = |((mut entry, packed), _): ((CacheEntry, Packed), bool)| {
            entry.size_bytes = packed.value.len() as u64;
            (entry.value, entry.tags) = (packed.value, packed.tags);
            (entry, packed.stamp)
        };
        Ok(held.map(entry).collect())
    }

    /// `None`, and counted, if it cannot be read.
    fn unpack(&self, stored: Bytes) -> Option<Packed> {
        let packed = Packed::read(stored).ok();
        if packed.is_none() {
            self.stats.add(Counter::Unreadable, 1);
        }
        packed
    }

    async fn hold(&self, values: &[&Packed]) -> Result<Vec<bool>> {
        match &self.tokens {
            Some(tokens) => tokens.hold(values).await,
            None => Ok(vec![true; values.len()]),
        }
    }

    pub(super) fn watch(&self, key: &str) -> TaggedWatch<'_> {
        TaggedWatch {
            key: self.keyed.watch(key),
            tags: self.tag_changes(),
        }
    }

    /// Puts what a tier had into those before it, unless somebody has changed it.
    async fn promote(&self, watch: TaggedWatch<'_>, found: &Found, nearer: &[Tier]) {
        if let Some(held) = watch.key.hold_unchanged() {
            self.copy(found, watch.tags, nearer).await;
            if held.is_disturbed() {
                let _ = self.forget(&[found.0.key.as_str()]).await;
            }
        }
    }

    /// Puts copies into nearer tiers, unless a tag was invalidated since `tags` was
    /// counted. Without a copy the next read goes farther.
    pub(super) async fn copy(&self, (entry, stamp): &Found, tags: u64, nearer: &[Tier]) {
        for tier in nearer.iter().rev() {
            let _ = tier.fill(entry, *stamp, self.clock.now()).await;
        }
        self.forget_if_invalidated(&[entry.key.as_str()], &entry.tags, tags)
            .await;
    }
}

/// A key that is watched, and how often tags had been invalidated then.
#[derive(Debug)]
pub(crate) struct TaggedWatch<'a> {
    pub(super) key: Watch<'a>,
    pub(super) tags: u64,
}
