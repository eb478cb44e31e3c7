//! From a key's hash to its slot: one cache line for almost every lookup.
//!
//! A bucket is one cache line of 15 cells; a cell holds a slot and 8 bits of the
//! hash. A key lives in its home bucket or, if that was full, in the alternate,
//! which follows from the bucket and the 8 bits alone; so entries can move and go
//! without their keys being read. The sixteenth word of a bucket counts how many
//! of its own live in their alternate, so that a miss needs the second line only
//! if that is not zero. There are no tombstones: removing never degrades lookups.

/// Slots are below this.
pub(crate) const MAX_SLOTS: u32 = (1 << SLOT_BITS) - 1;

const SLOT_BITS: u32 = 23;
/// A cell is 0 when free, else `away | tag | slot + 1`.
const SLOT: u32 = (1 << SLOT_BITS) - 1;
const TAG: u32 = 0xff << SLOT_BITS;
/// The cell is in its alternate bucket.
const AWAY: u32 = 1 << 31;

const CELLS: usize = 15;
/// Index grows above this share of used cells, in eighths.
const MAX_LOAD_EIGHTHS: usize = 7;

/// A cache line: the cells, and in the last word how many keys of this home are
/// in their alternate bucket. That count is too small to look like a tag, so all
/// words can be compared alike.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Bucket([u32; CELLS + 1]);

impl Bucket {
    /// A bit for each cell with this tag. Free cells have no tag.
    #[inline]
    fn with_tag(&self, tag: u32) -> u32 {
        let mut found = 0;
        for (position, word) in self.0.iter().enumerate() {
            found |= u32::from(word & TAG == tag) << position;
        }
        found
    }

    fn cells(&self) -> &[u32] {
        &self.0[..CELLS]
    }

    fn free(&self) -> Option<usize> {
        self.cells().iter().position(|cell| *cell == 0)
    }

    fn away(&mut self) -> &mut u32 {
        &mut self.0[CELLS]
    }
}

/// Slots by hash.
#[derive(Debug, Default)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    len: usize,
}

/// Where a hash belongs.
#[derive(Clone, Copy)]
struct Home {
    bucket: usize,
    tag: u32,
}

impl Index {
    /// How many slots are in it.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The slot under `hash` that `is_it` recognises.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.buckets.is_empty() {
            return None;
        }
        let home = self.home(hash);
        let bucket = &self.buckets[home.bucket];
        if let Some(cell) = pick(bucket, home.tag, &mut is_it) {
            return Some(slot_of(bucket.0[cell]));
        }
        if bucket.0[CELLS] == 0 {
            return None;
        }
        let bucket = &self.buckets[self.alternate(home.bucket, home.tag)];
        pick(bucket, home.tag, is_it).map(|cell| slot_of(bucket.0[cell]))
    }

    /// Adds a slot that is not in it; `hash_of` tells the hash of any slot in it.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let full = self.buckets.len() * CELLS * MAX_LOAD_EIGHTHS / 8;
        if self.len >= full {
            self.resize(self.buckets.len() * 3 / 2 + 1, &hash_of);
        }
        while !self.place(hash, slot) {
            self.resize(self.buckets.len() * 3 / 2 + 1, &hash_of);
        }
        self.len += 1;
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let home = self.home(hash);
        let mut is_it = |other| other == slot;
        if let Some(cell) = pick(&self.buckets[home.bucket], home.tag, &mut is_it) {
            self.take(home.bucket, cell);
        } else {
            let alternate = self.alternate(home.bucket, home.tag);
            let cell = pick(&self.buckets[alternate], home.tag, is_it)
                .expect("the slot was inserted under this hash");
            self.take(alternate, cell);
        }
        self.len -= 1;
    }

    /// Gives memory back once most of it is unused.
    pub(crate) fn shrink(&mut self, hash_of: impl Fn(u32) -> u64) {
        if self.len * 8 < self.buckets.len() * CELLS {
            self.resize(self.len.div_ceil(CELLS / 2), &hash_of);
        }
    }

    /// Empties one cell and returns what was in it.
    fn take(&mut self, bucket: usize, cell: usize) -> u32 {
        let taken = std::mem::take(&mut self.buckets[bucket].0[cell]);
        if taken & AWAY != 0 {
            let home = self.alternate(bucket, taken & TAG);
            *self.buckets[home].away() -= 1;
        }
        taken
    }

    /// Puts a slot into a free cell of its two buckets, perhaps after moving another.
    fn place(&mut self, hash: u64, slot: u32) -> bool {
        let home = self.home(hash);
        let cell = home.tag | (slot + 1);
        if self.put(home.bucket, cell) {
            return true;
        }
        let alternate = self.alternate(home.bucket, home.tag);
        if self.put(alternate, cell | AWAY) {
            *self.buckets[home.bucket].away() += 1;
            return true;
        }
        (0..CELLS).any(|other| self.move_over(home.bucket, other)) && self.put(home.bucket, cell)
    }

    fn put(&mut self, bucket: usize, cell: u32) -> bool {
        let bucket = &mut self.buckets[bucket];
        let Some(free) = bucket.free() else {
            return false;
        };
        bucket.0[free] = cell;
        true
    }

    /// Moves a cell to the other of its two buckets, if that has room.
    fn move_over(&mut self, bucket: usize, cell: usize) -> bool {
        let moved = self.buckets[bucket].0[cell];
        let other = self.alternate(bucket, moved & TAG);
        if other == bucket || !self.put(other, moved ^ AWAY) {
            return false;
        }
        self.take(bucket, cell);
        if moved & AWAY == 0 {
            *self.buckets[bucket].away() += 1;
        }
        true
    }

    fn resize(&mut self, buckets: usize, hash_of: &impl Fn(u32) -> u64) {
        let slots: Vec<u32> = self
            .buckets
            .iter()
            .flat_map(Bucket::cells)
            .filter(|cell| **cell != 0)
            .map(|cell| slot_of(*cell))
            .collect();
        let mut wanted = buckets;
        loop {
            self.buckets = vec![Bucket::default(); wanted];
            if slots.iter().all(|slot| self.place(hash_of(*slot), *slot)) {
                return;
            }
            wanted = wanted * 3 / 2 + 1;
        }
    }

    #[inline]
    fn home(&self, hash: u64) -> Home {
        Home {
            bucket: spread(hash, self.buckets.len()),
            // 1 to 255: a tag of zero would match free cells.
            tag: ((hash >> 32) as u32 & 0xff).max(1) << SLOT_BITS,
        }
    }

    /// The other bucket of a tag: applying it twice leads back.
    #[inline]
    fn alternate(&self, bucket: usize, tag: u32) -> usize {
        let count = self.buckets.len();
        let sum = spread(u64::from(tag >> SLOT_BITS).wrapping_mul(0x9e37_79b9), count);
        if sum >= bucket {
            sum - bucket
        } else {
            sum + count - bucket
        }
    }
}

