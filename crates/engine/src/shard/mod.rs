//! One part of the entries, behind one lock.
//!
//! Invariants, checked by [`Shard::validate`]: the index and the slab hold the
//! same slots; the bound of each block is at most the smallest rank and the
//! smallest deadline in it.

mod bounds;
mod index;
mod slab;
#[cfg(any(test, fuzzing, feature = "validate"))]
mod validate;

use std::hash::{BuildHasher, Hash};

use equivalent::Equivalent;

use crate::expiry::NEVER;
use crate::policy::NO_RANK;
use crate::sync::Relaxed;

use bounds::Bounds;
use index::{Index, MAX_SLOTS};
pub(crate) use slab::Record;
use slab::{BLOCK, Slab, block_of};

/// Entries of one shard with their order of eviction and of expiry.
#[derive(Debug)]
pub(crate) struct Shard<K, V> {
    index: Index,
    slab: Slab<K, V>,
    victims: Bounds,
    deadlines: Bounds,
}

impl<K: Hash + Eq, V> Shard<K, V> {
    /// An empty shard; `idles` says whether deadlines and ends may differ.
    pub(crate) fn new(idles: bool) -> Self {
        Self {
            index: Index::default(),
            slab: Slab::new(idles),
            victims: Bounds::default(),
            deadlines: Bounds::default(),
        }
    }

    /// The entries, for reading and for noting hits.
    #[inline]
    pub(crate) fn slab(&self) -> &Slab<K, V> {
        &self.slab
    }

    /// Whether no further entry fits, whatever the limits say.
    pub(crate) fn is_full(&self) -> bool {
        self.slab.len() + BLOCK >= MAX_SLOTS as usize
    }

    /// The slot of a key, expired or not.
    #[inline]
    pub(crate) fn find<Q: Equivalent<K> + ?Sized>(&self, hash: u64, key: &Q) -> Option<u32> {
        self.index
            .find(hash, |slot| key.equivalent(&self.slab.item(slot).0))
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        record: Record,
        hasher: &impl BuildHasher,
    ) {
        let slot = self.slab.insert(key, value, record);
        let slab = &self.slab;
        self.index
            .insert(hash, slot, |slot| hasher.hash_one(&slab.item(slot).0));
        self.rebound(slot, record);
    }

    /// Replaces the value of a slot, and what is known about it.
    pub(crate) fn replace(&mut self, slot: u32, value: V, record: Record) -> V {
        self.set_record(slot, record);
        self.slab.replace(slot, value)
    }

    /// Replaces what is known about a slot.
    pub(crate) fn set_record(&mut self, slot: u32, record: Record) {
        self.slab.set_record(slot, record);
        self.rebound(slot, record);
    }

    /// Removes a slot whose key has this hash.
    ///
    /// Bounds stay: they are lower bounds, and the next look corrects them.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) -> (K, V) {
        self.index.remove(hash, slot);
        self.slab.remove(slot)
    }

    /// The entry with the lowest rank; afterwards the bound says the same.
    pub(crate) fn victim(&mut self) -> Option<(u64, u32)> {
        loop {
            let (bound, block) = self.victims.min()?;
            let lowest = self.slab.lowest_rank(block);
            let rank = lowest.map(|(rank, _)| rank);
            if rank != Some(bound) {
                self.victims.set(block, rank);
            }
            if lowest.is_some() && self.victims.min().is_some_and(|(_, first)| first == block) {
                return lowest;
            }
        }
    }

    /// A lower bound of the ranks here.
    pub(crate) fn victim_bound(&self) -> u64 {
        self.victims.min().map_or(NO_RANK, |(bound, _)| bound)
    }

    /// A lower bound of the deadlines here.
    pub(crate) fn deadline_bound(&self) -> u64 {
        self.deadlines.min().map_or(NEVER, |(bound, _)| bound)
    }

    /// Looks at the block that may have the soonest deadline and hands its
    /// entries that are over at `now` to `expired`, at most 64 of them.
    pub(crate) fn expire_block(
        &mut self,
        now: u64,
        hasher: &impl BuildHasher,
        mut expired: impl FnMut(K, V, Record),
    ) {
        let Some((_, block)) = self.deadlines.min().filter(|(bound, _)| *bound <= now) else {
            return;
        };
        for slot in self.slab.occupied(block) {
            let record = self.slab.record(slot);
            if record.deadline <= now {
                let hash = hasher.hash_one(&self.slab.item(slot).0);
                let (key, value) = self.remove(hash, slot);
                expired(key, value, record);
            }
        }
        self.deadlines.set(block, self.slab.soonest_deadline(block));
        self.shrink(hasher);
    }

    /// Removes all entries of one block, however many there are.
    pub(crate) fn drain_block(
        &mut self,
        block: u32,
        hasher: &impl BuildHasher,
        mut drained: impl FnMut(K, V, Record),
    ) {
        for slot in self.slab.occupied(block) {
            let record = self.slab.record(slot);
            let hash = hasher.hash_one(&self.slab.item(slot).0);
            let (key, value) = self.remove(hash, slot);
            drained(key, value, record);
        }
        self.victims.set(block, None);
        self.deadlines.set(block, None);
        self.shrink(hasher);
    }

    /// The live entries of one block at `now`, with their ranks.
    pub(crate) fn live(&self, block: u32, now: u64) -> impl Iterator<Item = (u64, &(K, V))> {
        self.slab
            .occupied(block)
            .filter(move |slot| self.slab.deadline(*slot).load(Relaxed) > now)
            .map(|slot| (self.slab.rank(slot).load(Relaxed), self.slab.item(slot)))
    }

    /// How many blocks there are to look through.
    pub(crate) fn blocks(&self) -> u32 {
        u32::try_from(self.slab.blocks()).expect("slots are 23 bits")
    }

    fn rebound(&mut self, slot: u32, record: Record) {
        let block = block_of(slot);
        self.victims.lower(block, record.rank);
        if record.deadline != NEVER {
            self.deadlines.lower(block, record.deadline);
        }
    }

    fn shrink(&mut self, hasher: &impl BuildHasher) {
        let slab = &self.slab;
        self.index
            .shrink(|slot| hasher.hash_one(&slab.item(slot).0));
    }
}
