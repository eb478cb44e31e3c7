//! One part of the entries, behind one lock.
//!
//! Invariants, checked by [`Shard::validate`]: the index and the slab hold the
//! same slots, and the ranking knows each; the bound of each block is at most the
//! soonest deadline in it.

mod index;
mod slab;
#[cfg(any(test, fuzzing, feature = "validate"))]
mod validate;

use std::hash::Hash;

use equivalent::Equivalent;

use crate::bounds::Bounds;
use crate::expiry::NEVER;
use crate::policy::{Observation, Ranking};

use index::{Index, MAX_SLOTS};
use slab::{BLOCK, Slab, block_of};
pub(crate) use slab::{Cell, Kinds, NOTE_BITS, Record};

/// The half of a hash that places a key within its shard.
#[inline]
pub(crate) fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Entries of one shard with their order of eviction and of expiry.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shard<K, V> {
    index: Index,
    slab: Slab<K, V>,
    ranking: Ranking,
    deadlines: Bounds,
    /// Entries that are being rewritten: the last to go. One may be in twice.
    pinned: Vec<u32>,
}

impl<K: Hash + Eq, V> Shard<K, V> {
    pub(crate) fn new(kinds: Kinds, ranking: Ranking) -> Self {
        Self {
            index: Index::default(),
            slab: Slab::new(kinds),
            ranking,
            deadlines: Bounds::default(),
            pinned: Vec::new(),
        }
    }

    /// The entries, for reading.
    #[inline]
    pub(crate) fn slab(&self) -> &Slab<K, V> {
        &self.slab
    }

    /// An entry and the order that it is in.
    #[inline]
    pub(crate) fn entry(&mut self, slot: u32) -> (&mut Cell<K, V>, &mut Ranking) {
        (self.slab.cell_mut(slot), &mut self.ranking)
    }

    /// Whether no further entry fits, whatever the limits say.
    pub(crate) fn is_full(&self) -> bool {
        self.slab.len() + BLOCK >= MAX_SLOTS as usize
    }

    /// The slot of a key, expired or not.
    #[inline]
    pub(crate) fn find<Q: Equivalent<K> + ?Sized>(&self, hash: u64, key: &Q) -> Option<u32> {
        self.index
            .find(short(hash), |slot| key.equivalent(&self.slab.item(slot).0))
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        record: Record,
    ) -> Option<Observation> {
        let hash = short(hash);
        let slot = self.slab.insert(hash, key, value, record);
        self.index.insert(hash, slot, |slot| self.slab.hash(slot));
        self.bound_deadline(slot, record);
        let cell = self.slab.cell_mut(slot);
        self.ranking.stored(slot, hash, cell)
    }

    /// Replaces the value of a slot, and what is known about it.
    pub(crate) fn replace(
        &mut self,
        slot: u32,
        value: V,
        record: Record,
    ) -> (V, Option<Observation>) {
        let hash = self.slab.hash(slot);
        self.slab.set_record(slot, record);
        self.bound_deadline(slot, record);
        let seen = self.ranking.replaced(slot, hash, self.slab.cell_mut(slot));
        (self.slab.replace(slot, value), seen)
    }

    /// Gives a slot another deadline.
    pub(crate) fn retime(&mut self, slot: u32, record: Record) {
        self.slab.set_record(slot, record);
        self.bound_deadline(slot, record);
        self.ranking.retimed(slot, record.deadline);
    }

    /// Removes a slot; `evicted` says that it was for room.
    pub(crate) fn remove(&mut self, slot: u32, evicted: bool) -> (K, V) {
        let hash = self.slab.hash(slot);
        self.index.remove(hash, slot);
        let item = self.slab.remove(slot);
        self.ranking.removed(slot, hash, evicted, self.slab.len());
        if !self.pinned.is_empty() {
            self.pinned.retain(|pinned| *pinned != slot);
        }
        item
    }

    /// Makes an entry the last to go while room is made for its new value.
    pub(crate) fn pin(&mut self, slot: u32) {
        self.pinned.push(slot);
    }

    /// Takes one [`pin`](Self::pin) back.
    pub(crate) fn unpin(&mut self, slot: u32) {
        if let Some(at) = self.pinned.iter().position(|pinned| *pinned == slot) {
            self.pinned.swap_remove(at);
            self.ranking.unpinned(slot);
        }
    }

    /// The entry that goes first, with its rank.
    pub(crate) fn victim(&mut self) -> Option<(u64, u32)> {
        self.ranking.victim(&self.pinned)
    }

    /// An entry that is being rewritten: all that is left to evict.
    pub(crate) fn last_resort(&self) -> Option<u32> {
        self.pinned.first().copied()
    }

    /// A lower bound of the ranks here.
    pub(crate) fn victim_bound(&self) -> u64 {
        let unpinned = self.slab.len().saturating_sub(self.pinned.len());
        self.ranking.bound(unpinned)
    }

    /// A lower bound of the deadlines here.
    pub(crate) fn deadline_bound(&self) -> u64 {
        self.deadlines.min().map_or(NEVER, |(bound, _)| bound)
    }

    /// Looks at the block that may have the soonest deadline and hands its
    /// entries that are over at `now` to `expired`, at most 64 of them.
    pub(crate) fn expire_block(&mut self, now: u64, mut expired: impl FnMut(K, V, Record)) {
        let Some((_, block)) = self.deadlines.min().filter(|(bound, _)| *bound <= now) else {
            return;
        };
        for slot in self.slab.occupied(block) {
            let record = self.slab.record(slot);
            if record.deadline <= now {
                let (key, value) = self.remove(slot, false);
                expired(key, value, record);
            }
        }
        self.deadlines.set(block, self.slab.soonest_deadline(block));
        self.shrink();
    }

    /// Removes all entries of one block, however many there are.
    pub(crate) fn drain_block(&mut self, block: u32, mut drained: impl FnMut(K, V, Record)) {
        for slot in self.slab.occupied(block) {
            let record = self.slab.record(slot);
            let (key, value) = self.remove(slot, false);
            drained(key, value, record);
        }
        self.deadlines.set(block, None);
        self.shrink();
    }

    /// The live entries of one block at `now`.
    pub(crate) fn live(&self, block: u32, now: u64) -> impl Iterator<Item = &(K, V)> {
        self.live_slots(block, now).map(|slot| self.slab.item(slot))
    }

    /// The live entries of all blocks at `now`, with numbers: the lower to go the
    /// sooner.
    pub(crate) fn live_in_order(&self, now: u64) -> impl Iterator<Item = (u64, &(K, V))> {
        let live = (0..self.blocks()).flat_map(|block| self.live_slots(block, now));
        let slots: Vec<u32> = live.collect();
        let places = self
            .ranking
            .places(&slots, |slot| self.slab.cell(slot).note());
        let items = slots.into_iter().map(|slot| self.slab.item(slot));
        places.into_iter().zip(items)
    }

    fn live_slots(&self, block: u32, now: u64) -> impl Iterator<Item = u32> {
        let occupied = self.slab.occupied(block);
        occupied.filter(move |slot| self.slab.deadline(*slot) > now)
    }

    /// How many blocks there are to look through.
    pub(crate) fn blocks(&self) -> u32 {
        u32::try_from(self.slab.blocks()).expect("slots are 23 bits")
    }

    fn bound_deadline(&mut self, slot: u32, record: Record) {
        if record.deadline != NEVER {
            self.deadlines.lower(block_of(slot), record.deadline);
        }
    }

    fn shrink(&mut self) {
        if self.slab.len() == 0 {
            self.ranking.forget();
        }
        self.index.shrink(|slot| self.slab.hash(slot));
    }
}
