//! Tags for stores that know nothing of tags.
//!
//! A tag has a *token* in the farthest tier, under a key of its own; invalidating the tag
//! gives it another one. A value is stored with a *stamp* of what the tokens of its tags
//! are, and whoever reads it later compares. So an invalidation costs the same however
//! many entries have the tag, and nothing is kept of a tag but its token. If the store
//! loses a token, the values that were stamped with it are gone, never back.
//!
//! Several tags at once (those entries that have *all* of them) cannot be told by tokens
//! of single tags. They are *records* with numbers in a row; the stamp tells the last one
//! that was there, and the reader looks at those after it.
//!
//! What was seen of tokens is believed for a while, see `believed_for`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_core::{
    CacheBackend, Capability, Clock, Condition, Error, ErrorKind, Result, SetOptions,
    SharedBackend, TagMatch, Ttl,
};
use larder_engine::{Cache, Change};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::packed::Packed;
use crate::random::number as random;

/// What keys of tokens begin with.
pub(super) const RESERVED: &str = "~larder:";
/// The counter of records; the records come behind it.
const RECORDS: &str = "~larder:all";
/// Its name among the tags that are known: no tag is empty.
const LAST_RECORD: &str = "";
/// How long a value with tags lives at most.
pub(super) const LONGEST_TAGGED: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a token lives: longer than any value that was stamped before it.
const TOKEN_TTL: Duration = Duration::from_secs(31 * 24 * 3_600);
/// Tags that are remembered.
const MOST_KNOWN: u64 = 100_000;
/// In place of the number of a token that there is not.
pub(super) const MISSING: u64 = 0;
/// Tokens get a new lifetime each time that so many values were stored, about.
const ONE_IN: u64 = 64;
/// Records that a value is compared with at most; if there are more, it is let go.
const MOST_RECORDS: u32 = 256;

/// The tokens of one farthest tier.
#[derive(Debug)]
pub(super) struct Tokens {
    store: SharedBackend,
    /// What was seen of tokens, by tag.
    known: Cache<Box<str>, Sight>,
    /// Rises with every look and every change.
    looks: AtomicU64,
    /// What was seen of records; they never change.
    records: Cache<u32, Arc<[String]>>,
}

/// What a token was, and when somebody began to look.
#[derive(Debug, Clone, Copy)]
struct Sight {
    /// `None` if it has just been changed: who changed it last, only the store knows.
    token: Option<u64>,
    look: u64,
}

/// What the tokens of some tags are.
type Seen<'a> = HashMap<&'a str, u64>;

impl Tokens {
    pub(super) fn new(store: SharedBackend, believed_for: Duration, clock: Arc<dyn Clock>) -> Self {
        let known = Cache::builder()
            .max_entries(MOST_KNOWN)
            .time_to_live(believed_for)
            .clock(clock)
            .build();
        Self {
            store,
            known: known.expect("a positive limit and lifetime"),
            looks: AtomicU64::new(0),
            records: Cache::new(u64::from(MOST_RECORDS)),
        }
    }

