//! Where entries live: blocks of 64 slots.
//!
//! A hit reads key, value and deadline, so they are neighbours; what else is known of
//! an entry is in columns, and only those that the cache needs exist. A slot number
//! stays valid until its entry is removed. An empty block gives its memory back, but
//! for one in reserve.

use std::num::NonZeroU64;

use crate::expiry::{DEADLINE_BITS, NEVER};

/// Slots per block: the bits of one word.
pub(crate) const BLOCK: usize = 64;

/// Not in the list of open blocks.
const CLOSED: u32 = u32::MAX;

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

/// What a hit does not look at in a block, by column.
struct Columns {
    occupied: u64,
    /// So that nothing has to be hashed again, least of all what lies elsewhere.
    hashes: [u32; BLOCK],
    /// Only where entries are weighed; elsewhere each weighs 1.
    weights: Option<Box<[u32; BLOCK]>>,
    /// Only where idle entries expire; elsewhere the deadline is the end.
    ends: Option<Box<[u64; BLOCK]>>,
}

/// What a hit looks at: key and value, with the deadline and the policy's note in
/// one word. That word is never zero, so that a free cell needs no flag.
pub(crate) struct Cell<K, V> {
    times: NonZeroU64,
    item: (K, V),
}

/// Bits of a policy's note; the deadline is above.
pub(crate) const NOTE_BITS: u32 = 64 - DEADLINE_BITS;
const NOTE: u64 = (1 << NOTE_BITS) - 1;

impl<K, V> Cell<K, V> {
    #[inline]
    pub(crate) fn item(&self) -> &(K, V) {
        &self.item
    }

    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.times.get() >> NOTE_BITS
    }

    pub(crate) fn set_deadline(&mut self, deadline: u64) {
        self.times = times(deadline, self.note());
    }

    /// What the policy noted last, at most `NOTE_BITS` long.
    #[inline]
    pub(crate) fn note(&self) -> u32 {
        (self.times.get() & NOTE) as u32
    }

    pub(crate) fn set_note(&mut self, note: u32) {
        self.times = times(self.deadline(), note);
    }
}

fn times(deadline: u64, note: u32) -> NonZeroU64 {
    // Deadline 0 is the moment the clock started: over, like deadline 1.
    NonZeroU64::new(deadline.max(1) << NOTE_BITS | u64::from(note)).expect("1 or more")
}

/// The cells of a block.
type Cells<K, V> = Box<[Option<Cell<K, V>>; BLOCK]>;

/// Entries by slot.
pub(crate) struct Slab<K, V> {
    columns: Vec<Option<Box<Columns>>>,
    cells: Vec<Option<Cells<K, V>>>,
    /// Blocks that have memory and a free slot; the last is filled next.
    open: Vec<u32>,
    /// The position of each block in `open`, or `CLOSED`.
    open_at: Vec<u32>,
    /// Block numbers without memory.
    vacant: Vec<u32>,
    len: usize,
    kinds: Kinds,
}

/// Which columns there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kinds {
    /// Entries are weighed.
    pub(crate) weighs: bool,
    /// Deadlines and ends may differ.
    pub(crate) idles: bool,
}

