//! Changing what is in tiers.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, Capability, Condition, Counter, Error, ErrorKind, Result,
    SetOptions, Ttl, check_tags,
};

use super::Inner;
use super::fence::{Fences, MOMENT, Ticket};
use super::keyed::Held;
use super::read::TaggedWatch;
use super::replay::is_away;
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
        let held = self.keyed.hold(&[key]).await;
        let stored = self.store(key, value, options, self.tag_changes()).await;
        self.forget_if_disturbed(&held, &[key]).await;
        stored
    }

    /// Removes copies that were made while somebody else changed what they are copies of.
    async fn forget_if_disturbed(&self, held: &Held<'_>, keys: &[&str]) {
        if held.is_disturbed() {
            // In memory this cannot fail.
            let _ = self.forget(keys).await;
        }
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
        let Some(held) = changes.key.hold_to_change() else {
            return Ok(false);
        };
        let stored = match (&self.fences, ticket) {
            (None, _) => {
                self.store(key, value.clone(), options.clone(), before)
                    .await
            }
            (Some(fences), Some(ticket)) => {
                let value = value.clone();
                let options = options.clone();
                self.store_fenced(fences, ticket, (key, value), options, before)
                    .await
            }
            (Some(_), None) => Err(Error::new(
                ErrorKind::Unavailable,
                "no ticket was to be had",
            )),
        };
        self.forget_if_disturbed(&held, &[key]).await;
        if stored.as_ref().is_err_and(is_away) {
            // As long as copies live, not every caller has to load.
            let nearer = self.split().1;
            self.fill_nearer(key, value, &options, None, nearer).await;
            self.forget_if_invalidated(&[key], &options.tags, before)
                .await;
        }
        stored
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
        self.tell_of(&[key]).await;
        self.missed.done(&[key]);
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
            if tier.keeps_tags || options.tags.is_empty() || stamp.is_some() {
                let _ = tier.set(key, value.clone(), options, stamp).await;
            }
        }
    }

    /// Stores a value in all tiers; nobody else changes its key meanwhile.
    ///
    /// If the farthest one is away, nearer ones keep it until that one is back.
    async fn store(
        &self,
        key: &str,
        value: Bytes,
        mut options: SetOptions,
        before: u64,
    ) -> Result<bool> {
        let (_, nearer) = self.split();
        self.forget(&[key]).await?;
        let stamp = match self.store_far(key, value.clone(), &options).await {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return Ok(false),
            Err(error) => return self.keep_missed(key, value, &options, &error).await,
        };
        options.condition = Condition::Always;
        self.missed.done(&[key]);
        self.stats.add(Counter::Set, 1);
        self.fill_nearer(key, value, &options, stamp, nearer).await;
        self.forget_if_invalidated(&[key], &options.tags, before)
            .await;
        Ok(true)
    }

    /// Keeps a value that the farthest tier has missed, if it is only away: nearer ones
    /// have it until it is back.
    async fn keep_missed(
        &self,
        key: &str,
        value: Bytes,
        options: &SetOptions,
        error: &Error,
    ) -> Result<bool> {
        let is_free = options.condition == Condition::Always;
        // Whether a condition holds, nobody else can tell.
        if !is_free || !is_away(error) || self.split().1.is_empty() {
            return Err(error.clone());
        }
        tracing::warn!(%error, key, "stored in nearer tiers only");
        let at = (self.clock.now(), self.clock.elapsed());
        self.missed.stored(key, value.clone(), options.clone(), at);
        self.replay_later();
        Ok(self.store_near_alone(key, value, options).await)
    }

    /// Stores a value in the farthest tier; its stamp, `None` if it was refused.
    async fn store_far(
        &self,
        key: &str,
        value: Bytes,
        options: &SetOptions,
    ) -> Result<Option<Option<u64>>> {
        let (last, _) = self.split();
        let stamp = self.stamp(&options.tags).await?;
        if options.condition != Condition::Always {
            self.clear_away(key).await?;
        }
        let is_stored = last.set(key, value, options, stamp).await?;
        self.tell_of(&[key]).await;
        Ok(is_stored.then_some(stamp))
    }

    /// Stores a value in nearer tiers, for as long as it lives: the farthest will tell
    /// nobody else of it until it is back. Whether one of them has it.
    async fn store_near_alone(&self, key: &str, value: Bytes, options: &SetOptions) -> bool {
        let mut is_stored = false;
        for tier in self.split().1.iter().rev() {
            // Without a stamp tags cannot be compared.
            if tier.keeps_tags || options.tags.is_empty() {
                let stored = tier.set_for_good(key, value.clone(), options).await;
                is_stored |= stored.unwrap_or(false);
            }
        }
        if is_stored {
            self.stats.add(Counter::Set, 1);
        }
        is_stored
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
        let held = self.keyed.hold(&names).await;
        let (_, nearer) = self.split();
        let before = self.tag_changes();
        self.forget(&names).await?;
        let far = self.store_all_far(&items, &names, &options).await;
        let (stamp, far) = match far {
            Err(error) if is_away(&error) => (None, all_failed(&names, &error)),
            far => far?,
        };
        let refused = far.refused().iter().map(String::as_str);
        let failed = far.failed().iter().map(|(key, _)| key.as_str());
        let not_stored: HashSet<&str> = refused.chain(failed).collect();
        let mut stored = items.clone();
        stored.retain(|(key, _)| !not_stored.contains(key.as_str()));
        for (key, _) in &stored {
            self.missed.done(&[key.as_str()]);
        }
        self.stats.add(Counter::Set, far.stored());
        let condition = std::mem::take(&mut options.condition);
        for tier in nearer.iter().rev() {
            // Without copies the next reads go farther.
            let _ = tier.set_many(stored.clone(), &options, stamp).await;
        }
        options.condition = condition;
        self.forget_if_invalidated(&names, &options.tags, before)
            .await;
        self.forget_if_disturbed(&held, &names).await;
        self.keep_all_missed(&items, &options, far).await
    }

    /// Keeps what the farthest tier has missed of a batch, if it is only away.
    async fn keep_all_missed(
        &self,
        items: &[(String, Bytes)],
        options: &SetOptions,
        far: BatchReport,
    ) -> Result<BatchReport> {
        if !far.failed().iter().any(|(_, error)| is_away(error)) {
            return Ok(far);
        }
        let failed: HashMap<&str, &Error> = far
            .failed()
            .iter()
            .map(|(key, error)| (key.as_str(), error))
            .collect();
        let mut report = BatchReport::new();
        for (key, value) in items {
            let outcome = match failed.get(key.as_str()) {
                Some(error) => self.keep_missed(key, value.clone(), options, error).await,
                None => Ok(!far.refused().contains(key)),
            };
            report.record(key, outcome);
        }
        Ok(report)
    }

    async fn store_all_far(
        &self,
        items: &[(String, Bytes)],
        names: &[&str],
        options: &SetOptions,
    ) -> Result<(Option<u64>, BatchReport)> {
        let (last, _) = self.split();
        let stamp = self.stamp(&options.tags).await?;
        if options.condition != Condition::Always {
            for name in names {
                self.clear_away(name).await?;
            }
        }
        let report = last.set_many(items.to_vec(), options, stamp).await?;
        self.tell_of(names).await;
        Ok((stamp, report))
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
        self.tell_of(&[key]).await;
        self.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    pub(super) async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.check(&[key])?;
        let _held = self.keyed.hold(&[key]).await;
        let (last, _) = self.split();
        self.forget(&[key]).await?;
        self.clear_away(key).await?;
        let is_there = last.backend.touch(key, last.ttl(ttl)).await?;
        if is_there {
            self.tell_of(&[key]).await;
        }
        Ok(is_there)
    }
}

/// The report of a batch that came to nothing.
fn all_failed(keys: &[&str], error: &Error) -> BatchReport {
    let mut report = BatchReport::new();
    for key in keys {
        report.record(key, Err(error.clone()));
    }
    report
}
