//! Groups of 14 places: what a lookup looks at first.
//!
//! A place that is taken has a tag, 8 bits of its key's hash; all tags of a group are
//! compared at once. They are packed so tightly that they stay in the processor's
//! cache where the entries do not. The policy's notes on the places are beside them: a
//! hit reads its note while it waits for its entry. A key belongs to its home group,
//! which follows from the hash, or to the first one after it with a free place. Each
//! group counts the keys that passed by, so that a lookup need not go on if there are
//! none; that makes up for tombstones, and removing never degrades lookups.

use wide::u8x16;

/// Places per group.
pub(crate) const PLACES: usize = 14;
/// Bits of a policy's note.
pub(crate) const NOTE_BITS: u32 = 24;
/// Of the eighths of all places this many are used at most.
const MOST_EIGHTHS: usize = 7;
/// A count of passers-by that has become too large to be kept.
const TOO_MANY: u16 = u16::MAX;

/// The tags of the places; zero is a free one. The last two bytes count who passed by.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Group([u8; 16]);

/// The policy's notes on the places of a group.
type Notes = [[u8; 3]; PLACES];

/// The bits of all places.
const ALL: u32 = (1 << PLACES) - 1;

/// Places of a group, as bits.
#[derive(Debug)]
struct Places(u32);

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
    fn passers(&self) -> u16 {
        u16::from_le_bytes([self.0[PLACES], self.0[PLACES + 1]])
    }

    fn set_passers(&mut self, passers: u16) {
        self.0[PLACES..].copy_from_slice(&passers.to_le_bytes());
    }

    /// One more key passed by; from `TOO_MANY` on nobody counts.
    fn pass(&mut self) {
        self.set_passers(self.passers().saturating_add(1));
    }

    fn unpass(&mut self) {
        if self.passers() != TOO_MANY {
            self.set_passers(self.passers() - 1);
        }
    }
}

/// All groups of a table. A slot is the number of a place.
#[derive(Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    /// Only where the policy makes notes.
    notes: Vec<Notes>,
}

impl Groups {
    pub(super) fn new(groups: usize, are_noted: bool) -> Self {
        Self {
            groups: vec![Group::EMPTY; groups],
            notes: vec![[[0; 3]; PLACES]; if are_noted { groups } else { 0 }],
        }
    }

    /// How many groups hold so many entries.
    pub(super) fn needed_for(entries: usize) -> usize {
        (entries * 8).div_ceil(PLACES * MOST_EIGHTHS)
    }

    /// How many entries they hold at most.
    pub(super) fn capacity(&self) -> usize {
        self.groups.len() * PLACES * MOST_EIGHTHS / 8
    }

    pub(crate) fn count(&self) -> usize {
        self.groups.len()
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.groups.len() * PLACES
    }

    /// The home of a hash, with the slots there that may have its key.
    #[inline]
    pub(super) fn at_home(&self, hash: u32) -> Option<(usize, impl Iterator<Item = usize>)> {
        let home = self.home(hash);
        let places = self.groups.get(home)?.with_tag(tag_of(hash));
        Some((home, places.map(move |place| home * PLACES + place)))
    }

    /// The group behind one, with the slots there that may have the key of a hash;
    /// `None` if none that belongs to this group or one before is there.
    #[inline]
    pub(super) fn behind(
        &self,
        group: usize,
        hash: u32,
    ) -> Option<(usize, impl Iterator<Item = usize>)> {
        if self.groups[group].passers() == 0 {
            return None;
        }
        let next = self.after(group);
        let places = self.groups[next].with_tag(tag_of(hash));
        Some((next, places.map(move |place| next * PLACES + place)))
    }

    /// Takes the first free place for a hash; there must be one.
    pub(super) fn take(&mut self, hash: u32) -> usize {
        let mut at = self.home(hash);
        loop {
            if let Some(place) = self.groups[at].with_tag(0).next() {
                self.groups[at].0[place] = tag_of(hash);
                return at * PLACES + place;
            }
            self.groups[at].pass();
            at = self.after(at);
        }
    }

    /// Frees a slot that was taken for this hash.
    pub(super) fn free(&mut self, slot: usize, hash: u32) {
        let (group, place) = split(slot);
        self.groups[group].0[place] = 0;
        let mut at = self.home(hash);
        while at != group {
            self.groups[at].unpass();
            at = self.after(at);
        }
    }

    /// The lowest bits of the hash for which a slot was taken.
    #[inline]
    pub(super) fn tag(&self, slot: usize) -> u8 {
        let (group, place) = split(slot);
        self.groups[group].0[place]
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

    /// The slots of a group that are taken, with their notes.
    #[inline]
    pub(crate) fn notes(&self, group: usize) -> impl Iterator<Item = (u32, u32)> {
        let notes = &self.notes[group];
        let places = self.groups[group].used();
        places.map(move |place| (number(group * PLACES + place), number_in(notes[place])))
    }

    /// The slots of some groups that are taken.
    pub(super) fn used(&self, groups: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        let groups = groups.start..groups.end.min(self.groups.len());
        groups.flat_map(|group| {
            let places = self.groups[group].used();
            places.map(move |place| group * PLACES + place)
        })
    }

    /// All groups in which there may be keys whose home is one of these.
    pub(super) fn reached_from(
        &self,
        homes: std::ops::Range<usize>,
    ) -> impl Iterator<Item = usize> {
        let count = self.groups.len();
        let mut next = (count > 0).then_some(homes.start);
        std::iter::from_fn(move || {
            let number = next?;
            let group = if number < count {
                number
            } else {
                number - count
            };
            let goes_on = number + 1 < homes.end || self.groups[group].passers() > 0;
            next = (goes_on && number + 1 < homes.start + count).then_some(number + 1);
            Some(group)
        })
    }

    #[inline]
    pub(super) fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.groups.len() as u64) >> 32) as usize
    }

    /// The lowest hash whose home is this group or a later one.
    pub(super) fn first_hash(&self, group: usize) -> u64 {
        ((group as u64) << 32).div_ceil(self.groups.len() as u64)
    }

    fn after(&self, group: usize) -> usize {
        if group + 1 == self.groups.len() {
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
            let (mut group, here) = groups.at_home(hash(key)).expect("there is a group");
            let mut seen: Vec<usize> = here.collect();
            for _ in 1..count {
                let Some((next, there)) = groups.behind(group, hash(key)) else {
                    break;
                };
                seen.extend(there);
                group = next;
            }
            let found = seen.into_iter().find(|slot| keys[*slot] == Some(key));
            assert_eq!(found, slots.get(&key).copied(), "key {key}");
        }
        for (key, slot) in slots {
            groups.free(slot, hash(key));
        }
        let is_empty = |group: &Group| group.0[..PLACES] == [0; PLACES];
        assert!(groups.groups.iter().all(is_empty));
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
        let mut groups = Groups::new(3, false);
        let slots: Vec<usize> = (0..40).map(|_| groups.take(5)).collect();
        assert!(groups.groups[0].passers() > 0);
        for slot in slots {
            groups.free(slot, 5);
        }
        assert!(groups.groups.iter().all(|group| group.passers() == 0));
    }

    #[test]
    fn a_count_that_was_too_large_stays() {
        let mut group = Group::EMPTY;
        (0..70_000).for_each(|_| group.pass());
        (0..70_000).for_each(|_| group.unpass());
        assert_eq!(group.passers(), TOO_MANY);
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
