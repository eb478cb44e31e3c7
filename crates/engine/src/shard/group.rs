//! Groups of 14 places: what a lookup looks at first.
//!
//! A place that is taken has a tag, 8 bits of its key's hash; all tags of a group are
//! compared at once. They are packed so tightly that they stay in the processor's
//! cache where the entries do not. The policy's notes on the places are beside them: a
//! hit reads its note while it waits for its entry.
//!
//! A key has two homes that follow from its hash, a group and one not far behind it. It
//! lives in the first, unless that is all but full and the second is emptier. That
//! keeps the groups so even that a table can be nearly full: few keys find no place in
//! either, and go to the first group behind that has one. Each group counts the keys
//! that passed by, in four classes, so that a lookup need not go on if there are none;
//! that makes up for tombstones, and removing never degrades lookups.

use wide::u8x16;

/// Places per group.
pub(crate) const PLACES: usize = 14;
/// Bits of a policy's note.
pub(crate) const NOTE_BITS: u32 = 24;
/// Of the eighths of all places this many are used at most.
const MOST_EIGHTHS: usize = 7;
/// The second home is at most so many groups behind the first; a power of two.
const REACH: usize = 16;
/// A first home with no more free places than this is all but full.
const SCARCE: u32 = 1;
/// A count of passers-by of one class that has become too large to be kept.
const TOO_MANY: u16 = 15;

/// The tags of the places; zero is a free one. The last two bytes count who passed by:
/// four bits for each class.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Group([u8; 16]);

/// The policy's notes on the places of a group.
type Notes = [[u8; 3]; PLACES];

/// The bits of all places.
const ALL: u32 = (1 << PLACES) - 1;

/// Places of a group, or of two, as bits.
#[derive(Debug)]
struct Places(u32);

impl Places {
    fn how_many(&self) -> u32 {
        self.0.count_ones()
    }
}

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (place < u32::BITS).then_some(place as usize)
    }
}

impl Group {
    const EMPTY: Self = Self([0; 16]);

    #[inline]
    fn with_tag(&self, tag: u8) -> Places {
        let same = u8x16::new(self.0).simd_eq(u8x16::splat(tag));
        Places(same.to_bitmask() & ALL)
    }

    #[inline]
    fn used(&self) -> Places {
        Places(!self.with_tag(0).0 & ALL)
    }

    #[inline]
    fn counts(&self) -> u16 {
        u16::from_le_bytes([self.0[PLACES], self.0[PLACES + 1]])
    }

    fn set_counts(&mut self, counts: u16) {
        self.0[PLACES..].copy_from_slice(&counts.to_le_bytes());
    }

    /// How many keys of the class of this hash passed by.
    #[inline]
    fn passers(&self, hash: u32) -> u16 {
        (self.counts() >> shift_of(hash)) & TOO_MANY
    }

    /// One more key passed by; from `TOO_MANY` on nobody counts.
    fn pass(&mut self, hash: u32) {
        if self.passers(hash) != TOO_MANY {
            self.set_counts(self.counts() + (1 << shift_of(hash)));
        }
    }

    fn unpass(&mut self, hash: u32) {
        if self.passers(hash) != TOO_MANY {
            self.set_counts(self.counts() - (1 << shift_of(hash)));
        }
    }
}

/// Where the count of a hash's class is.
#[inline]
fn shift_of(hash: u32) -> u32 {
    4 * ((hash >> 12) & 3)
}

/// All groups of a table. A slot is the number of a place.
#[derive(Default)]
pub(crate) struct Groups {
    heads: Vec<Group>,
    /// Only where the policy makes notes.
    notes: Vec<Notes>,
    /// How many groups behind its first home a key is at most.
    farthest: usize,
}

impl Groups {
    pub(super) fn new(groups: usize, are_noted: bool) -> Self {
        Self {
            heads: vec![Group::EMPTY; groups],
            notes: vec![[[0; 3]; PLACES]; if are_noted { groups } else { 0 }],
            farthest: 0,
        }
    }

