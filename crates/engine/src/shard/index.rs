//! From a key's hash to its slot: one cache line for almost every lookup.
//!
//! A bucket is one cache line of 12 cells; a cell has a tag of 8 bits of the hash
//! and a slot, and all tags of a bucket are compared at once. A key lives in its
//! home bucket or, if that was full, in the alternate, which follows from the bucket
//! and the tag alone; so entries can move and go without their keys being read. A
//! bucket counts how many of its own live in their alternate, so that a miss needs
//! the second line only if that is not zero. There are no tombstones: removing never
//! degrades lookups. Keys of equal hash beyond two buckets' worth, which a broken
//! `Hash` makes, go into a plain list.

/// Slots are below this.
pub(crate) const MAX_SLOTS: u32 = AWAY;

/// Set in a cell whose bucket is its alternate.
const AWAY: u32 = 1 << 31;

const CELLS: usize = 12;
/// Index grows above this share of used cells, in sixteenths.
const MAX_LOAD_SIXTEENTHS: usize = 13;
/// A full pair of buckets makes the index grow only above this share.
const FAIR_LOAD_SIXTEENTHS: usize = 6;

/// A cache line of cells. A free cell has tag 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(64))]
struct Bucket {
    first_tags: [u8; 8],
    last_tags: [u8; 4],
    /// How many keys of this home are in their alternate bucket.
    away: u32,
    slots: [u32; CELLS],
}

/// Cells of a bucket, as bits: cell `n` at `8 * n`, from 8 on at `8 * (n - 8) + 1`.
struct Cells(u64);

impl Iterator for Cells {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some((bit >> 3) + ((bit & 1) << 3))
    }
}

impl Bucket {
    /// The cells with this tag.
    #[inline]
    fn with_tag(&self, tag: u8) -> Cells {
        const EACH: u64 = 0x0101_0101_0101_0101;
        let wanted = EACH * u64::from(tag);
        let first = zero_bytes(u64::from_le_bytes(self.first_tags) ^ wanted);
        let last = u64::from(u32::from_le_bytes(self.last_tags));
        let last = zero_bytes((last ^ wanted) | !u64::from(u32::MAX));
        Cells(first >> 7 | last >> 6)
    }

    #[inline]
    fn tag(&mut self, cell: usize) -> &mut u8 {
        match cell.checked_sub(self.first_tags.len()) {
            None => &mut self.first_tags[cell],
            Some(cell) => &mut self.last_tags[cell],
        }
    }

    /// The slots of the cells in use.
    fn used(&self) -> impl Iterator<Item = u32> {
        let tags = self.first_tags.iter().chain(&self.last_tags);
        let cells = tags.zip(&self.slots).filter(|(tag, _)| **tag != 0);
        cells.map(|(_, slot)| *slot & !AWAY)
    }
}

/// The highest bit of each byte that is zero, and no other bit.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

/// Slots by hash.
#[derive(Debug, Default)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    len: usize,
    /// Hashes and slots that found no cell.
    strays: Vec<(u32, u32)>,
}

/// Where a hash belongs.
#[derive(Clone, Copy)]
struct Home {
    bucket: usize,
    tag: u8,
}

