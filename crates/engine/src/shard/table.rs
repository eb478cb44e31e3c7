//! Where entries live: an open table, so that a lookup reads one line of tags and then
//! the entry itself.
//!
//! A hit reads key, value and deadline, so they are neighbours; what else is known of
//! an entry is in columns, and only those that the cache needs exist. A slot number
//! stays valid until its entry is removed or the table is resized.

use std::num::NonZeroU64;

use super::group::{Groups, PLACES, number};
use super::moves::Moves;
use crate::expiry::{DEADLINE_BITS, NEVER};

/// Groups whose entries one step of a walk visits.
const GROUPS_PER_STEP: usize = 32;
/// Groups whose deadlines have one bound.
const GROUPS_PER_BLOCK: usize = 4;
/// Slots of a block.
const BLOCK: usize = GROUPS_PER_BLOCK * PLACES;
/// Entries that a table holds at most.
const MOST_ENTRIES: usize = 1 << 30;
/// Past the last hash: where a walk through all entries ends.
pub(crate) const END: u64 = 1 << 32;

/// What the cache knows about an entry besides key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it expires.
    pub(crate) deadline: u64,
    /// When its lifetime ends however often it is used; at or after `deadline`.
    pub(crate) end: u64,
    /// What it counts against the limit.
    pub(crate) weight: u32,
}

/// What a hit looks at: key and value, with the deadline and what the tag does not
/// tell of the hash in one word. That word is never zero, so that a free cell needs
/// no flag.
pub(crate) struct Cell<K, V> {
    times: NonZeroU64,
    item: (K, V),
}

/// Bits of the hash beside the deadline; the tag has the others.
const HASH_BITS: u32 = 64 - DEADLINE_BITS;
const HASH: u64 = (1 << HASH_BITS) - 1;

fn times(deadline: u64, hash: u32) -> NonZeroU64 {
    // Deadline 0 is the moment the clock started: over, like deadline 1.
    let hash = u64::from(hash >> u8::BITS);
    NonZeroU64::new(deadline.max(1) << HASH_BITS | hash).expect("1 or more")
}

impl<K, V> Cell<K, V> {
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.times.get() >> HASH_BITS
    }

    #[inline]
    pub(crate) fn value(&self) -> &V {
        &self.item.1
    }

    fn hash(&self, tag: u8) -> u32 {
        (((self.times.get() & HASH) as u32) << u8::BITS) | u32::from(tag)
    }
}

/// Which columns there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kinds {
    /// Entries are weighed.
    pub(crate) weighs: bool,
    /// Deadlines and ends may differ.
    pub(crate) idles: bool,
    /// The policy makes notes.
    pub(crate) notes: bool,
}

/// Entries by slot.
pub(crate) struct Table<K, V> {
    groups: Groups,
    cells: Vec<Option<Cell<K, V>>>,
    /// Only where entries are weighed; elsewhere each weighs 1.
    weights: Vec<u32>,
    /// Only where idle entries expire; elsewhere the deadline is the end.
    ends: Vec<u64>,
    len: usize,
    kinds: Kinds,
}

impl<K, V> Table<K, V> {
    pub(crate) fn new(kinds: Kinds) -> Self {
        Self::with_groups(0, kinds)
    }

    fn with_groups(groups: usize, kinds: Kinds) -> Self {
        let groups = Groups::new(groups, kinds.notes);
        let slots = groups.slots();
        Self {
            cells: (0..slots).map(|_| None).collect(),
            weights: vec![1; if kinds.weighs { slots } else { 0 }],
            ends: vec![NEVER; if kinds.idles { slots } else { 0 }],
            groups,
            len: 0,
            kinds,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether no further entry fits, however large the table becomes.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.len >= MOST_ENTRIES
    }

    /// What the policy looks at.
    #[inline]
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    #[inline]
    pub(crate) fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// The slot under `hash` whose key `is_it` recognises.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(&K) -> bool) -> Option<u32> {
        let (slot, _) = find(&self.groups, &self.cells, hash, is_it)?;
        Some(number(slot))
    }

