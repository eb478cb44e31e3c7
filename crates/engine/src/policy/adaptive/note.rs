//! What is known of a key: what kind of key it is, and when it was used last.
//!
//! Time is counted in *ticks*: a tick is as many uses of the cache as a sixteenth
//! of its entries. It wraps; ages are differences.

use crate::shard::NOTE_BITS;

/// Kinds of intervals between two uses: octaves of ticks.
const OCTAVES: u8 = 8;
/// Kinds of how often a key was used: twice, three times, four times, more.
const REPEATS: u8 = 4;

/// What kind of key: new, or how often it was used and how far apart the last
/// two uses were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const COUNT: usize = NEW as usize + 1;
    /// Not seen before, or forgotten since.
    pub(super) const NEW: Self = Self(NEW);

    /// What a key becomes when it is used again after `interval` ticks.
    #[inline]
    pub(super) fn used_after(self, interval: u32) -> Self {
        let octave = interval.max(1).ilog2().min(u32::from(OCTAVES) - 1);
        let repeats = match self.0 {
            NEW => 0,
            known => (known % REPEATS + 1).min(REPEATS - 1),
        };
        #[expect(clippy::cast_possible_truncation, reason = "below OCTAVES")]
        let octave = octave as u8;
        Self(octave * REPEATS + repeats)
    }

    /// The kinds in groups that resemble each other.
    pub(super) fn groups() -> impl Iterator<Item = std::ops::Range<usize>> {
        let known = (0..usize::from(NEW)).step_by(usize::from(REPEATS));
        known
            .map(|first| first..first + usize::from(REPEATS))
            .chain(std::iter::once(usize::from(NEW)..Self::COUNT))
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

const NEW: u8 = OCTAVES * REPEATS;

/// What is known of an entry, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note(u32);

/// Bits of the kind; the tick is above.
const KIND_BITS: u32 = 6;
const KIND_MASK: u32 = (1 << KIND_BITS) - 1;
/// A note fits beside a deadline.
const NOTE_MASK: u32 = (1 << NOTE_BITS) - 1;

impl Note {
    /// No entry.
    pub(super) const NONE: Self = Self(KIND_MASK);

    #[inline]
    pub(super) fn new(kind: Kind, tick: u32) -> Self {
        Self((tick << KIND_BITS | u32::from(kind.0)) & NOTE_MASK)
    }

    #[inline]
    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// The kind of key, `None` for no entry.
    #[inline]
    pub(super) fn kind(self) -> Option<Kind> {
        let kind = (self.0 & KIND_MASK) as u8;
        (kind <= NEW).then_some(Kind(kind))
    }

    /// Ticks since the use, if that is less than a wrap ago.
    #[inline]
    pub(super) fn age(self, now: u32) -> u32 {
        ((now << KIND_BITS).wrapping_sub(self.0 & !KIND_MASK) & NOTE_MASK) >> KIND_BITS
    }

    /// The lowest `bits` of the tick, with the kind above zero below them.
    pub(super) fn packed(self, bits: u32) -> u32 {
        let tick = (self.0 >> KIND_BITS) & ((1 << bits) - 1);
        tick << KIND_BITS | ((self.0 & KIND_MASK) + 1)
    }

    /// The note that was packed, if that is less than a wrap of `bits` ago.
    pub(super) fn unpacked(packed: u32, bits: u32, now: u32) -> Self {
        let kind = (packed & KIND_MASK) - 1;
        let tick = (packed >> KIND_BITS) & ((1 << bits) - 1);
        let age = now.wrapping_sub(tick) & ((1 << bits) - 1);
        Self((now.wrapping_sub(age) << KIND_BITS | kind) & NOTE_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_tell_how_often_and_how_far_apart() {
        let mut kind = Kind::NEW;
        let mut seen = vec![kind];
        for interval in [0, 1, 2, 200, 100_000] {
            kind = kind.used_after(interval);
            seen.push(kind);
        }
        let numbers: Vec<u8> = seen.iter().map(|kind| kind.0).collect();
        assert_eq!(numbers, [32, 0, 1, 6, 31, 31]);
        assert_eq!(Kind::groups().map(|group| group.len()).sum::<usize>(), 33);
    }

    #[test]
    fn ages_survive_a_wrap_of_the_clock() {
        let last = (1 << (NOTE_BITS - KIND_BITS)) - 3;
        let note = Note::new(Kind::NEW, last);
        assert_eq!(note.age(last.wrapping_add(10)), 10);
        assert_eq!(note.kind(), Some(Kind::NEW));
        assert_eq!(Note::NONE.kind(), None);
    }

    #[test]
    fn packing_keeps_kind_and_age() {
        let kind = Kind::NEW.used_after(70).used_after(9);
        for (then, now) in [
            (0, 0),
            (5, 900),
            (8_190, 8_200),
            (1 << 20, (1 << 20) + 8_191),
        ] {
            let packed = Note::new(kind, then).packed(13);
            assert!(packed != 0 && packed < 1 << 19);
            let note = Note::unpacked(packed, 13, now);
            assert_eq!((note.kind(), note.age(now)), (Some(kind), now - then));
        }
    }
}