impl Index {
    /// How many slots are in it.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The slot under `hash` that `is_it` recognises.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let home = self.home(hash);
        let bucket = self.buckets.get(home.bucket)?;
        for cell in bucket.with_tag(home.tag) {
            let slot = bucket.slots[cell] & !AWAY;
            if is_it(slot) {
                return Some(slot);
            }
        }
        if bucket.away == 0 {
            return None;
        }
        self.find_away(hash, home, is_it)
    }

    #[inline(never)]
    fn find_away(&self, hash: u32, home: Home, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let bucket = &self.buckets[self.alternate(home.bucket, home.tag)];
        let mut slots = bucket
            .with_tag(home.tag)
            .map(|cell| bucket.slots[cell] & !AWAY);
        if let Some(slot) = slots.find(|slot| is_it(*slot)) {
            return Some(slot);
        }
        let strays = self.strays.iter().filter(|(other, _)| *other == hash);
        strays.map(|(_, slot)| *slot).find(|slot| is_it(*slot))
    }

    /// Adds a slot that is not in it; `hash_of` tells the hash of any slot in it.
    pub(crate) fn insert(&mut self, hash: u32, slot: u32, hash_of: impl Fn(u32) -> u32) {
        if self.len >= self.cells() * MAX_LOAD_SIXTEENTHS / 16 {
            self.grow(&hash_of);
        }
        while !self.place(hash, slot) {
            if self.len * 16 < self.cells() * FAIR_LOAD_SIXTEENTHS {
                self.place_stray(hash, slot);
                break;
            }
            self.grow(&hash_of);
        }
        self.len += 1;
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let home = self.home(hash);
        let alternate = self.alternate(home.bucket, home.tag);
        self.len -= 1;
        for bucket in [home.bucket, alternate] {
            let cells = self.buckets[bucket].with_tag(home.tag);
            for cell in cells {
                if self.buckets[bucket].slots[cell] & !AWAY == slot {
                    self.free(bucket, cell);
                    return;
                }
            }
        }
        let stray = self.strays.iter().position(|(_, other)| *other == slot);
        self.strays
            .swap_remove(stray.expect("the slot was inserted under this hash"));
        self.buckets[home.bucket].away -= 1;
    }

    /// Gives memory back once most of it is unused.
    pub(crate) fn shrink(&mut self, hash_of: impl Fn(u32) -> u32) {
        if self.len * 8 < self.cells() {
            self.resize(self.len.div_ceil(CELLS / 2), &hash_of);
        }
    }

    fn cells(&self) -> usize {
        self.buckets.len() * CELLS
    }

    /// Empties one cell and returns its slot, with its `AWAY` bit.
    fn free(&mut self, bucket: usize, cell: usize) -> u32 {
        let tag = std::mem::take(self.buckets[bucket].tag(cell));
        let slot = std::mem::take(&mut self.buckets[bucket].slots[cell]);
        if slot & AWAY != 0 {
            let home = self.alternate(bucket, tag);
            self.buckets[home].away -= 1;
        }
        slot
    }

    /// Puts a slot into a free cell of its two buckets, perhaps after moving another.
    fn place(&mut self, hash: u32, slot: u32) -> bool {
        let home = self.home(hash);
        if self.put(home.bucket, home.tag, slot) {
            return true;
        }
        let alternate = self.alternate(home.bucket, home.tag);
        if self.put(alternate, home.tag, slot | AWAY) {
            self.buckets[home.bucket].away += 1;
            return true;
        }
        (0..CELLS).any(|other| self.move_over(home.bucket, other))
            && self.put(home.bucket, home.tag, slot)
    }

    fn place_stray(&mut self, hash: u32, slot: u32) {
        let home = self.home(hash).bucket;
        self.buckets[home].away += 1;
        self.strays.push((hash, slot));
    }

    fn put(&mut self, bucket: usize, tag: u8, slot: u32) -> bool {
        let Some(bucket) = self.buckets.get_mut(bucket) else {
            return false;
        };
        let Some(free) = bucket.with_tag(0).next() else {
            return false;
        };
        *bucket.tag(free) = tag;
        bucket.slots[free] = slot;
        true
    }

    /// Moves a cell to the other of its two buckets, if that has room.
    fn move_over(&mut self, bucket: usize, cell: usize) -> bool {
        let tag = *self.buckets[bucket].tag(cell);
        let slot = self.buckets[bucket].slots[cell];
        let other = self.alternate(bucket, tag);
        if other == bucket || !self.put(other, tag, slot ^ AWAY) {
            return false;
        }
        self.free(bucket, cell);
        if slot & AWAY == 0 {
            self.buckets[bucket].away += 1;
        }
        true
    }

    fn grow(&mut self, hash_of: &impl Fn(u32) -> u32) {
        self.resize(self.buckets.len() * 5 / 4 + 1, hash_of);
    }

    fn resize(&mut self, buckets: usize, hash_of: &impl Fn(u32) -> u32) {
        let slots: Vec<u32> = self
            .buckets
            .iter()
            .flat_map(Bucket::used)
            .chain(self.strays.iter().map(|(_, slot)| *slot))
            .collect();
        self.buckets = vec![Bucket::default(); buckets];
        self.strays.clear();
        for slot in slots {
            if !self.place(hash_of(slot), slot) {
                self.place_stray(hash_of(slot), slot);
            }
        }
    }

    #[inline]
    fn home(&self, hash: u32) -> Home {
        Home {
            bucket: spread(hash, self.buckets.len()),
            // 1 to 255: a tag of zero would be a free cell's.
            tag: u8::try_from(hash & 0xff).map_or(1, |tag| tag.max(1)),
        }
    }

    /// The other bucket of a tag: applying it twice leads back.
    #[inline]
    fn alternate(&self, bucket: usize, tag: u8) -> usize {
        let count = self.buckets.len();
        let sum = spread(u32::from(tag).wrapping_mul(0x9e37_79b9), count);
        if sum >= bucket {
            sum - bucket
        } else {
            sum + count - bucket
        }
    }
}

