//! Changing what is in tiers.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, Capability, Condition, Counter, Error, ErrorKind, Pattern, Result,
    SetOptions, TagMatch, Ttl, check_tags,
};

use super::Inner;
use super::fence::{Fences, MOMENT, Ticket};
use super::read::TaggedWatch;
use super::tier::Tier;
use super::tokens::RESERVED;

impl Inner {
    /// The farthest tier, and those before it.
    pub(super) fn split(&self) -> (&Tier, &[Tier]) {
        let (last, nearer) = self.tiers.split_last().expect("there is at least one");
        (last, nearer)
    }

    /// The options with the lifetime that is meant.
    pub(super) fn resolved(&self, mut options: SetOptions) -> SetOptions {
        options.ttl = self.resolve(options.ttl);
        options
    }

    pub(super) fn resolve(&self, ttl: Ttl) -> Ttl {
        ttl.resolve(self.default_ttl).map_or(Ttl::Never, Ttl::After)
    }

    /// Whether the cache has keys of its own in the farthest tier.
    pub(super) fn has_own_keys(&self) -> bool {
        self.tokens.is_some() || self.fences.is_some()
    }

    /// Refuses keys that tokens may have.
    pub(super) fn check(&self, keys: &[&str]) -> Result<()> {
        if self.has_own_keys() && keys.iter().any(|key| key.starts_with(RESERVED)) {
            let message = format!("keys that begin with {RESERVED:?} are the cache's own");
            return Err(Error::new(ErrorKind::InvalidKey, message));
        }
        Ok(())
    }

    /// Removes copies, before what they are copies of is changed.
    pub(super) async fn forget(&self, keys: &[&str]) -> Result<u64> {
        let mut forgotten = 0;
        for tier in self.split().1 {
            forgotten = tier.backend.delete_many(keys).await?.max(forgotten);
        }
        Ok(forgotten)
    }

    /// How often tags were invalidated.
    pub(super) fn tag_changes(&self) -> u64 {
        // Ordering: acquire, because what is read afterwards is read after those that are
        // counted here.
        self.tag_changes.load(Ordering::Acquire)
    }

    /// Removes copies that were made while some tag was invalidated.
    pub(super) async fn forget_if_invalidated(&self, keys: &[&str], tags: &[String], before: u64) {
        if !tags.is_empty() && self.tag_changes() != before {
            // In memory this cannot fail; elsewhere the stamps tell.
            let _ = self.forget(keys).await;
        }
    }

    /// What is stored along with values of these tags.
    pub(super) async fn stamp(&self, tags: &[String]) -> Result<Option<u64>> {
        match &self.tokens {
            Some(tokens) => tokens.stamp(tags).await,
            None => Ok(None),
        }
    }

