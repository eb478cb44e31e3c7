//! The contract in the plainest possible words: the oracle of random sequences.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Condition, ErrorKind, Pattern, Ttl, TtlState};

/// A cache without limits that does everything the slow and obvious way.
///
/// ```
/// use larder_core::{Condition, Ttl};
/// use larder_testkit::Model;
///
/// let mut model = Model::default();
/// assert!(model.set("a", "1".into(), Ttl::Default, Condition::Always));
/// assert_eq!(model.increment("a", 41), Ok(42));
/// assert_eq!(model.get("a").as_deref(), Some(&b"42"[..]));
/// ```
#[derive(Debug, Default)]
pub struct Model {
    now: Duration,
    entries: BTreeMap<String, (Bytes, Option<Duration>)>,
    /// `get`s that found something.
    pub hits: u64,
    /// `get`s that found nothing.
    pub misses: u64,
    /// Values stored.
    pub sets: u64,
    /// Deletes that removed something.
    pub deletes: u64,
}

impl Model {
    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        self.entries
            .retain(|_, (_, end)| end.is_none_or(|end| now < end));
    }

    /// As the method of the same name of the contract; so are the others.
    pub fn get(&mut self, key: &str) -> Option<Bytes> {
        let value = self.entries.get(key).map(|(value, _)| value.clone());
        match value {
            Some(_) => self.hits += 1,
            None => self.misses += 1,
        }
        value
    }

    /// Whether it is there.
    pub fn exists(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Stores a value if the condition holds.
    pub fn set(&mut self, key: &str, value: Bytes, ttl: Ttl, condition: Condition) -> bool {
        if !condition.allows(self.exists(key)) {
            return false;
        }
        if ttl.is_zero() {
            self.delete(key);
            return true;
        }
        self.sets += 1;
        let end = ttl.resolve(None).map(|ttl| self.now + ttl);
        self.entries.insert(key.to_owned(), (value, end));
        true
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

    /// Adds to a number.
    ///
    /// # Errors
    ///
    /// The kind of error that a backend gives.
    pub fn increment(&mut self, key: &str, delta: i64) -> Result<i64, ErrorKind> {
        let (number, end) = match self.entries.get(key) {
            None => (0, None),
            Some((value, end)) => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                let number: Option<i64> = text.parse().ok();
                (number.ok_or(ErrorKind::NotANumber)?, *end)
            }
        };
        let sum = number.checked_add(delta).ok_or(ErrorKind::Overflow)?;
        self.sets += 1;
        self.entries
            .insert(key.to_owned(), (sum.to_string().into(), end));
        Ok(sum)
    }

    /// Changes the lifetime.
    pub fn touch(&mut self, key: &str, ttl: Ttl) -> bool {
        if ttl.is_zero() {
            return self.delete(key);
        }
        let end = ttl.resolve(None).map(|ttl| self.now + ttl);
        let entry = self.entries.get_mut(key);
        entry.map(|entry| entry.1 = end).is_some()
    }

    /// The rest of the lifetime.
    pub fn ttl(&self, key: &str) -> Option<TtlState> {
        let (_, end) = self.entries.get(key)?;
        Some(end.map_or(TtlState::Never, |end| {
            TtlState::Remaining(end.saturating_sub(self.now))
        }))
    }

    /// All keys that match, sorted.
    pub fn keys(&self, pattern: Option<&Pattern>) -> Vec<String> {
        let matches = |key: &&String| pattern.is_none_or(|pattern| pattern.matches(key));
        self.entries.keys().filter(matches).cloned().collect()
    }
}
