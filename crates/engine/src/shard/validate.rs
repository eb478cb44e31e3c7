//! Checks the invariants of a shard, for tests and fuzzing.

use std::hash::Hash;

use super::{Shard, block_of};
use crate::expiry::NEVER;

/// What a shard holds, counted entry by entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) weight: u64,
}

impl<K: Hash + Eq, V> Shard<K, V> {
    /// Panics if an invariant does not hold; otherwise the true totals.
    pub(crate) fn validate(&self, hash_of: impl Fn(&K) -> u64) -> Totals {
        let mut totals = Totals::default();
        for slot in self.table.slots() {
            let key = &self.table.item(slot).0;
            assert_eq!(self.find(hash_of(key), key), Some(slot), "is found");
            let record = self.table.record(slot);
            assert!(record.deadline <= record.end, "{record:?}");
            let block = block_of(slot);
            self.ranking.validate(slot);
            if record.deadline != NEVER {
                let bound = self.deadlines.get(block).expect("has a bound of deadlines");
                assert!(bound <= record.deadline, "{bound} above {record:?}");
            }
            totals.entries += 1;
            totals.weight += u64::from(record.weight);
        }
        assert!(self.pinned.is_empty(), "pinned while nobody writes");
        assert_eq!(self.table.len() as u64, totals.entries, "table");
        totals
    }
}
