//! A naive cache, and the check of a real one against it.
//!
//! The model keeps a plain map. It learns from the removal listener what the
//! cache evicted, checks that each victim was the right one and that room was
//! needed, and removes it too. It shares no code with the engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_core::clock::ManualClock;
use larder_engine::{Cache, Policy, RemovalCause};

/// Keys and values are small numbers; a value's weight is its lowest four bits.
pub(crate) type Key = u16;
/// See [`Key`].
pub(crate) type Value = u32;

/// What the listener heard.
type Log = Arc<Mutex<Vec<(Key, Value, RemovalCause)>>>;

/// The weight of a value.
pub(crate) fn weigh(value: Value) -> u64 {
    u64::from(value & 15)
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    deadline: Option<u64>,
    end: Option<u64>,
    stored: u64,
    used: u64,
    uses: Vec<u64>,
}

/// Limits and times of a model and its cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) max_entries: Option<u64>,
    pub(crate) max_weight: Option<u64>,
    pub(crate) time_to_idle: Option<u64>,
    pub(crate) shards: usize,
}

/// A cache and the model that watches it.
pub(crate) struct Checked {
    pub(crate) cache: Cache<Key, Value>,
    clock: ManualClock,
    log: Log,
    rules: Rules,
    entries: HashMap<Key, Entry>,
    now: u64,
    tick: u64,
    /// Operations and removals so far, to compare with the statistics.
    pub(crate) counts: Counts,
}

/// What should be in the statistics.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) sets: u64,
    pub(crate) rejected: u64,
    pub(crate) deletes: u64,
    pub(crate) capacity: u64,
}

impl Checked {
    pub(crate) fn new(rules: Rules) -> Self {
        let clock = ManualClock::new();
        let log = Log::default();
        let heard = Arc::clone(&log);
        let mut builder = Cache::builder()
            .policy(rules.policy)
            .weigher(|_, value| weigh(*value))
            .clock(Arc::new(clock.clone()))
            .shards(rules.shards)
            .on_removal(move |key, value, cause| heard.lock().unwrap().push((*key, *value, cause)));
        if let Some(entries) = rules.max_entries {
            builder = builder.max_entries(entries);
        }
        if let Some(weight) = rules.max_weight {
            builder = builder.max_weight(weight);
        }
        if let Some(idle) = rules.time_to_idle {
            builder = builder.time_to_idle(Duration::from_millis(idle));
        }
        Self {
            cache: builder.build().unwrap(),
            clock,
            log,
            rules,
            entries: HashMap::new(),
            now: 0,
            tick: 0,
            counts: Counts::default(),
        }
    }

    pub(crate) fn advance(&mut self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
        self.now += millis;
        let now = self.now;
        self.entries
            .retain(|_, entry| entry.deadline.is_none_or(|deadline| deadline > now));
    }

    pub(crate) fn get(&mut self, key: Key) {
        let got = self.cache.get(&key);
        let (now, idle, tick) = (self.now, self.rules.time_to_idle, self.next_tick());
        let expected = self.entries.get_mut(&key).map(|entry| {
            entry.used = tick;
            entry.uses.push(tick);
            entry.deadline = earlier(entry.end, idle.map(|idle| now + idle));
            entry.value
        });
        assert_eq!(got, expected, "get {key}");
        match got {
            Some(_) => self.counts.hits += 1,
            None => self.counts.misses += 1,
        }
        self.follow(None, 0);
    }

    pub(crate) fn insert(&mut self, key: Key, value: Value, ttl: Option<u64>) {
        let ttl_option = ttl.map_or(larder_core::Ttl::Default, |millis| {
            larder_core::Ttl::After(Duration::from_millis(millis))
        });
        let stored = self.cache.insert_with_ttl(key, value, ttl_option);
        self.put(key, value, ttl, stored, false);
    }

    pub(crate) fn update(&mut self, key: Key, value: Value) {
        let computed = self
            .cache
            .compute(key, |_| larder_engine::Change::Update(value));
        let stored = computed == larder_engine::Computed::Stored;
        self.put(key, value, None, stored, true);
    }

    fn put(&mut self, key: Key, value: Value, ttl: Option<u64>, stored: bool, keeps_end: bool) {
        let fits = self.rules.max_weight.is_none_or(|max| weigh(value) <= max);
        assert_eq!(stored, fits || ttl == Some(0), "insert {key}");
        if ttl == Some(0) {
            self.counts.deletes += u64::from(self.entries.remove(&key).is_some());
            return self.follow(None, 0);
        }
        if !stored {
            self.counts.rejected += 1;
            self.entries.remove(&key);
            return self.follow(None, 0);
        }
        self.counts.sets += 1;
        self.follow(Some(key), weigh(value));
        let tick = self.next_tick();
        let old = self.entries.remove(&key);
        let mut uses = old.as_ref().map_or_else(Vec::new, |old| old.uses.clone());
        uses.push(tick);
        let end = match old {
            Some(old) if keeps_end => old.end,
            _ => ttl.map(|ttl| self.now + ttl),
        };
        self.entries.insert(
            key,
            Entry {
                value,
                deadline: earlier(end, self.rules.time_to_idle.map(|idle| self.now + idle)),
                end,
                stored: tick,
                used: tick,
                uses,
            },
        );
        self.check_limits();
    }

    pub(crate) fn remove(&mut self, key: Key) {
        let expected = self.entries.remove(&key).map(|entry| entry.value);
        assert_eq!(self.cache.remove(&key), expected, "remove {key}");
        self.counts.deletes += u64::from(expected.is_some());
        self.follow(None, 0);
    }