    /// The same with its cell, and with what the policy looks at.
    #[inline]
    pub(crate) fn hit(
        &mut self,
        hash: u32,
        is_it: impl Fn(&K) -> bool,
    ) -> Option<(u32, &Cell<K, V>, &mut Groups)> {
        let (slot, cell) = find(&self.groups, &self.cells, hash, is_it)?;
        Some((number(slot), cell, &mut self.groups))
    }

    /// The key and value in a slot that is taken.
    #[inline]
    pub(crate) fn item(&self, slot: u32) -> &(K, V) {
        &self.cell(slot).item
    }

    /// What the key in a slot that is taken hashes to.
    pub(crate) fn hash(&self, slot: u32) -> u32 {
        self.cell(slot).hash(self.groups.tag(slot as usize))
    }

    /// The deadline of a slot that is taken.
    #[inline]
    pub(crate) fn deadline(&self, slot: u32) -> u64 {
        self.cell(slot).deadline()
    }

    pub(crate) fn record(&self, slot: u32) -> Record {
        let deadline = self.deadline(slot);
        Record {
            deadline,
            end: self.ends.get(slot as usize).copied().unwrap_or(deadline),
            weight: self.weight(slot),
        }
    }

    pub(crate) fn weight(&self, slot: u32) -> u32 {
        self.weights.get(slot as usize).copied().unwrap_or(1)
    }

    /// Changes only when an entry expires next, not when its lifetime ends.
    pub(crate) fn set_deadline(&mut self, slot: u32, deadline: u64) {
        let hash = self.hash(slot);
        self.cell_mut(slot).times = times(deadline, hash);
    }

    pub(crate) fn set_record(&mut self, slot: u32, record: Record) {
        self.set_columns(slot, record);
        self.set_deadline(slot, record.deadline);
    }

    fn set_columns(&mut self, slot: u32, record: Record) {
        if let Some(weight) = self.weights.get_mut(slot as usize) {
            *weight = record.weight;
        }
        if let Some(end) = self.ends.get_mut(slot as usize) {
            *end = record.end;
        }
    }

    /// Replaces the value in a slot that is taken and returns the old one.
    pub(crate) fn replace(&mut self, slot: u32, value: V) -> V {
        std::mem::replace(&mut self.cell_mut(slot).item.1, value)
    }

