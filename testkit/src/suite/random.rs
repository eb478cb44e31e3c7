//! Random operations, compared with the model after each step.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{Capability, Clock, Condition, Pattern, ScanPage, SetOptions, Ttl, TtlState};

use super::OK;
use crate::{Model, Subject};

/// xorshift64*: small, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn key(&mut self) -> String {
        format!("key:{}", self.below(12))
    }

    fn pattern(&mut self) -> Pattern {
        Pattern::glob(&format!("key:{}*", self.below(3))).expect("a legal pattern")
    }

    fn ttl(&mut self, subject: &Subject) -> Ttl {
        match self.below(6) {
            0 => Ttl::Default,
            1 => Ttl::Never,
            2 => Ttl::After(Duration::ZERO),
            _ => Ttl::After(subject.millis(1 + self.below(300))),
        }
    }

    fn value(&mut self) -> Bytes {
        match self.below(3) {
            0 => self.below(1_000).to_string().into(),
            1 => Bytes::new(),
            _ => format!("text {}", self.below(1_000)).into(),
        }
    }
}

/// Whatever the sequence, backend and model agree.
// covers: C1, C2, C4, C5, C6, C8, C9, C10, F1, F2, F3, G1, G7, H1, I1, I5, B13, E17
pub fn random_sequences_agree_with_the_model(subject: &Subject) {
    // A server takes its time for each step.
    let seeds = if subject.is_server() { 1..=1 } else { 1..=4 };
    for seed in seeds {
        compare(subject, seed, 5_000);
    }
}

/// Does this many random operations on the subject and on a fresh model.
///
/// What a seed does, it does again: a failure names seed and step.
///
/// ```
/// use larder_testkit::{SixMethods, Subject, suite::random};
///
/// random::compare(&Subject::new(SixMethods::with_clock), 42, 1_000);
/// ```
///
/// # Panics
///
/// If backend and model disagree.
pub fn compare(subject: &Subject, seed: u64, steps: u64) {
    subject.cache.clear().expect(OK);
    subject.cache.stats().expect(OK).reset();
    let mut run = Run {
        subject,
        model: Model::default(),
        // An odd factor keeps seeds apart, and the or keeps xorshift away from zero.
        random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        place: String::new(),
        started: subject.clock().now(),
    };
    for number in 0..steps {
        run.place = format!("seed {seed}, step {number}");
        match run.random.below(4) {
            0 => run.many(),
            1 => run.special(),
            _ => run.single(),
        }
    }
    run.numbers();
}

/// A sequence on its way.
#[derive(Debug)]
struct Run<'a> {
    subject: &'a Subject,
    model: Model,
    random: Random,
    place: String,
    started: SystemTime,
}