    /// What to store along with a value of these tags.
    pub(super) async fn stamp(&self, tags: &[String]) -> Result<Option<u64>> {
        if tags.is_empty() {
            return Ok(None);
        }
        // Asked for anew: with an old token the value would be gone at once.
        let mut seen = self.ask(self.wanted(tags)).await?;
        let missing = self.wanted(tags).filter(|tag| seen[tag] == MISSING);
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            self.create(&missing).await?;
            seen.extend(self.ask(missing).await?);
        } else if random().is_multiple_of(ONE_IN) {
            self.keep_alive(tags).await;
        }
        Ok(Some(stamp_of(tags, &seen)))
    }

    /// What has to be known for values of these tags.
    fn wanted<'a>(&self, tags: &'a [String]) -> impl Iterator<Item = &'a str> {
        let has_records = tags.len() > 1 && self.has(Capability::Counters);
        let records = has_records.then_some(LAST_RECORD);
        tags.iter().map(String::as_str).chain(records)
    }

    fn has(&self, capability: Capability) -> bool {
        self.store.capabilities().has(capability)
    }

    /// Gives tags their first tokens: a value that was stored without one would be back
    /// if the store lost the token that invalidated it.
    async fn create(&self, tags: &[&str]) -> Result<()> {
        let mut options = SetOptions::from(TOKEN_TTL);
        if self.has(Capability::Conditions) {
            options.condition = Condition::IfAbsent;
        }
        let names = tags.iter().filter(|tag| **tag != LAST_RECORD);
        let items = names.map(|tag| (key_of(tag), new_token()));
        // Whoever was faster made one as well.
        put_all(&self.store, items.collect(), options).await?;
        if tags.contains(&LAST_RECORD) {
            self.begin_records().await?;
        }
        Ok(())
    }

    /// Has the numbers of records begin anywhere: not where they did last time.
    async fn begin_records(&self) -> Result<i64> {
        let far = i64::from(low_half(random()) >> 1) + 1;
        let begun = self.store.increment(RECORDS, far, Ttl::Never).await;
        match begun {
            Err(error) if error.kind() == ErrorKind::NotANumber => {
                // Not written by us.
                self.store.delete(RECORDS).await?;
                self.store.increment(RECORDS, far, Ttl::Never).await
            }
            begun => begun,
        }
    }

    /// Gives tokens that are in use a new lifetime, if that works.
    async fn keep_alive(&self, tags: &[String]) {
        if self.has(Capability::Touch) {
            for tag in tags {
                let _ = self.store.touch(&key_of(tag), Ttl::After(TOKEN_TTL)).await;
            }
        }
    }

    /// Which of some values with their stamps nobody has invalidated.
    pub(super) async fn hold(&self, values: &[&Packed]) -> Result<Vec<bool>> {
        let tagged = values.iter().filter(|value| !value.tags.is_empty());
        let tags = tagged.flat_map(|value| self.wanted(&value.tags));
        let tags: HashSet<&str> = tags.collect();
        if tags.is_empty() {
            return Ok(vec![true; values.len()]);
        }
        let seen = self.look(tags).await?;
        let mut hold = Vec::with_capacity(values.len());
        for value in values {
            let holds = value.tags.is_empty();
            hold.push(holds || self.holds(&value.tags, value.stamp, &seen).await?);
        }
        Ok(hold)
    }

    async fn holds(&self, tags: &[String], stamp: Option<u64>, seen: &Seen<'_>) -> Result<bool> {
        let (Some(then), now) = (stamp, stamp_of(tags, seen)) else {
            return Ok(false);
        };
        if tokens_in(then) != tokens_in(now) {
            return Ok(false);
        }
        let new = record_in(now).wrapping_sub(record_in(then));
        if new > MOST_RECORDS {
            return Ok(false);
        }
        let after = (1..=new).map(|n| record_in(then).wrapping_add(n));
        let records = self.records(after.collect()).await?;
        // One that is missing is one that nobody knows.
        let means = |record: &Option<Arc<[String]>>| {
            let all = |record: &Arc<[String]>| record.iter().all(|tag| tags.contains(tag));
            record.as_ref().is_none_or(all)
        };
        Ok(!records.iter().any(means))
    }

    /// Invalidates whatever is stamped now and has any or all of these tags.
    pub(super) async fn invalidate(&self, tags: &[&str], which: TagMatch) -> Result<()> {
        let mut tags = tags.to_vec();
        tags.sort_unstable();
        tags.dedup();
        match which {
            TagMatch::All if tags.len() > 1 => self.add_record(&tags).await,
            TagMatch::All | TagMatch::Any => self.renew(&tags).await,
        }
    }

    async fn renew(&self, tags: &[&str]) -> Result<()> {
        let token = new_token();
        let items = tags.iter().map(|tag| (key_of(tag), token.clone()));
        let options = SetOptions::from(TOKEN_TTL);
        let put = put_all(&self.store, items.collect(), options).await;
        // Whether it succeeded or not: some may be changed.
        self.forget(tags);
        if put? > 0 {
            let message = "the farthest tier has no room for the token of a tag";
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }

    async fn add_record(&self, tags: &[&str]) -> Result<()> {
        let mut number = self.store.increment(RECORDS, 1, Ttl::Never).await?;
        if number == 1 {
            number = self.begin_records().await?;
        }
        let text = serde_json::to_vec(tags).expect("a list of text is JSON");
        let options = SetOptions::from(TOKEN_TTL);
        let key = record_key(low_half(number.cast_unsigned()));
        let stored = self.store.set(&key, text.into(), options).await;
        self.forget(&[LAST_RECORD]);
        stored.map(drop)
    }

    /// Somebody else has invalidated these, or several of them together.
    pub(super) fn forget_all(&self, tags: &[&str]) {
        self.forget(tags);
        self.forget(&[LAST_RECORD]);
    }

    /// Anything may have been invalidated.
    pub(super) fn forget_everything(&self) {
        // Looks that have begun are older than what they would remember.
        self.known.clear();
    }

    /// Has the store asked for these from now on.
    fn forget(&self, tags: &[&str]) {
        let look = self.begin_look();
        for tag in tags {
            self.remember(tag, None, look);
        }
    }

    /// The tokens, from what is known or else from the store.
    async fn look<'a>(&self, tags: HashSet<&'a str>) -> Result<Seen<'a>> {
        let mut seen = Seen::new();
        let mut unknown = HashSet::new();
        for tag in tags {
            match self.known.get(tag).and_then(|sight| sight.token) {
                Some(token) => drop(seen.insert(tag, token)),
                None => drop(unknown.insert(tag)),
            }
        }
        if !unknown.is_empty() {
            seen.extend(self.ask(unknown).await?);
        }
        Ok(seen)
    }

    /// The tokens, from the store.
    async fn ask<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Result<Seen<'a>> {
        let keys: Vec<(&str, String)> = tags.into_iter().map(|tag| (tag, key_of(tag))).collect();
        let names: Vec<&str> = keys.iter().map(|(_, key)| key.as_str()).collect();
        let look = self.begin_look();
        let found: HashMap<String, Bytes> =
            self.store.get_many(&names).await?.into_iter().collect();
        let mut seen = Seen::with_capacity(keys.len());
        for (tag, key) in keys {
            let token = match found.get(&key) {
                None => MISSING,
                Some(text) if tag == LAST_RECORD => counted(text),
                Some(text) => number_of(text),
            };
            self.remember(tag, Some(token), look);
            seen.insert(tag, token);
        }
        Ok(seen)
    }

    fn begin_look(&self) -> u64 {
        // Ordering: relaxed, the numbers only have to be in the order of one counter.
        self.looks.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers a token, unless somebody began later and has been faster.
    fn remember(&self, tag: &str, token: Option<u64>, look: u64) {
        let _ = self.known.compute(tag.into(), |known| match known {
            Some(known) if known.look > look => Change::Keep,
            _ => Change::Insert(Sight { token, look }, Ttl::Default),
        });
    }

    async fn records(&self, numbers: Vec<u32>) -> Result<Vec<Option<Arc<[String]>>>> {
        let unknown = numbers.iter().filter(|n| !self.records.contains_key(*n));
        let unknown: Vec<(u32, String)> = unknown.map(|n| (*n, record_key(*n))).collect();
        if !unknown.is_empty() {
            let keys: Vec<&str> = unknown.iter().map(|(_, key)| key.as_str()).collect();
            let found = self.store.get_many(&keys).await?;
            for (number, key) in &unknown {
                let text = found.iter().find(|(found, _)| found == key);
                let tags = text.and_then(|(_, text)| serde_json::from_slice(text).ok());
                if let Some::<Vec<String>>(tags) = tags {
                    self.records.insert(*number, tags.into());
                }
            }
        }
        Ok(numbers.iter().map(|n| self.records.get(n)).collect())
    }
}