    /// Whether it has to be resized before another entry comes in.
    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.groups.capacity()
    }

    /// How many groups a table should have that holds one entry more, given how many
    /// entries are expected in the end.
    pub(crate) fn size_to_grow(&self, expected: usize) -> usize {
        let (now, enough) = (self.groups.count(), Groups::needed_for(expected));
        if now < enough {
            (now + now / 4 + 1).min(enough)
        } else {
            now + now / 16 + 1
        }
    }

    /// How many groups suffice if most places are free.
    pub(crate) fn size_to_shrink(&self) -> Option<usize> {
        let is_sparse = self.len * 4 < self.groups.capacity();
        is_sparse.then(|| Groups::needed_for(self.len + self.len / 4))
    }

    /// Moves all entries into so many groups and tells where they went.
    pub(crate) fn resize(&mut self, groups: usize) -> Moves {
        let new = Self::with_groups(groups, self.kinds);
        let mut old = std::mem::replace(self, new);
        let mut moves = Moves::new(old.groups.slots(), self.groups.slots());
        for slot in old.groups.used(0..old.groups.count()) {
            let from = number(slot);
            let (hash, record) = (old.hash(from), old.record(from));
            let cell = old.cells[slot].take().expect(TAKEN);
            let (key, value) = cell.item;
            let to = self.insert(hash, key, value, record);
            self.groups.set_note(to, old.groups.note(from));
            moves.add(from, to);
        }
        moves
    }

    /// Adds an entry; the table must not be full.
    pub(crate) fn insert(&mut self, hash: u32, key: K, value: V, record: Record) -> u32 {
        let slot = self.groups.take(hash);
        self.cells[slot] = Some(Cell {
            times: times(record.deadline, hash),
            item: (key, value),
        });
        self.len += 1;
        let slot = number(slot);
        self.set_columns(slot, record);
        slot
    }

    /// Empties a slot that is taken.
    pub(crate) fn remove(&mut self, slot: u32) -> (K, V) {
        let hash = self.hash(slot);
        let cell = self.cells[slot as usize].take().expect(TAKEN);
        self.groups.free(slot as usize, hash);
        self.len -= 1;
        cell.item
    }

    /// All slots that are taken.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.groups.used(0..self.groups.count()).map(number)
    }

    /// The slots of a block that are taken.
    pub(crate) fn slots_in(&self, block: u32) -> impl Iterator<Item = u32> {
        let from = block as usize * GROUPS_PER_BLOCK;
        self.groups.used(from..from + GROUPS_PER_BLOCK).map(number)
    }

    /// The soonest deadline in a block.
    pub(crate) fn soonest_deadline(&self, block: u32) -> Option<u64> {
        self.slots_in(block)
            .map(|slot| self.deadline(slot))
            .min()
            .filter(|deadline| *deadline != NEVER)
    }

    /// Some slots in the order of their hashes from one on, and the hash to go on
    /// with. Whatever happens to the table between, a walk from zero to `END` meets
    /// every entry that stays once.
    pub(crate) fn slots_from(&self, hash: u64) -> (Vec<u32>, u64) {
        if self.len == 0 {
            return (Vec::new(), END);
        }
        let first = u32::try_from(hash).map_or(self.groups.count(), |hash| self.groups.home(hash));
        let last = (first + GROUPS_PER_STEP).min(self.groups.count());
        let end = self.groups.first_hash(last);
        let within = |slot: &u32| (hash..end).contains(&u64::from(self.hash(*slot)));
        let groups = self.groups.reached_from(first..last);
        let slots = groups.flat_map(|group| self.groups.used(group..group + 1));
        (slots.map(number).filter(within).collect(), end)
    }

    #[inline]
    fn cell(&self, slot: u32) -> &Cell<K, V> {
        self.cells[slot as usize].as_ref().expect(TAKEN)
    }

    fn cell_mut(&mut self, slot: u32) -> &mut Cell<K, V> {
        self.cells[slot as usize].as_mut().expect(TAKEN)
    }
}

#[inline]
fn find<'a, K, V>(
    groups: &Groups,
    cells: &'a [Option<Cell<K, V>>],
    hash: u32,
    is_it: impl Fn(&K) -> bool,
) -> Option<(usize, &'a Cell<K, V>)> {
    let (home, slots) = groups.at_home(hash)?;
    if let Some(found) = find_among(slots, cells, &is_it) {
        return Some(found);
    }
    if groups.are_passed(home, hash) {
        return find_among(groups.behind(hash), cells, &is_it);
    }
    None
}

#[inline]
fn find_among<'a, K, V>(
    mut slots: impl Iterator<Item = usize>,
    cells: &'a [Option<Cell<K, V>>],
    is_it: &impl Fn(&K) -> bool,
) -> Option<(usize, &'a Cell<K, V>)> {
    slots.find_map(|slot| {
        let cell = cells[slot].as_ref()?;
        is_it(&cell.item.0).then_some((slot, cell))
    })
}

const TAKEN: &str = "a slot that is used has been taken";

/// The block of a slot.
pub(crate) fn block_of(slot: u32) -> u32 {
    number(slot as usize / BLOCK)
}

impl<K, V> std::fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("len", &self.len)
            .field("slots", &self.groups.slots())
            .finish_non_exhaustive()
    }
}