    /// How many groups hold so many entries.
    pub(super) fn needed_for(entries: usize) -> usize {
        (entries * 8).div_ceil(PLACES * MOST_EIGHTHS)
    }

    /// How many entries they hold at most.
    pub(super) fn capacity(&self) -> usize {
        self.heads.len() * PLACES * MOST_EIGHTHS / 8
    }

    pub(crate) fn count(&self) -> usize {
        self.heads.len()
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.heads.len() * PLACES
    }

    /// The first home of a hash, with the slots there that may have its key.
    #[inline]
    pub(super) fn at_home(&self, hash: u32) -> Option<(usize, impl Iterator<Item = usize>)> {
        let home = self.home(hash);
        let places = self.heads.get(home)?.with_tag(tag_of(hash));
        Some((home, places.map(move |place| home * PLACES + place)))
    }

    /// All slots outside its first home that may have the key of a hash which went past
    /// there.
    pub(super) fn behind(&self, hash: u32) -> impl Iterator<Item = usize> {
        let second = self.second_home(hash);
        let on_from = move |group: &usize| {
            let next = self.after(*group);
            (self.are_passed(*group, hash) && next != second).then_some(next)
        };
        std::iter::successors(Some(second), on_from).flat_map(move |group| {
            let places = self.heads[group].with_tag(tag_of(hash));
            places.map(move |place| group * PLACES + place)
        })
    }

    /// Whether a key of the class of this hash went past a group.
    #[inline]
    pub(super) fn are_passed(&self, group: usize, hash: u32) -> bool {
        self.heads[group].passers(hash) > 0
    }

    /// Takes a free place for a hash; there must be one.
    pub(super) fn take(&mut self, hash: u32) -> usize {
        let first = self.home(hash);
        let mut free = self.heads[first].with_tag(0);
        if free.how_many() > SCARCE {
            return self.take_one(first, free, hash);
        }
        let mut group = self.second_home(hash);
        let there = self.heads[group].with_tag(0);
        if free.how_many() > 0 && free.how_many() >= there.how_many() {
            return self.take_one(first, free, hash);
        }
        self.heads[first].pass(hash);
        free = there;
        let mut distance = REACH;
        while free.how_many() == 0 {
            self.heads[group].pass(hash);
            group = self.after(group);
            free = self.heads[group].with_tag(0);
            distance += 1;
        }
        self.farthest = self.farthest.max(distance);
        self.take_one(group, free, hash)
    }

    fn take_one(&mut self, group: usize, mut free: Places, hash: u32) -> usize {
        let place = free.next().expect("a place is free");
        self.heads[group].0[place] = tag_of(hash);
        group * PLACES + place
    }

    /// Frees a slot that was taken for this hash.
    pub(super) fn free(&mut self, slot: usize, hash: u32) {
        let (group, place) = split(slot);
        self.heads[group].0[place] = 0;
        let first = self.home(hash);
        if group == first {
            return;
        }
        self.heads[first].unpass(hash);
        let mut at = self.second_home(hash);
        while at != group {
            self.heads[at].unpass(hash);
            at = self.after(at);
        }
    }

    /// The lowest bits of the hash for which a slot was taken.
    #[inline]
    pub(super) fn tag(&self, slot: usize) -> u8 {
        let (group, place) = split(slot);
        self.heads[group].0[place]
    }

    /// What the policy noted last of a slot; zero if it makes no notes.
    #[inline]
    pub(crate) fn note(&self, slot: u32) -> u32 {
        let (group, place) = split(slot as usize);
        self.notes
            .get(group)
            .map_or(0, |notes| number_in(notes[place]))
    }

    #[inline]
    pub(crate) fn set_note(&mut self, slot: u32, note: u32) {
        let (group, place) = split(slot as usize);
        if let Some(notes) = self.notes.get_mut(group) {
            let [a, b, c, _] = note.to_le_bytes();
            notes[place] = [a, b, c];
        }
    }

