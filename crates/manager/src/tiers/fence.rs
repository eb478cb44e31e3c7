//! Fences: what was removed stays removed, whichever program loads it at the time.
//!
//! Programs that share the farthest tier do not see each other's loads. So a removal
//! leaves a *fence* there for a while: a token under a key of its own. Who loads a value
//! takes a *ticket* of the fences before, and stores it in steps:
//!
//! 1. the fences and the old value are as on the ticket, or nothing is stored;
//! 2. the value is stored for a moment only;
//! 3. the fences are still as on the ticket, or the value is taken back;
//! 4. the value gets its whole lifetime, if it is still there.
//!
//! A removal puts the fence first and removes the value then. If the value was stored
//! before that, it is removed. If it was stored after, then the third step comes after the
//! fence and finds it. A program that dies between the second step and the fourth leaves
//! a value that ends by itself after [`MOMENT`]: so long, and in no other case, may a value
//! be read that is older than its removal.
//!
//! Patterns have one fence together, and so have tags: they may stop a load that they
//! do not mean, which is then not stored, but never let one through that they do. Clearing
//! the tier removes the fences as well; the fence of patterns, which every ticket has, is
//! another one then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use larder_core::{
    CacheBackend, CacheEntry, Capability, Clock, Condition, Error, ErrorKind, Result, SetOptions,
    SharedBackend, Ttl,
};
use xxhash_rust::xxh3::xxh3_128;

use super::lease;
use super::tokens::{MISSING, RESERVED, key_of, number_of, put_all};
use crate::random;

/// How long a fence stands, and a ticket is good.
const FENCE_TTL: Duration = Duration::from_secs(600);
/// How long a value lives that was stored and not yet looked at again.
pub(super) const MOMENT: Duration = Duration::from_secs(2);
/// The fence of patterns.
const PATTERNS: &str = "~larder:fence:patterns";
/// The fence of tags.
const TAGS: &str = "~larder:fence:tags";

/// The fences in one farthest tier.
#[derive(Debug)]
pub(super) struct Fences {
    store: SharedBackend,
    clock: Arc<dyn Clock>,
    /// What the tokens begin with that are put up here.
    own: String,
}

/// What the fences were before a value was loaded.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// By the clock.
    taken: Duration,
    /// The keys of the fences and of the tags that were known, and what was there.
    seen: Vec<(String, u64)>,
    /// The tags whose tokens are among them.
    tags: Vec<String>,
    /// The key, and what was there.
    value: (String, u64),
}

impl Ticket {
    /// Whether something was stored under the key.
    pub(crate) fn was_there(&self) -> bool {
        self.value.1 != MISSING
    }
}

impl Fences {
    pub(super) fn new(store: SharedBackend, clock: Arc<dyn Clock>) -> Self {
        let own = format!("{:016x}:", random::number());
        Self { store, clock, own }
    }

    /// A ticket for each of these keys, for a load that begins now.
    pub(super) async fn tickets(&self, keys: &[&str], tags: &[String]) -> Result<Vec<Ticket>> {
        let taken = self.clock.elapsed();
        let shared = [PATTERNS, TAGS].map(str::to_owned);
        let mut names: Vec<String> = shared.into_iter().collect();
        names.extend(tags.iter().map(|tag| key_of(tag)));
        let common = names.len();
        names.extend(keys.iter().map(|key| fence_of(key)));
        names.extend(keys.iter().map(ToString::to_string));
        let mut numbers = self.look(&names).await?;
        if numbers[0] == MISSING {
            self.begin().await?;
            numbers = self.look(&names).await?;
        }
        let seen: Vec<(String, u64)> = names.into_iter().zip(numbers).collect();
        let (common, own) = seen.split_at(common);
        let (fences, values) = own.split_at(keys.len());
        let ticket = |(fence, value): (&(String, u64), &(String, u64))| Ticket {
            taken,
            seen: common.iter().chain([fence]).cloned().collect(),
            value: value.clone(),
            tags: tags.to_vec(),
        };
        Ok(fences.iter().zip(values).map(ticket).collect())
    }

    /// Puts up the fence that is always there.
    async fn begin(&self) -> Result<()> {
        let mut options = SetOptions::new().with_ttl(Ttl::Never);
        if self.store.capabilities().has(Capability::Conditions) {
            options.condition = Condition::IfAbsent;
        }
        self.store
            .set(PATTERNS, self.new_token(), options)
            .await
            .map(drop)
    }