    pub(super) async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        self.check(&[key])?;
        let _held = self.keyed.hold(&[key]).await;
        self.store(key, value, options, self.tag_changes()).await
    }

    /// Stores a value that was made of what was true when `changes` began, unless
    /// somebody has changed the key or one of the tags since.
    pub(super) async fn settle(
        &self,
        changes: TaggedWatch<'_>,
        ticket: Option<&Ticket>,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool> {
        self.check(&[key])?;
        check_tags(&options.tags)?;
        let before = changes.tags;
        if !options.tags.is_empty() && self.tag_changes() != before {
            return Ok(false);
        }
        let Some(_held) = changes.key.hold_to_change() else {
            return Ok(false);
        };
        let (Some(fences), Some(ticket)) = (&self.fences, ticket) else {
            return self.store(key, value, options, before).await;
        };
        self.store_fenced(fences, ticket, (key, value), options, before)
            .await
    }

    /// Stores a value in the steps that [`super::fence`] tells of.
    async fn store_fenced(
        &self,
        fences: &Fences,
        ticket: &Ticket,
        (key, value): (&str, Bytes),
        mut options: SetOptions,
        before: u64,
    ) -> Result<bool> {
        let (last, nearer) = self.split();
        let stamp = self.stamp(&options.tags).await?;
        if !fences.unchanged(ticket, &options.tags).await? {
            return Ok(false);
        }
        self.forget(&[key]).await?;
        let ttl = options.ttl;
        let is_long = ttl.resolve(None).is_none_or(|ttl| ttl > MOMENT);
        let is_extended = is_long && last.has(Capability::Touch);
        if is_extended {
            options.ttl = Ttl::After(MOMENT);
        }
        if !ticket.was_there() && last.has(Capability::Conditions) {
            // Whoever stores one meanwhile knows better.
            self.clear_away(key).await?;
            options.condition = Condition::IfAbsent;
        }
        if !last.set(key, value.clone(), &options, stamp).await? {
            return Ok(false);
        }
        if !fences.still(ticket, &options.tags).await? {
            last.backend.delete(key).await?;
            return Ok(false);
        }
        if is_extended
            && !last
                .backend
                .touch(key, last.ttl_of(&options.tags, ttl))
                .await?
        {
            return Ok(false);
        }
        self.stats.add(Counter::Set, 1);
        (options.ttl, options.condition) = (ttl, Condition::Always);
        self.fill_nearer(key, value, &options, stamp, nearer).await;
        self.forget_if_invalidated(&[key], &options.tags, before)
            .await;
        Ok(true)
    }

    /// Puts copies into nearer tiers. Without one the next read goes farther.
    async fn fill_nearer(
        &self,
        key: &str,
        value: Bytes,
        options: &SetOptions,
        stamp: Option<u64>,
        nearer: &[Tier],
    ) {
        for tier in nearer.iter().rev() {
            let _ = tier.set(key, value.clone(), options, stamp).await;
        }
    }

    /// Stores a value in all tiers; nobody else changes its key meanwhile.
    async fn store(
        &self,
        key: &str,
        value: Bytes,
        mut options: SetOptions,
        before: u64,
    ) -> Result<bool> {
        let (last, nearer) = self.split();
        let stamp = self.stamp(&options.tags).await?;
        self.forget(&[key]).await?;
        if options.condition != Condition::Always {
            self.clear_away(key).await?;
        }
        if !last.set(key, value.clone(), &options, stamp).await? {
            return Ok(false);
        }
        self.stats.add(Counter::Set, 1);
        options.condition = Condition::Always;
        self.fill_nearer(key, value, &options, stamp, nearer).await;
        self.forget_if_invalidated(&[key], &options.tags, before)
            .await;
        Ok(true)
    }

    /// Removes what was invalidated and is still stored, where somebody else asks the
    /// store whether it has the key; whether there was such a thing.
    async fn clear_away(&self, key: &str) -> Result<bool> {
        let (last, _) = self.split();
        let is_gone = !last.keeps_tags
            && last.backend.exists(key).await?
            && self.entry_in(last, key).await?.is_none();
        if is_gone {
            last.backend.delete(key).await?;
        }
        Ok(is_gone)
    }

    pub(super) async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        mut options: SetOptions,
    ) -> Result<BatchReport> {
        let names: HashSet<&str> = items.iter().map(|(key, _)| key.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        self.check(&names)?;
        let _held = self.keyed.hold(&names).await;
        let (last, nearer) = self.split();
        let before = self.tag_changes();
        let stamp = self.stamp(&options.tags).await?;
        self.forget(&names).await?;
        if options.condition != Condition::Always {
            for name in &names {
                self.clear_away(name).await?;
            }
        }
        let report = last.set_many(items.clone(), &options, stamp).await?;
        self.stats.add(Counter::Set, report.stored());
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
            let _ = tier.set_many(stored.clone(), &options, stamp).await;
        }
        self.forget_if_invalidated(&names, &options.tags, before)
            .await;
        Ok(report)
    }

    pub(super) async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        self.check(keys)?;
        let _held = self.keyed.hold(keys).await;
        if let Some(fences) = &self.fences {
            fences.before_removal(keys).await?;
        }
        let near = self.forget(keys).await?;
        let far = self.split().0.backend.delete_many(keys).await?;
        // What has left the far tier may still have been in a nearer one.
        let deleted = near.max(far);
        self.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    pub(super) async fn clear(&self) -> Result<u64> {
        let _swept = self.keyed.sweep().await;
        let (last, nearer) = self.split();
        for tier in nearer {
            tier.backend.clear().await?;
        }
        if self.has_own_keys() && last.has(Capability::Keys) {
            // They are no entries, so they are not counted as such.
            last.backend
                .delete_pattern(&Pattern::prefix(RESERVED))
                .await?;
        }
        last.backend.clear().await
    }

    pub(super) async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let _swept = self.keyed.sweep().await;
        let (last, nearer) = self.split();
        if let Some(fences) = &self.fences {
            fences.before_pattern().await?;
        }
        for tier in nearer {
            tier.forget_matching(pattern).await?;
        }
        let deleted = if self.may_match_tokens(pattern) {
            let keys = self.own_keys(Some(pattern)).await?;
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            last.backend.delete_many(&keys).await?
        } else {
            last.backend.delete_pattern(pattern).await?
        };
        self.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    fn may_match_tokens(&self, pattern: &Pattern) -> bool {
        let beginning = pattern.beginning();
        self.has_own_keys() && (RESERVED.starts_with(&beginning) || beginning.starts_with(RESERVED))
    }

    /// The keys of entries.
    pub(super) async fn own_keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let mut keys = self.split().0.backend.keys(pattern).await?;
        if self.has_own_keys() {
            keys.retain(|key| !key.starts_with(RESERVED));
        }
        Ok(keys)
    }

    pub(super) async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.check(&[key])?;
        let _held = self.keyed.hold(&[key]).await;
        let (last, _) = self.split();
        self.forget(&[key]).await?;
        let ttl = last.ttl(ttl);
        let mut sum = last.backend.increment(key, delta, ttl).await;
        let is_no_number =
            |error: &Error| error.kind() == ErrorKind::NotANumber && !last.keeps_tags;
        // It may be one that was invalidated.
        if sum.as_ref().is_err_and(is_no_number) && self.clear_away(key).await? {
            sum = last.backend.increment(key, delta, ttl).await;
        }
        let sum = sum?;
        self.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    pub(super) async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.check(&[key])?;
        let _held = self.keyed.hold(&[key]).await;
        let (last, _) = self.split();
        self.forget(&[key]).await?;
        self.clear_away(key).await?;
        last.backend.touch(key, last.ttl(ttl)).await
    }

    pub(super) async fn invalidate_tags(
        &self,
        tags: &[&str],
        which: TagMatch,
    ) -> Result<Option<u64>> {
        self.forget_tagged(tags, which).await?;
        if let Some(fences) = &self.fences {
            fences.before_tags().await?;
        }
        let (last, _) = self.split();
        let gone = match &self.tokens {
            Some(tokens) => tokens.invalidate(tags, which).await.map(|()| None),
            None => last.backend.invalidate_tags(tags, which).await,
        };
        // Ordering: release, for those who acquire it with the number. Who reads an old
        // value counted before this, and finds out after it has made its copy.
        self.tag_changes.fetch_add(1, Ordering::Release);
        self.forget_tagged(tags, which).await?;
        gone
    }

    /// Removes copies with these tags from tiers that know them.
    async fn forget_tagged(&self, tags: &[&str], which: TagMatch) -> Result<()> {
        let nearer = self.split().1.iter().filter(|tier| tier.keeps_tags);
        for tier in nearer {
            tier.backend.invalidate_tags(tags, which).await?;
        }
        Ok(())
    }
}