/// A hash as a number below `count`, mostly by its upper bits.
#[inline]
fn spread(hash: u32, count: usize) -> usize {
    ((u64::from(hash) * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn mix(n: u32) -> u32 {
        let mixed = u64::from(n + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u32::try_from((mixed >> 29) & 0xffff_ffff).expect("32 bits")
    }

    fn check(hash: impl Fn(u32) -> u32, rounds: u32) {
        let mut index = Index::default();
        let mut plain: HashMap<u32, u32> = HashMap::new();
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
                .all(|bucket| *bucket == Bucket::default())
        );
        index.shrink(hash);
        assert!(index.buckets.is_empty());
    }

    #[test]
    fn agrees_with_a_map_through_growth_and_churn() {
        check(mix, 60_000);
    }

    #[test]
    fn agrees_with_a_map_under_bad_hashes() {
        check(|slot| mix(slot % 200), 20_000);
        check(|slot| slot, 5_000);
        check(|slot| slot << 20, 5_000);
        check(|_| 7, 2_000);
    }

    #[test]
    fn the_alternate_of_the_alternate_is_the_bucket() {
        for count in 1..40 {
            let index = Index {
                buckets: vec![Bucket::default(); count],
                ..Index::default()
            };
            for bucket in 0..count {
                for tag in 1..=255 {
                    let other = index.alternate(bucket, tag);
                    assert_eq!(index.alternate(other, tag), bucket);
                }
            }
        }
    }

    #[test]
    fn tags_are_found_where_they_are() {
        let mut bucket = Bucket::default();
        for cell in 0..CELLS {
            *bucket.tag(cell) = [3, 2, 1, 255, 128, 0][cell % 6];
        }
        for (tag, cells) in [
            (3, [0, 6]),
            (2, [1, 7]),
            (1, [2, 8]),
            (255, [3, 9]),
            (0, [5, 11]),
        ] {
            let mut found: Vec<usize> = bucket.with_tag(tag).collect();
            found.sort_unstable();
            assert_eq!(found, cells, "tag {tag}");
        }
        assert_eq!(bucket.with_tag(7).next(), None);
    }

    #[test]
    fn a_full_index_wastes_less_than_a_third_of_its_cells() {
        let mut index = Index::default();
        for slot in 0..50_000 {
            index.insert(mix(slot), slot, mix);
            let cells = index.cells();
            assert!(
                slot < 1_000 || 5 * cells < 8 * index.len(),
                "{cells} for {}",
                index.len()
            );
        }
    }
}
