//! One part of the entries, behind one lock.
//!
//! Invariants, checked by [`Shard::validate`]: every entry is found by its key, and
//! the ranking knows each; the bound of each block is at most the soonest deadline
//! in it.

mod group;
mod moves;
mod table;
#[cfg(any(test, fuzzing, feature = "validate"))]
mod validate;

use std::hash::Hash;

use equivalent::Equivalent;

use crate::bounds::Bounds;
use crate::expiry::NEVER;
use crate::policy::{Gone, Observation, Ranking};

pub(crate) use group::{Groups, NOTE_BITS};
pub(crate) use moves::Moves;
use table::Cell;
use table::block_of;
pub(crate) use table::{END, Kinds, Record, Table};

/// The half of a hash that places a key within its shard. Its lowest byte is not
/// zero: a tag of zero would be a free place's.
#[inline]
pub(crate) fn short(hash: u64) -> u32 {
    let short = (hash >> 32) as u32;
    short | u32::from(short.trailing_zeros() >= u8::BITS)
}

/// Entries of one shard with their order of eviction and of expiry.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shard<K, V> {
    table: Table<K, V>,
    ranking: Ranking,
    /// How many entries there will be in the end, about.
    expected: usize,
    deadlines: Bounds,
    /// Entries that are being rewritten: the last to go. One may be in twice.
    pinned: Vec<u32>,
}

/// An entry that was found, with the order that it is in.
pub(crate) struct Hit<'a, K, V> {
    pub(crate) slot: u32,
    hash: u32,
    cell: &'a Cell<K, V>,
    notes: &'a mut Groups,
    ranking: &'a mut Ranking,
}

impl<K, V> Hit<'_, K, V> {
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.cell.deadline()
    }

    #[inline]
    pub(crate) fn value(&self) -> &V {
        self.cell.value()
    }

    /// Tells the policy that the entry is used.
    #[inline]
    pub(crate) fn used(&mut self) -> Option<Observation> {
        self.ranking.used(self.slot, self.hash, self.notes)
    }
}

impl<K: Hash + Eq, V> Shard<K, V> {
    pub(crate) fn new(kinds: Kinds, ranking: Ranking, expected: usize) -> Self {
        Self {
            table: Table::new(kinds),
            ranking,
            expected,
            deadlines: Bounds::default(),
            pinned: Vec::new(),
        }
    }

    /// The entries, for reading.
    #[inline]
    pub(crate) fn table(&self) -> &Table<K, V> {
        &self.table
    }

