//! Operations on all entries, a few under one lock at a time.
//!
//! They go through each shard in the order of the hashes, so that what happens
//! meanwhile moves nothing out of their way.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use crate::budget::Growth;
use crate::cache::Inner;
use crate::expiry;
#[cfg(any(test, fuzzing, feature = "validate"))]
use crate::load::Flights;
use crate::removal::{Departures, RemovalCause};
use crate::shard::END;

impl<K, V, S> Inner<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Removes all entries and tells how many.
    pub(crate) fn clear(&self) -> u64 {
        let mut cleared = 0;
        for number in 0..self.shards.len() {
            let mut hash = 0;
            while hash < END {
                let mut gone = Departures::new();
                hash = self.in_shard(number, |shard| {
                    // Each time: a load that began since may have seen what goes now.
                    self.flights[number].overtake_all();
                    shard.drain_from(hash, |key, value, record| {
                        self.budget.release(Growth::of_entry(record.weight));
                        gone.push(key, value, RemovalCause::Removed);
                        cleared += 1;
                    })
                });
                self.let_go(gone);
            }
        }
        cleared
    }

    /// Shows the live entries, a few under one lock at a time.
    pub(crate) fn for_each_stretch(&self, mut show: impl FnMut(&mut dyn Iterator<Item = &(K, V)>)) {
        let mut cursor = Cursor::default();
        while self.next_stretch(&mut cursor, &mut show) {}
    }

    /// Shows the next few live entries; `false` at the end.
    fn next_stretch(
        &self,
        cursor: &mut Cursor,
        show: &mut impl FnMut(&mut dyn Iterator<Item = &(K, V)>),
    ) -> bool {
        let Some(shard) = self.shards.get(cursor.shard) else {
            return false;
        };
        let shard = shard.lock();
        let now = expiry::millis(self.now_for(&shard));
        let (mut live, next) = shard.live_from(cursor.hash, now);
        show(&mut live);
        *cursor = if next < END {
            Cursor {
                hash: next,
                ..*cursor
            }
        } else {
            Cursor {
                shard: cursor.shard + 1,
                hash: 0,
            }
        };
        true
    }

    /// The keys in the order in which they would go, at most `limit` of them.
    pub(crate) fn eviction_order(&self, limit: usize) -> Vec<K>
    where
        K: Clone,
    {
        let mut ranked = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let now = expiry::millis(self.now_for(&shard));
            let live = shard.live_in_order(now);
            ranked.extend(live.map(|(place, item)| (place, item.0.clone())));
        }
        ranked.sort_unstable_by_key(|(place, _)| *place);
        ranked.truncate(limit);
        ranked.into_iter().map(|(_, key)| key).collect()
    }

    /// Checks the invariants of every shard, and that the totals add up.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn validate(&self) {
        let (mut entries, mut weight) = (0, 0);
        for (shard, hint) in self.shards.iter().zip(&self.hints) {
            let shard = shard.lock();
            let totals = shard.validate(|key| self.hash(key));
            hint.validate(&shard);
            entries += totals.entries;
            weight += totals.weight;
        }
        let loads: usize = self.flights.iter().map(Flights::len).sum();
        assert_eq!(loads, 0, "loads in flight");
        assert_eq!(self.budget.entries.used(), entries, "entries");
        assert_eq!(self.budget.weight.used(), weight, "weight");
        assert!(!self.budget.is_exceeded(), "{:?}", self.budget);
    }
}

/// What comes next.
#[derive(Debug, Default)]
struct Cursor {
    shard: usize,
    hash: u64,
}

/// Live entries of a cache, by clone.
///
/// ```
/// use larder_engine::Cache;
///
/// let cache = Cache::new(10);
/// cache.insert(1, "one");
/// cache.insert(2, "two");
/// let mut all: Vec<_> = cache.iter().collect();
/// all.sort();
/// assert_eq!(all, [(1, "one"), (2, "two")]);
/// ```
pub struct Iter<'a, K, V, S> {
    cache: &'a Inner<K, V, S>,
    cursor: Cursor,
    /// What is left of the last few, in reverse.
    few: Vec<(K, V)>,
}

impl<'a, K, V, S> Iter<'a, K, V, S> {
    pub(crate) fn new(cache: &'a Inner<K, V, S>) -> Self {
        Self {
            cache,
            cursor: Cursor::default(),
            few: Vec::new(),
        }
    }
}

impl<K, V, S> Iterator for Iter<'_, K, V, S>
where
    K: Hash + Eq + Clone,
    V: Clone,
    S: BuildHasher,
{
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        while self.few.is_empty() {
            let few = &mut self.few;
            let more = self.cache.next_stretch(&mut self.cursor, &mut |entries| {
                few.extend(entries.cloned());
            });
            if !more {
                return None;
            }
        }
        self.few.pop()
    }
}

impl<K, V, S> fmt::Debug for Iter<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("at", &self.cursor)
            .finish_non_exhaustive()
    }
}