    /// Whether nothing was stored, and all fences are as they were, for a value of these
    /// tags.
    pub(super) async fn unchanged(&self, ticket: &Ticket, tags: &[String]) -> Result<bool> {
        self.compare(ticket, tags, Some(&ticket.value)).await
    }

    /// Whether all fences are as they were, for a value of these tags.
    pub(super) async fn still(&self, ticket: &Ticket, tags: &[String]) -> Result<bool> {
        self.compare(ticket, tags, None).await
    }

    async fn compare(
        &self,
        ticket: &Ticket,
        tags: &[String],
        value: Option<&(String, u64)>,
    ) -> Result<bool> {
        if self.clock.elapsed().saturating_sub(ticket.taken) + MOMENT >= FENCE_TTL {
            return Ok(false);
        }
        // Of a tag that nobody knew before, only the fence of all of them tells.
        let all_known = tags.iter().all(|tag| ticket.tags.contains(tag));
        let matters = |(name, _): &&(String, u64)| !all_known || name != TAGS;
        let seen = ticket.seen.iter().filter(matters).chain(value);
        let (names, numbers): (Vec<String>, Vec<u64>) = seen.cloned().unzip();
        Ok(self.look(&names).await? == numbers)
    }

    async fn look(&self, names: &[String]) -> Result<Vec<u64>> {
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = self.store.get_many(&all).await?;
        let found: HashMap<String, Bytes> = found.into_iter().collect();
        let number = |name: &String| found.get(name).map_or(MISSING, |token| number_of(token));
        Ok(names.iter().map(number).collect())
    }

    fn new_token(&self) -> Bytes {
        format!("{}{:016x}", self.own, random::number()).into()
    }

    /// Whether somebody else has removed a key within this time, as far as can be told.
    pub(super) async fn was_removed_within(&self, key: &str, time: Duration) -> Result<bool> {
        let now = self.clock.now();
        let is_others = |fence: &CacheEntry| !fence.value.starts_with(self.own.as_bytes());
        let fence = self.store.get_entry(&fence_of(key)).await?;
        let rest = fence.filter(is_others);
        let rest = rest.and_then(|fence| fence.ttl_remaining(now));
        if rest.is_some_and(|rest| FENCE_TTL.saturating_sub(rest) <= time + MOMENT) {
            return Ok(true);
        }
        let patterns = self.store.get_entry(PATTERNS).await?;
        let since = now.checked_sub(time + MOMENT);
        let is_later = |fence: CacheEntry| Some(fence.created_at) > since;
        Ok(patterns.filter(is_others).is_some_and(is_later))
    }

    /// Puts fences before keys that are about to be removed.
    pub(super) async fn before_removal(&self, keys: &[&str]) -> Result<()> {
        let names = keys.iter().map(|key| fence_of(key));
        let leases: Vec<String> = keys.iter().map(|key| lease::name_of(key)).collect();
        let leases: Vec<&str> = leases.iter().map(String::as_str).collect();
        // Who loads now need not be waited for: what it loads will not be stored.
        let (put_up, _) = join(
            self.put_up(names, SetOptions::from(FENCE_TTL)),
            self.store.delete_many(&leases),
        )
        .await;
        put_up
    }

    /// Puts a fence before keys that are about to be removed by a pattern.
    pub(super) async fn before_pattern(&self) -> Result<()> {
        let for_ever = SetOptions::new().with_ttl(Ttl::Never);
        self.put_up([PATTERNS.to_owned()], for_ever).await
    }

    /// Puts a fence before tags that are about to be invalidated.
    pub(super) async fn before_tags(&self) -> Result<()> {
        self.put_up([TAGS.to_owned()], SetOptions::from(FENCE_TTL))
            .await
    }

    async fn put_up(
        &self,
        names: impl IntoIterator<Item = String>,
        options: SetOptions,
    ) -> Result<()> {
        let token = self.new_token();
        let items = names.into_iter().map(|name| (name, token.clone()));
        if put_all(&self.store, items.collect(), options).await? > 0 {
            let message = "the farthest tier has no room for a fence";
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }
}

fn fence_of(key: &str) -> String {
    // As short as any key may be, whatever the key is.
    format!("{RESERVED}fence:{:032x}", xxh3_128(key.as_bytes()))
}