impl Run<'_> {
    /// One of the six required methods, or some time.
    fn single(&mut self) {
        let (cache, place) = (&self.subject.cache, &self.place);
        let key = self.random.key();
        match self.random.below(16) {
            0..4 => {
                let (value, ttl) = (self.random.value(), self.random.ttl(self.subject));
                let stored = cache.set(&key, value.clone(), ttl).expect(OK);
                let expected = self.model.set(&key, value, ttl.into());
                assert_eq!(stored, expected, "{place}: set {key}");
            }
            4 => {
                let exists = cache.exists(&key).expect(OK);
                assert_eq!(exists, self.model.exists(&key), "{place}: exists {key}");
            }
            5..7 => {
                let deleted = cache.delete(&key).expect(OK);
                assert_eq!(deleted, self.model.delete(&key), "{place}: delete {key}");
            }
            7..10 => {
                let time = self.subject.millis(self.random.below(60));
                self.subject.pass(time);
                self.model.pass(time);
            }
            10 if self.random.below(20) == 0 => {
                let cleared = cache.clear().expect(OK);
                assert_eq!(cleared, self.model.clear(), "{place}: clear");
            }
            // Rarely, because it makes some backends remove what has expired.
            11 if self.random.below(4) == 0 => self.numbers(),
            _ => {
                let value = cache.get(&key).expect(OK);
                assert_eq!(value, self.model.get(&key), "{place}: get {key}");
            }
        }
    }

    /// A batch, or what a pattern picks.
    fn many(&mut self) {
        let (cache, place) = (&self.subject.cache, &self.place);
        let keys: Vec<String> = (0..self.random.below(5))
            .map(|_| self.random.key())
            .collect();
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        match self.random.below(6) {
            0 if self.subject.has(Capability::Entries) => {
                let found = cache.get_entries(&names).expect(OK).into_iter();
                let found: Vec<_> = found.map(|entry| (entry.key, entry.value)).collect();
                let expected: Vec<(String, Bytes)> = distinct(&names)
                    .filter_map(|key| Some((key.to_owned(), self.model.get(key)?)))
                    .collect();
                assert_eq!(found, expected, "{place}: get_entries {keys:?}");
            }
            0..2 => {
                let found = cache.get_many(&names).expect(OK);
                let expected: Vec<(String, Bytes)> = distinct(&names)
                    .filter_map(|key| Some((key.to_owned(), self.model.get(key)?)))
                    .collect();
                assert_eq!(found, expected, "{place}: get_many {keys:?}");
            }
            2 => {
                let (value, ttl) = (self.random.value(), self.random.ttl(self.subject));
                let items: Vec<_> = keys
                    .iter()
                    .map(|key| (key.clone(), value.clone()))
                    .collect();
                let report = cache.set_many(items, ttl.into()).expect(OK);
                assert!(report.all_ok(), "{place}: set_many {report:?}");
                for key in &keys {
                    self.model.set(key, value.clone(), ttl.into());
                }
                assert_eq!(report.stored(), keys.len() as u64, "{place}: set_many");
            }
            3 => {
                let deleted = cache.delete_many(&names).expect(OK);
                let expected = keys.iter().filter(|key| self.model.delete(key)).count();
                assert_eq!(deleted, expected as u64, "{place}: delete_many {keys:?}");
            }
            4 if self.subject.has(Capability::Keys) => {
                let pattern = self.random.pattern();
                let mut keys = cache.keys(Some(&pattern)).expect(OK);
                keys.sort();
                assert_eq!(keys, self.model.keys(Some(&pattern)), "{place}: keys");
            }
            5 if self.subject.has(Capability::Keys) => {
                let (after, limit) = (self.random.key(), 4);
                let page = cache.scan(None, Some(&after), limit).expect(OK);
                let expected = ScanPage::cut(self.model.keys(None), Some(&after), limit);
                assert_eq!(page, expected, "{place}: scan after {after}");
                if self.random.below(4) == 0 {
                    let pattern = self.random.pattern();
                    let deleted = cache.delete_pattern(&pattern).expect(OK);
                    let keys = self.model.keys(Some(&pattern));
                    let expected = keys.iter().filter(|key| self.model.delete(key)).count();
                    assert_eq!(deleted, expected as u64, "{place}: delete_pattern");
                }
            }
            _ => {}
        }
    }

    /// What needs a capability; without it, nothing.
    fn special(&mut self) {
        let (cache, place) = (&self.subject.cache, &self.place);
        let (key, ttl) = (self.random.key(), self.random.ttl(self.subject));
        match self.random.below(6) {
            0 if self.subject.has(Capability::Conditions) => {
                let condition = match self.random.below(2) {
                    0 => Condition::IfAbsent,
                    _ => Condition::IfPresent,
                };
                let value = self.random.value();
                let options = SetOptions::from(ttl).with_condition(condition);
                let stored = cache.set(&key, value.clone(), options.clone()).expect(OK);
                let expected = self.model.set(&key, value, options);
                assert_eq!(stored, expected, "{place}: set {key} {condition:?}");
            }
            1 if self.subject.has(Capability::Metadata) => {
                let options = SetOptions::from(ttl)
                    .with_metadata([("step", self.random.below(1_000).into())]);
                let stored = cache.set(&key, "noted", options.clone()).expect(OK);
                let expected = self.model.set(&key, "noted".into(), options);
                assert_eq!(stored, expected, "{place}: set {key} with metadata");
            }
            2 if self.subject.has(Capability::Counters) && !ttl.is_zero() => {
                let delta = i64::try_from(self.random.below(100)).expect("small") - 50;
                let sum = cache.increment(&key, delta, ttl).map_err(|e| e.kind());
                let expected = self.model.increment(&key, delta, ttl);
                assert_eq!(sum, expected, "{place}: increment {key} by {delta}");
            }
            3 if self.subject.has(Capability::Touch) => {
                let touched = cache.touch(&key, ttl).expect(OK);
                let expected = self.model.touch(&key, ttl);
                assert_eq!(touched, expected, "{place}: touch {key} {ttl:?}");
            }
            4 if self.subject.has(Capability::Entries) => {
                let rest = cache.ttl(&key).expect(OK);
                let expected = self.model.ttl(&key);
                let end = |rest: Option<TtlState>| {
                    let rest = rest.and_then(TtlState::remaining)?;
                    Some(self.started + rest)
                };
                let is_right =
                    rest.is_some() == expected.is_some() && self.is_about(end(rest), end(expected));
                assert!(is_right, "{place}: ttl {key}: {rest:?}, not {expected:?}");
            }
            5 if self.subject.has(Capability::Entries) => {
                let entry = cache.get_entry(&key).expect(OK);
                let item = self.model.get_item(&key);
                let (Some(entry), Some(item)) = (&entry, &item) else {
                    assert_eq!(entry.is_some(), item.is_some(), "{place}: get_entry {key}");
                    return;
                };
                let created = self.started + item.created;
                let seen = self.subject.created_or(entry.created_at, created);
                assert_eq!(
                    (&entry.value, seen, &entry.metadata),
                    (&item.value, created, &item.metadata),
                    "{place}: get_entry {key}"
                );
                let end = item.end.map(|end| self.started + end);
                assert!(
                    self.is_about(entry.expires_at, end),
                    "{place}: get_entry {key}: {:?}, not {end:?}",
                    entry.expires_at
                );
            }
            _ => {}
        }
    }

    /// Whether something ends when it is expected to, or not at all.
    fn is_about(&self, seen: Option<SystemTime>, expected: Option<SystemTime>) -> bool {
        let after = |end: SystemTime| end.duration_since(self.started).unwrap_or_default();
        match (seen, expected) {
            (Some(seen), Some(expected)) => self.subject.is_about(after(seen), after(expected)),
            (seen, expected) => seen == expected,
        }
    }

    /// The statistics.
    fn numbers(&self) {
        let (stats, model) = (self.subject.cache.stats().expect(OK), &self.model);
        let seen = [
            stats.hits,
            stats.misses,
            stats.sets,
            stats.deletes,
            self.subject.expired_or(model.expired),
            self.subject.entries_or(model.keys(None).len() as u64),
            self.subject.size_or(model.size_bytes()),
        ];
        let expected = [
            model.hits,
            model.misses,
            model.sets,
            model.deletes,
            model.expired,
            model.keys(None).len() as u64,
            model.size_bytes(),
        ];
        assert_eq!(
            seen, expected,
            "{}: hits, misses, sets, deletes, expired, entries, bytes",
            self.place
        );
    }
}