/// Stores marks, all of them or with an error; how many were refused.
pub(super) async fn put_all(
    store: &SharedBackend,
    marks: Vec<(String, Bytes)>,
    options: SetOptions,
) -> Result<usize> {
    let report = store.set_many(marks, options).await?;
    match report.failed().first() {
        Some((_, error)) => Err(error.clone()),
        None => Ok(report.refused().len()),
    }
}

/// The tokens in the upper half, the last record in the lower one.
fn stamp_of(tags: &[String], seen: &Seen<'_>) -> u64 {
    let token = |tag: &str| seen.get(tag).copied().unwrap_or(MISSING);
    let tokens: Vec<u8> = tags
        .iter()
        .flat_map(|tag| token(tag).to_le_bytes())
        .collect();
    xxh3_64(&tokens) << 32 | u64::from(low_half(token(LAST_RECORD)))
}

fn tokens_in(stamp: u64) -> u64 {
    stamp >> 32
}

fn record_in(stamp: u64) -> u32 {
    low_half(stamp)
}

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
fn low_half(number: u64) -> u32 {
    number as u32
}

pub(super) fn key_of(tag: &str) -> String {
    if tag == LAST_RECORD {
        return RECORDS.to_owned();
    }
    // As short as any key may be, whatever the tag is.
    format!("{RESERVED}tag:{:032x}", xxh3_128(tag.as_bytes()))
}

fn record_key(number: u32) -> String {
    format!("{RECORDS}:{number}")
}

/// What a token is compared by; never [`MISSING`].
pub(super) fn number_of(token: &[u8]) -> u64 {
    xxh3_64(token).max(1)
}

pub(super) fn new_token() -> Bytes {
    format!("{:016x}", random()).into()
}

fn counted(text: &[u8]) -> u64 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let number: i64 = text.parse().unwrap_or_default();
    u64::from(low_half(number.cast_unsigned()))
}