    pub(crate) fn set_ttl(&mut self, key: Key, ttl: u64) {
        let done = self.cache.set_ttl(&key, Duration::from_millis(ttl));
        assert_eq!(done, self.entries.contains_key(&key), "set_ttl {key}");
        if ttl == 0 {
            self.counts.deletes += u64::from(self.entries.remove(&key).is_some());
        }
        let (now, idle, tick) = (self.now, self.rules.time_to_idle, self.next_tick());
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.end = Some(now + ttl);
            entry.deadline = earlier(entry.end, idle.map(|idle| now + idle));
            if self.rules.policy == Policy::Ttl {
                entry.stored = tick;
            }
        }
        self.follow(None, 0);
    }

    pub(crate) fn clear(&mut self) {
        assert_eq!(self.cache.clear(), self.entries.len() as u64, "clear");
        self.entries.clear();
        self.follow(None, 0);
    }

    pub(crate) fn resize(&mut self, max_weight: u64) {
        if self.rules.max_weight.is_some() {
            self.rules.max_weight = Some(max_weight);
            self.cache.set_max_weight(max_weight);
            self.follow(None, 0);
            self.check_limits();
        }
    }

    /// Compares everything that can be seen.
    pub(crate) fn compare(&self) {
        self.cache.validate();
        assert_eq!(self.cache.len(), self.entries.len() as u64, "len");
        assert_eq!(self.cache.weight(), self.weight(), "weight");
        let mut listed: Vec<_> = self.cache.iter().collect();
        listed.sort_unstable();
        let mut expected: Vec<_> = self.entries.iter().map(|(k, e)| (*k, e.value)).collect();
        expected.sort_unstable();
        assert_eq!(listed, expected, "iter");
        for (key, entry) in &self.entries {
            let left = self.cache.ttl(key).expect("it is there").remaining();
            let expected = entry
                .deadline
                .map(|end| Duration::from_millis(end - self.now));
            assert_eq!(left, expected, "ttl of {key}");
        }
        let stats = self.cache.stats();
        let counts = Counts {
            hits: stats.hits,
            misses: stats.misses,
            sets: stats.sets,
            rejected: stats.rejected,
            deletes: stats.deletes,
            capacity: stats.evicted_capacity,
        };
        assert_eq!(counts, self.counts);
    }

    /// Repeats in the model what the cache evicted, and checks each step.
    fn follow(&mut self, written: Option<Key>, new_weight: u64) {
        let heard = std::mem::take(&mut *self.log.lock().unwrap());
        for (key, _, cause) in heard {
            if cause == RemovalCause::Expired {
                assert!(!self.entries.contains_key(&key), "{key} was still alive");
            }
            if cause == RemovalCause::Capacity {
                assert!(
                    self.needs_room(written, new_weight),
                    "{key} went for nothing"
                );
                self.check_victim(key, written);
                self.entries.remove(&key);
                self.counts.capacity += 1;
            }
        }
        assert!(
            !self.needs_room(written, new_weight),
            "more should have gone"
        );
    }

    fn needs_room(&self, written: Option<Key>, new_weight: u64) -> bool {
        let old = written.and_then(|key| self.entries.get(&key));
        let weight = self.weight() + new_weight - old.map_or(0, |old| weigh(old.value));
        let entries = self.entries.len() as u64 + u64::from(written.is_some() && old.is_none());
        // A write that does not grow needs no room.
        let shrinks = old.is_some_and(|old| weigh(old.value) >= new_weight);
        let too_heavy = self.rules.max_weight.is_some_and(|max| weight > max) && !shrinks;
        too_heavy || self.rules.max_entries.is_some_and(|max| entries > max)
    }

    fn check_victim(&self, victim: Key, written: Option<Key>) {
        let others = || {
            self.entries
                .iter()
                .filter(|(key, _)| Some(**key) != written)
        };
        let chosen = &self.entries[&victim];
        assert!(
            Some(victim) != written || others().next().is_none(),
            "replaced key evicted"
        );
        for (key, other) in others() {
            let right = match self.rules.policy {
                Policy::Lru => chosen.used <= other.used,
                Policy::Fifo => chosen.stored <= other.stored,
                Policy::Ttl => ends(chosen) <= ends(other),
                // Ranks are rounded by a few ticks per use.
                Policy::Lfu => score(chosen) <= score(other) + 1e-4,
                // The others promise a good victim, not a certain one.
                other => !other.is_exact(),
            };
            assert!(right, "{victim} {chosen:?} went before {key} {other:?}");
        }
    }

    fn weight(&self) -> u64 {
        self.entries.values().map(|entry| weigh(entry.value)).sum()
    }

    fn check_limits(&self) {
        assert!(
            self.rules
                .max_weight
                .is_none_or(|max| self.cache.weight() <= max)
        );
        assert!(
            self.rules
                .max_entries
                .is_none_or(|max| self.cache.len() <= max)
        );
    }

    fn next_tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The order of eviction under `ttl`.
fn ends(entry: &Entry) -> (u64, u64) {
    (entry.deadline.unwrap_or(u64::MAX), entry.stored)
}

/// The logarithm of the aged number of uses.
fn score(entry: &Entry) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^53")]
    let aged = entry
        .uses
        .iter()
        .map(|tick| (*tick as f64 / 2f64.powi(20)).exp2());
    aged.sum::<f64>().log2()
}