    /// Whether there is such a slot and it is taken.
    #[inline]
    pub(crate) fn is_used(&self, slot: u32) -> bool {
        let (group, place) = split(slot as usize);
        let group = self.heads.get(group);
        group.is_some_and(|group| group.0[place] != 0)
    }

    /// The slots of a group that are taken, with their notes.
    #[inline]
    pub(crate) fn notes(&self, group: usize) -> impl Iterator<Item = (u32, u32)> {
        let notes = &self.notes[group];
        let places = self.heads[group].used();
        places.map(move |place| (number(group * PLACES + place), number_in(notes[place])))
    }

    /// The slots of some groups that are taken.
    pub(super) fn used(&self, groups: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        let groups = groups.start..groups.end.min(self.heads.len());
        groups.flat_map(|group| {
            let places = self.heads[group].used();
            places.map(move |place| group * PLACES + place)
        })
    }

    /// All groups in which there may be keys whose first home is one of these.
    pub(super) fn reached_from(
        &self,
        homes: std::ops::Range<usize>,
    ) -> impl Iterator<Item = usize> {
        let count = self.heads.len();
        let end = (homes.end + self.farthest).min(homes.start + count);
        (homes.start..end).map(move |number| match number.checked_sub(count) {
            Some(again) => again,
            None => number,
        })
    }

    /// The first home of a hash.
    #[inline]
    pub(super) fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.heads.len() as u64) >> 32) as usize
    }

    /// The other home of a hash; in a small table it may be the same.
    #[inline]
    fn second_home(&self, hash: u32) -> usize {
        let home = self.home(hash) + 1 + (hash >> u8::BITS) as usize % REACH;
        if home < self.heads.len() {
            home
        } else {
            home % self.heads.len()
        }
    }

    /// The lowest hash whose first home is this group or a later one.
    pub(super) fn first_hash(&self, group: usize) -> u64 {
        ((group as u64) << 32).div_ceil(self.heads.len() as u64)
    }

    fn after(&self, group: usize) -> usize {
        if group + 1 == self.heads.len() {
            0
        } else {
            group + 1
        }
    }
}