impl<K, V> Slab<K, V> {
    pub(crate) fn new(kinds: Kinds) -> Self {
        Self {
            columns: Vec::new(),
            cells: Vec::new(),
            open: Vec::new(),
            open_at: Vec::new(),
            vacant: Vec::new(),
            len: 0,
            kinds,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many block numbers have been given out.
    pub(crate) fn blocks(&self) -> usize {
        self.columns.len()
    }

    /// The key and value in an occupied slot.
    #[inline]
    pub(crate) fn item(&self, slot: u32) -> &(K, V) {
        self.cell(slot).item()
    }

    /// What an occupied slot's key hashes to.
    pub(crate) fn hash(&self, slot: u32) -> u32 {
        let (block, place) = split(slot);
        self.columns[block].as_ref().expect(OCCUPIED).hashes[place]
    }

    /// The deadline of an occupied slot.
    #[inline]
    pub(crate) fn deadline(&self, slot: u32) -> u64 {
        self.cell(slot).deadline()
    }

    pub(crate) fn record(&self, slot: u32) -> Record {
        let (block, place) = split(slot);
        let columns = self.columns[block].as_ref().expect(OCCUPIED);
        let deadline = self.deadline(slot);
        Record {
            deadline,
            end: columns.ends.as_ref().map_or(deadline, |ends| ends[place]),
            weight: columns.weights.as_ref().map_or(1, |weights| weights[place]),
        }
    }

    pub(crate) fn set_record(&mut self, slot: u32, record: Record) {
        let (block, place) = split(slot);
        let columns = self.columns[block].as_mut().expect(OCCUPIED);
        if let Some(weights) = &mut columns.weights {
            weights[place] = record.weight;
        }
        if let Some(ends) = &mut columns.ends {
            ends[place] = record.end;
        }
        self.cell_mut(slot).set_deadline(record.deadline);
    }

    /// Replaces the value in an occupied slot and returns the old one.
    pub(crate) fn replace(&mut self, slot: u32, value: V) -> V {
        std::mem::replace(&mut self.cell_mut(slot).item.1, value)
    }

    /// Fills a free slot.
    pub(crate) fn insert(&mut self, hash: u32, key: K, value: V, record: Record) -> u32 {
        let block = match self.open.last() {
            Some(block) => *block,
            None => self.open_block(),
        };
        let number = block as usize;
        let columns = self.columns[number]
            .as_mut()
            .expect("open blocks have memory");
        let place = columns.occupied.trailing_ones() as usize;
        columns.occupied |= 1 << place;
        columns.hashes[place] = hash;
        let is_full = columns.occupied == u64::MAX;
        if is_full {
            self.close(block);
        }
        self.len += 1;
        let slot = join(block, place);
        *self.place_mut(slot) = Some(Cell {
            times: times(record.deadline, 0),
            item: (key, value),
        });
        self.set_record(slot, record);
        slot
    }

    /// Empties an occupied slot.
    pub(crate) fn remove(&mut self, slot: u32) -> (K, V) {
        let (number, place) = split(slot);
        let block = block_of(slot);
        let columns = self.columns[number].as_mut().expect(OCCUPIED);
        let was_full = columns.occupied == u64::MAX;
        columns.occupied &= !(1 << place);
        let is_empty = columns.occupied == 0;
        let cell = self.place_mut(slot).take().expect(OCCUPIED);
        self.len -= 1;
        if was_full {
            self.list_as_open(block);
        }
        if is_empty && self.open.len() > 1 {
            self.close(block);
            self.columns[number] = None;
            self.cells[number] = None;
            self.vacant.push(block);
        }
        cell.item
    }

    /// The occupied slots of a block.
    pub(crate) fn occupied(&self, block: u32) -> impl Iterator<Item = u32> + use<K, V> {
        let columns = self.columns.get(block as usize).and_then(Option::as_ref);
        let mut left = columns.map_or(0, |columns| columns.occupied);
        std::iter::from_fn(move || {
            (left != 0).then(|| {
                let place = left.trailing_zeros() as usize;
                left &= left - 1;
                join(block, place)
            })
        })
    }

    /// The soonest deadline in a block.
    pub(crate) fn soonest_deadline(&self, block: u32) -> Option<u64> {
        self.occupied(block)
            .map(|slot| self.deadline(slot))
            .min()
            .filter(|deadline| *deadline != NEVER)
    }

    #[inline]
    pub(crate) fn cell(&self, slot: u32) -> &Cell<K, V> {
        let (block, place) = split(slot);
        let cells = self.cells[block].as_ref().expect(OCCUPIED);
        cells[place].as_ref().expect(OCCUPIED)
    }

    #[inline]
    pub(crate) fn cell_mut(&mut self, slot: u32) -> &mut Cell<K, V> {
        self.place_mut(slot).as_mut().expect(OCCUPIED)
    }

    #[inline]
    fn place_mut(&mut self, slot: u32) -> &mut Option<Cell<K, V>> {
        let (block, place) = split(slot);
        let cells = self.cells[block].as_mut().expect(OCCUPIED);
        &mut cells[place]
    }

    /// Gives memory to a block and lists it as open.
    fn open_block(&mut self) -> u32 {
        let columns = Some(Box::new(Columns {
            occupied: 0,
            hashes: [0; BLOCK],
            weights: self.kinds.weighs.then(|| Box::new([0; BLOCK])),
            ends: self.kinds.idles.then(|| Box::new([NEVER; BLOCK])),
        }));
        let cells = Some(free_cells());
        let block = if let Some(block) = self.vacant.pop() {
            self.columns[block as usize] = columns;
            self.cells[block as usize] = cells;
            block
        } else {
            self.columns.push(columns);
            self.cells.push(cells);
            self.open_at.push(CLOSED);
            u32::try_from(self.columns.len() - 1).expect("slots are 23 bits")
        };
        self.list_as_open(block);
        block
    }

    fn list_as_open(&mut self, block: u32) {
        self.open_at[block as usize] = u32::try_from(self.open.len()).expect("as many as blocks");
        self.open.push(block);
    }

    /// Takes a block off the list of open ones.
    fn close(&mut self, block: u32) {
        let at = std::mem::replace(&mut self.open_at[block as usize], CLOSED);
        self.open.swap_remove(at as usize);
        if let Some(moved) = self.open.get(at as usize) {
            self.open_at[*moved as usize] = at;
        }
    }
}

/// Cells with room, made on the heap: they may be too large for the stack.
#[expect(clippy::unnecessary_box_returns, reason = "the box is the point")]
fn free_cells<K, V>() -> Cells<K, V> {
    let cells: Box<[Option<Cell<K, V>>]> = (0..BLOCK).map(|_| None).collect();
    cells
        .try_into()
        .unwrap_or_else(|_| unreachable!("as many as were made"))
}

const OCCUPIED: &str = "the index holds occupied slots only";

/// The block of a slot.
pub(crate) fn block_of(slot: u32) -> u32 {
    slot / 64
}

#[inline]
fn split(slot: u32) -> (usize, usize) {
    (block_of(slot) as usize, (slot % 64) as usize)
}

#[expect(clippy::cast_possible_truncation, reason = "a place is below 64")]
fn join(block: u32, place: usize) -> u32 {
    block * 64 + place as u32
}

impl<K, V> std::fmt::Debug for Slab<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slab")
            .field("len", &self.len)
            .field("blocks", &(self.blocks() - self.vacant.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(deadline: u64) -> Record {
        Record {
            deadline,
            end: deadline,
            weight: 1,
        }
    }

    #[test]
    fn slots_are_reused_and_empty_blocks_give_their_memory_back() {
        let mut slab = Slab::new(Kinds::default());
        let slots: Vec<u32> = (0..300)
            .map(|n| slab.insert(7, n, n, record(NEVER)))
            .collect();
        assert_eq!((slab.len(), slab.blocks()), (300, 5));
        for (n, slot) in (0..300).zip(&slots) {
            assert_eq!(slab.item(*slot), &(n, n));
        }
        for slot in &slots {
            slab.remove(*slot);
        }
        assert_eq!(slab.len(), 0);
        assert_eq!(slab.columns.iter().flatten().count(), 1, "one in reserve");
        for n in 0..300 {
            slab.insert(7, n, n, record(NEVER));
        }
        assert_eq!(slab.blocks(), 5);
    }

    #[test]
    fn a_block_knows_its_soonest_deadline() {
        let mut slab = Slab::new(Kinds::default());
        let a = slab.insert(7, "a", (), record(90));
        let b = slab.insert(7, "b", (), record(NEVER));
        assert_eq!(slab.soonest_deadline(0), Some(90));
        slab.remove(a);
        assert_eq!(slab.soonest_deadline(0), None);
        slab.remove(b);
        assert_eq!(slab.soonest_deadline(9), None);
    }

    #[test]
    fn columns_are_kept_only_where_they_are_needed() {
        let given = Record {
            deadline: 5,
            end: 9,
            weight: 3,
        };
        for (weighs, idles) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut slab = Slab::new(Kinds { weighs, idles });
            let slot = slab.insert(7, "a", (), given);
            let kept = Record {
                deadline: 5,
                end: if idles { 9 } else { 5 },
                weight: if weighs { 3 } else { 1 },
            };
            assert_eq!(slab.record(slot), kept);
        }
    }
}