/// The low 32 bits of `hash` as a number below `count`.
#[inline]
fn spread(hash: u64, count: usize) -> usize {
    (((hash & 0xffff_ffff) * count as u64) >> 32) as usize
}

fn slot_of(cell: u32) -> u32 {
    (cell & SLOT) - 1
}

/// The cell with this tag whose slot `is_it` recognises.
#[inline]
fn pick(bucket: &Bucket, tag: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<usize> {
    let mut candidates = bucket.with_tag(tag);
    while candidates != 0 {
        let cell = candidates.trailing_zeros() as usize;
        if is_it(slot_of(bucket.0[cell])) {
            return Some(cell);
        }
        candidates &= candidates - 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn mix(n: u64) -> u64 {
        (n ^ (n >> 31))
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            .rotate_left(29)
    }

    fn check(hash: impl Fn(u32) -> u64, rounds: u32) {
        let mut index = Index::default();
        let mut plain: HashMap<u32, u64> = HashMap::new();
        let mut state = 7_u64;
        for _ in 0..rounds {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let slot = (state >> 33) as u32 % 3_000;
            if plain.remove(&slot).is_some() {
                index.remove(hash(slot), slot);
            } else {
                index.insert(hash(slot), slot, &hash);
                plain.insert(slot, hash(slot));
            }
            assert_eq!(index.len(), plain.len());
        }
        for slot in 0..3_000 {
            let found = index.find(hash(slot), |other| other == slot);
            assert_eq!(found.is_some(), plain.contains_key(&slot), "slot {slot}");
        }
        for slot in plain.keys() {
            index.remove(hash(*slot), *slot);
        }
        assert!(
            index
                .buckets
                .iter()
                .all(|bucket| bucket.0 == [0; CELLS + 1])
        );
        index.shrink(hash);
        assert!(index.buckets.is_empty());
    }

    #[test]
    fn agrees_with_a_map_through_growth_and_churn() {
        check(|slot| mix(u64::from(slot)), 60_000);
    }

    #[test]
    fn agrees_with_a_map_under_bad_hashes() {
        check(|slot| mix(u64::from(slot % 200)), 20_000);
        check(|slot| u64::from(slot) << 32, 5_000);
    }

    #[test]
    fn the_alternate_of_the_alternate_is_the_bucket() {
        for count in 1..40 {
            let index = Index {
                buckets: vec![Bucket::default(); count],
                len: 0,
            };
            for bucket in 0..count {
                for tag in (1..256).map(|tag| tag << SLOT_BITS) {
                    let other = index.alternate(bucket, tag);
                    assert_eq!(index.alternate(other, tag), bucket);
                }
            }
        }
    }

    #[test]
    fn a_full_index_wastes_less_than_half_of_its_cells() {
        let mut index = Index::default();
        for slot in 0..50_000 {
            index.insert(mix(u64::from(slot)), slot, |slot| mix(u64::from(slot)));
            let cells = index.buckets.len() * CELLS;
            assert!(
                slot < 100 || cells < 2 * index.len(),
                "{cells} for {}",
                index.len()
            );
        }
    }
}