    /// Whether no further entry fits, whatever the limits say.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.table.is_at_its_end()
    }

    /// The slot of a key, expired or not.
    #[inline]
    pub(crate) fn find<Q: Equivalent<K> + ?Sized>(&self, hash: u64, key: &Q) -> Option<u32> {
        self.table.find(short(hash), |other| key.equivalent(other))
    }

    /// The entry of a key, expired or not, to be read.
    #[inline]
    pub(crate) fn hit<Q: Equivalent<K> + ?Sized>(
        &mut self,
        hash: u64,
        key: &Q,
    ) -> Option<Hit<'_, K, V>> {
        let hash = short(hash);
        let is_it = |other: &K| key.equivalent(other);
        let (slot, cell, notes) = self.table.hit(hash, is_it)?;
        Some(Hit {
            slot,
            hash,
            cell,
            notes,
            ranking: &mut self.ranking,
        })
    }

    /// An entry was read.
    pub(crate) fn used(&mut self, slot: u32, hash: u64) -> Option<Observation> {
        let notes = self.table.groups_mut();
        self.ranking.used(slot, short(hash), notes)
    }

    /// A hit postponed the deadline.
    pub(crate) fn postpone(&mut self, slot: u32, deadline: u64) {
        self.table.set_deadline(slot, deadline);
        self.ranking.postponed(slot, deadline);
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        record: Record,
    ) -> Option<Observation> {
        if self.table.is_full() {
            self.resize(self.table.size_to_grow(self.expected));
        }
        let hash = short(hash);
        let slot = self.table.insert(hash, key, value, record);
        self.bound_deadline(slot, record.deadline);
        let notes = self.table.groups_mut();
        self.ranking.stored(slot, hash, record, notes)
    }

    /// Replaces the value of a slot, and what is known about it.
    pub(crate) fn replace(
        &mut self,
        slot: u32,
        value: V,
        record: Record,
    ) -> (V, Option<Observation>) {
        let hash = self.table.hash(slot);
        self.table.set_record(slot, record);
        self.bound_deadline(slot, record.deadline);
        let notes = self.table.groups_mut();
        let seen = self.ranking.replaced(slot, hash, record.deadline, notes);
        (self.table.replace(slot, value), seen)
    }

    /// Gives a slot another deadline.
    pub(crate) fn retime(&mut self, slot: u32, record: Record) {
        self.table.set_record(slot, record);
        self.bound_deadline(slot, record.deadline);
        self.ranking.retimed(slot, record.deadline);
    }

    /// Removes a slot; `evicted` says that it was for room.
    pub(crate) fn remove(&mut self, slot: u32, evicted: bool) -> (K, V) {
        let (hash, note) = (self.table.hash(slot), self.table.groups().note(slot));
        let item = self.table.remove(slot);
        let left = self.table.len();
        self.ranking.removed(
            slot,
            Gone {
                hash,
                note,
                evicted,
                left,
            },
        );
        if !self.pinned.is_empty() {
            self.pinned.retain(|pinned| *pinned != slot);
        }
        item
    }

    /// Makes an entry the last to go while room is made for its new value.
    pub(crate) fn pin(&mut self, slot: u32) {
        self.pinned.push(slot);
    }

    /// Whether an entry is among the last to go.
    pub(crate) fn is_pinned(&self, slot: u32) -> bool {
        self.pinned.contains(&slot)
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
        self.ranking.victim(self.table.groups(), &self.pinned)
    }

    /// An entry that is being rewritten: all that is left to evict.
    pub(crate) fn last_resort(&self) -> Option<u32> {
        self.pinned.first().copied()
    }

    /// A lower bound of the ranks here.
    pub(crate) fn victim_bound(&self) -> u64 {
        let unpinned = self.table.len().saturating_sub(self.pinned.len());
        self.ranking.bound(unpinned)
    }

    /// A lower bound of the deadlines here.
    pub(crate) fn deadline_bound(&self) -> u64 {
        self.deadlines.min().map_or(NEVER, |(bound, _)| bound)
    }

    /// Looks at the block that may have the soonest deadline and hands its
    /// entries that are over at `now` to `expired`.
    pub(crate) fn expire_block(&mut self, now: u64, mut expired: impl FnMut(K, V, Record)) {
        let Some((_, block)) = self.deadlines.min().filter(|(bound, _)| *bound <= now) else {
            return;
        };
        let slots: Vec<u32> = self.table.slots_in(block).collect();
        for slot in slots {
            let record = self.table.record(slot);
            if record.deadline <= now {
                let (key, value) = self.remove(slot, false);
                expired(key, value, record);
            }
        }
        self.deadlines
            .set(block, self.table.soonest_deadline(block));
        self.shrink();
    }

    /// Removes some entries, in the order of their hashes from one on; tells the hash
    /// to go on with.
    pub(crate) fn drain_from(&mut self, hash: u64, mut drained: impl FnMut(K, V, Record)) -> u64 {
        let (slots, next) = self.table.slots_from(hash);
        for slot in slots {
            let record = self.table.record(slot);
            let (key, value) = self.remove(slot, false);
            drained(key, value, record);
        }
        self.shrink();
        next
    }

    /// Some live entries at `now`, in the order of their hashes from one on; and the
    /// hash to go on with.
    pub(crate) fn live_from(&self, hash: u64, now: u64) -> (impl Iterator<Item = &(K, V)>, u64) {
        let (slots, next) = self.table.slots_from(hash);
        let live = slots
            .into_iter()
            .filter(move |slot| self.table.deadline(*slot) > now);
        (live.map(|slot| self.table.item(slot)), next)
    }

    /// All live entries at `now`, with numbers: the lower to go the sooner.
    pub(crate) fn live_in_order(&self, now: u64) -> impl Iterator<Item = (u64, &(K, V))> {
        let live = |slot: &u32| self.table.deadline(*slot) > now;
        let slots: Vec<u32> = self.table.slots().filter(live).collect();
        let places = self.ranking.places(&slots, self.table.groups());
        let items = slots.into_iter().map(|slot| self.table.item(slot));
        places.into_iter().zip(items)
    }

    fn bound_deadline(&mut self, slot: u32, deadline: u64) {
        if deadline != NEVER {
            self.deadlines.lower(block_of(slot), deadline);
        }
    }

    fn shrink(&mut self) {
        if self.table.len() == 0 {
            self.ranking.forget();
        }
        if let Some(groups) = self.table.size_to_shrink() {
            self.resize(groups);
        }
    }

    /// Gives the table so many groups; every slot gets another number.
    fn resize(&mut self, groups: usize) {
        let moves = self.table.resize(groups);
        self.ranking.moved(&moves);
        self.pinned
            .iter_mut()
            .for_each(|slot| *slot = moves.of(*slot));
        self.deadlines = Bounds::default();
        let slots: Vec<u32> = self.table.slots().collect();
        for slot in slots {
            self.bound_deadline(slot, self.table.deadline(slot));
        }
    }
}