#[inline]
fn number_in([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

#[inline]
fn split(slot: usize) -> (usize, usize) {
    (slot / PLACES, slot % PLACES)
}

/// The tag of a hash, which [`short`](super::short) has made to be not zero.
#[inline]
pub(super) fn tag_of(hash: u32) -> u8 {
    hash.to_le_bytes()[0]
}

/// A slot as others keep it.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "tables end before 2^31 slots"
)]
pub(super) fn number(slot: usize) -> u32 {
    slot as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn mix(n: u32) -> u32 {
        let mixed = u64::from(n + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u32::try_from((mixed >> 29) & 0xffff_ffff).expect("32 bits") | 1
    }

    /// Takes and frees at random, and looks up all after each round.
    fn check(hash: impl Fn(u32) -> u32, count: usize, rounds: u32) {
        let mut groups = Groups::new(count, false);
        let (mut keys, mut slots) = (vec![None; groups.slots()], HashMap::new());
        let mut state = 7_u64;
        for _ in 0..rounds {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = (state >> 33) as u32 % 3_000;
            if let Some(slot) = slots.remove(&key) {
                assert_eq!(keys[slot], Some(key));
                groups.free(slot, hash(key));
                keys[slot] = None;
            } else if slots.len() < groups.slots() {
                let slot = groups.take(hash(key));
                assert_eq!(keys[slot].replace(key), None);
                slots.insert(key, slot);
            }
        }
        for key in 0..3_000 {
            let (home, here) = groups.at_home(hash(key)).expect("there is a group");
            let goes_on = groups.are_passed(home, hash(key));
            let behind = goes_on.then(|| groups.behind(hash(key)));
            let mut seen = here.chain(behind.into_iter().flatten());
            let found = seen.find(|slot| keys[*slot] == Some(key));
            assert_eq!(found, slots.get(&key).copied(), "key {key}");
        }
        for (key, slot) in slots {
            groups.free(slot, hash(key));
        }
        let is_empty = |group: &Group| group.0[..PLACES] == [0; PLACES];
        assert!(groups.heads.iter().all(is_empty));
    }

    #[test]
    fn keys_are_found_where_they_were_put_even_if_all_places_are_taken() {
        check(mix, 150, 60_000);
        check(mix, 10, 20_000);
        check(mix, 1, 1_000);
    }

    #[test]
    fn keys_are_found_under_bad_hashes() {
        check(|key| mix(key % 200), 200, 20_000);
        check(|key| key | 1, 200, 5_000);
        check(|key| key << 20 | 1, 200, 5_000);
        check(|_| 7, 100, 3_000);
    }

    #[test]
    fn nobody_passes_an_empty_table() {
        let mut groups = Groups::new(20, false);
        let slots: Vec<usize> = (0..279).map(|key| groups.take(mix(key))).collect();
        assert!(groups.heads.iter().any(|group| group.counts() > 0));
        assert!(groups.farthest > REACH, "some are at home nowhere");
        for (key, slot) in (0..).zip(slots) {
            groups.free(slot, mix(key));
        }
        assert!(groups.heads.iter().all(|group| group.counts() == 0));
    }

    #[test]
    fn classes_are_counted_apart_and_a_count_that_was_too_large_stays() {
        let [one, other] = [0x1000, 0x3000];
        let mut group = Group::EMPTY;
        (0..3).for_each(|_| group.pass(one));
        (0..100).for_each(|_| group.pass(other));
        assert_eq!((group.passers(one), group.passers(other)), (3, TOO_MANY));
        (0..3).for_each(|_| group.unpass(one));
        (0..100).for_each(|_| group.unpass(other));
        assert_eq!((group.passers(one), group.passers(other)), (0, TOO_MANY));
        assert_eq!(group.passers(0), 0);
    }

    #[test]
    fn nearly_full_groups_send_few_keys_away() {
        let mut groups = Groups::new(1_000, false);
        let mut slots: Vec<(u32, usize)> = (0..12_250)
            .map(|key| (mix(key), groups.take(mix(key))))
            .collect();
        for key in 12_250..60_000 {
            let place = mix(key ^ 0x5555) as usize % slots.len();
            groups.free(slots[place].1, slots[place].0);
            slots[place] = (mix(key), groups.take(mix(key)));
        }
        let hops = |key: u32| {
            let mut group = groups.home(mix(key));
            let mut hops = 0;
            while groups.are_passed(group, mix(key)) {
                group = match hops {
                    0 => groups.second_home(mix(key)),
                    _ => groups.after(group),
                };
                hops += 1;
            }
            hops
        };
        let hops: usize = (60_000..70_000).map(hops).sum();
        assert!(hops < 60_000, "{hops} for 10,000 that are not there");
    }

    #[test]
    fn notes_belong_to_slots() {
        let mut groups = Groups::new(2, true);
        let slots: Vec<u32> = (0..20).map(|key| number(groups.take(mix(key)))).collect();
        for slot in &slots {
            groups.set_note(*slot, 0xabc_000 + slot);
        }
        let mut noted: Vec<u32> = (0..2)
            .flat_map(|group| groups.notes(group))
            .map(|(slot, note)| {
                assert_eq!(note, 0xabc_000 + slot);
                slot
            })
            .collect();
        noted.sort_unstable();
        let mut slots = slots;
        slots.sort_unstable();
        assert_eq!(noted, slots);
    }

    #[test]
    fn stretches_of_hashes_cover_all_once() {
        for count in [1, 2, 7, 64, 1_000] {
            let groups = Groups::new(count, false);
            for group in 0..count {
                let first = groups.first_hash(group);
                let hash = u32::try_from(first).expect("below 2^32");
                assert_eq!(groups.home(hash), group);
                assert!(first == 0 || groups.home(hash - 1) == group - 1);
            }
        }
    }
}
