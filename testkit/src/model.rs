//! The contract in the plainest possible words: the oracle of random sequences.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{ErrorKind, Metadata, Pattern, SetOptions, TagMatch, Ttl, TtlState};

/// A cache without limits that does everything the slow and obvious way.
///
/// ```
/// use larder_core::SetOptions;
/// use larder_testkit::Model;
///
/// let mut model = Model::default();
/// assert!(model.set("a", "1".into(), SetOptions::new()));
/// assert_eq!(model.increment("a", 41, larder_core::Ttl::Default), Ok(42));
/// assert_eq!(model.get("a").as_deref(), Some(&b"42"[..]));
/// ```
#[derive(Debug, Default)]
pub struct Model {
    now: Duration,
    entries: BTreeMap<String, Item>,
    /// `get`s that found something.
    pub hits: u64,
    /// `get`s that found nothing.
    pub misses: u64,
    /// Values stored.
    pub sets: u64,
    /// Deletes that removed something.
    pub deletes: u64,
    /// Entries whose time was over.
    pub expired: u64,
}

/// What a [`Model`] keeps under a key; times are since its start.
///
/// ```
/// use larder_core::SetOptions;
/// use larder_testkit::Model;
/// use std::time::Duration;
///
/// let mut model = Model::default();
/// model.set("a", "1".into(), Duration::from_secs(5).into());
/// let item = model.get_item("a").expect("just set");
/// assert_eq!((item.created, item.end), (Duration::ZERO, Some(Duration::from_secs(5))));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The value.
    pub value: Bytes,
    /// When it was stored.
    pub created: Duration,
    /// When it is over; `None` is never.
    pub end: Option<Duration>,
    /// What was said about it.
    pub metadata: Metadata,
    /// Names it can be invalidated by.
    pub tags: Vec<String>,
}

impl Model {
    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        let before = self.entries.len();
        self.entries
            .retain(|_, item| item.end.is_none_or(|end| now < end));
        self.expired += (before - self.entries.len()) as u64;
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// As the method of the same name of the contract; so are the others.
    pub fn get(&mut self, key: &str) -> Option<Bytes> {
        self.get_item(key).map(|item| item.value)
    }

    /// The value with everything known about it; counts as a `get`.
    pub fn get_item(&mut self, key: &str) -> Option<Item> {
        let item = self.entries.get(key).cloned();
        match item {
            Some(_) => self.hits += 1,
            None => self.misses += 1,
        }
        item
    }

    /// Whether it is there.
    pub fn exists(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Stores a value if the condition holds.
    pub fn set(&mut self, key: &str, value: Bytes, options: SetOptions) -> bool {
        if !options.condition.allows(self.exists(key)) {
            return false;
        }
        if options.ttl.is_zero() {
            self.delete(key);
            return true;
        }
        self.sets += 1;
        let item = Item {
            value,
            created: self.now,
            end: self.end(options.ttl),
            metadata: options.metadata,
            tags: options.tags,
        };
        self.entries.insert(key.to_owned(), item);
        true
    }

    fn end(&self, ttl: Ttl) -> Option<Duration> {
        ttl.resolve(None).map(|ttl| self.now + ttl)
    }

    /// Removes a key.
    pub fn delete(&mut self, key: &str) -> bool {
        let deleted = self.entries.remove(key).is_some();
        self.deletes += u64::from(deleted);
        deleted
    }

    /// Removes all.
    pub fn clear(&mut self) -> u64 {
        let cleared = self.entries.len() as u64;
        self.entries.clear();
        cleared
    }

    /// Adds to a number; a new one gets the lifetime.
    ///
    /// # Errors
    ///
    /// The kind of error that a backend gives.
    pub fn increment(&mut self, key: &str, delta: i64, ttl: Ttl) -> Result<i64, ErrorKind> {
        let Some(item) = self.entries.get_mut(key) else {
            self.set(key, delta.to_string().into(), ttl.into());
            return Ok(delta);
        };
        let text = std::str::from_utf8(&item.value).unwrap_or_default();
        let number: Option<i64> = text.parse().ok();
        let number = number.filter(|number| number.to_string() == text);
        let number = number.ok_or(ErrorKind::NotANumber)?;
        let sum = number.checked_add(delta).ok_or(ErrorKind::Overflow)?;
        item.value = sum.to_string().into();
        self.sets += 1;
        Ok(sum)
    }

    /// Changes the lifetime.
    pub fn touch(&mut self, key: &str, ttl: Ttl) -> bool {
        if ttl.is_zero() {
            return self.delete(key);
        }
        let end = self.end(ttl);
        let item = self.entries.get_mut(key);
        item.map(|item| item.end = end).is_some()
    }

    /// The rest of the lifetime.
    pub fn ttl(&self, key: &str) -> Option<TtlState> {
        let item = self.entries.get(key)?;
        Some(item.end.map_or(TtlState::Never, |end| {
            TtlState::Remaining(end.saturating_sub(self.now))
        }))
    }

    /// All keys that match, sorted.
    pub fn keys(&self, pattern: Option<&Pattern>) -> Vec<String> {
        let matches = |key: &&String| pattern.is_none_or(|pattern| pattern.matches(key));
        self.entries.keys().filter(matches).cloned().collect()
    }

    /// Removes what has one or all of the tags.
    pub fn invalidate_tags(&mut self, tags: &[&str], which: TagMatch) -> u64 {
        let before = self.entries.len();
        self.entries.retain(|_, item| {
            let has = |tag: &&str| item.tags.iter().any(|own| own == tag);
            !match which {
                TagMatch::Any => tags.iter().any(has),
                TagMatch::All => tags.iter().all(has),
            }
        });
        (before - self.entries.len()) as u64
    }

    /// Bytes of all values.
    pub fn size_bytes(&self) -> u64 {
        self.entries
            .values()
            .map(|item| item.value.len() as u64)
            .sum()
    }
}
