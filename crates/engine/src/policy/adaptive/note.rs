//! What is known of a key: what kind of key it is, and when it was used last.
//!
//! Time is counted in *ticks*: a tick is as many uses of the cache as a sixteenth
//! of its entries. It wraps; ages are differences.

use crate::shard::NOTE_BITS;

/// Levels of the interval between uses: half octaves, from one tick on.
const LEVELS: u32 = 16;
/// Uses after the first that are told apart when counting.
const COUNTS: u32 = 15;
/// The last use counts for a quarter of the interval, once there are that many.
const SMOOTHING: u32 = 4;
/// Classes of counts that are told apart when learning: 1, 2, up to 4, up to 8, more.
const CLASSES: u32 = 5;
/// Above all levels and counts.
const NEW: u8 = 240;
/// Classes of weight that are told apart for new keys, each four times the one before.
const WEIGHTS: u32 = 15;

/// What kind of key: how heavy, if it is new; otherwise how long it usually is between
/// its uses, and how often it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    /// How many kinds are told apart when learning.
    pub(super) const COUNT: usize = (LEVELS * CLASSES + WEIGHTS) as usize;
    /// Not seen before, or forgotten since; of the least weight.
    pub(super) const NEW: Self = Self(NEW);

    /// Not seen before, or forgotten since.
    pub(super) fn new_of(weight: u32) -> Self {
        let class = weight.max(1).ilog2() / 2;
        Self(NEW + class.min(WEIGHTS - 1) as u8)
    }

    /// What a key becomes when it is used again after `interval` ticks.
    #[inline]
    pub(super) fn used_after(self, interval: u32) -> Self {
        NEXT[self.0 as usize][level_of(interval) as usize]
    }

    /// The same, for a level of the interval.
    const fn used_at(self, level: u32) -> Self {
        if self.0 >= NEW {
            return Self::at(level, 0);
        }
        let (usual, count) = (self.0 as u32 / COUNTS, self.0 as u32 % COUNTS);
        let count = if count + 1 < COUNTS { count + 1 } else { count };
        // Towards the level of this interval by a share of the distance, rounded up.
        let share = if count + 1 < SMOOTHING {
            count + 1
        } else {
            SMOOTHING
        };
        if level > usual {
            Self::at(usual + (level - usual).div_ceil(share), count)
        } else {
            Self::at(usual - (usual - level).div_ceil(share), count)
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "below `NEW`")]
    const fn at(level: u32, count: u32) -> Self {
        Self((level * COUNTS + count) as u8)
    }

    /// The numbers of kinds in groups that resemble each other.
    pub(super) fn groups() -> impl Iterator<Item = std::ops::Range<usize>> {
        let known = (0..Self::NEW.index()).step_by(CLASSES as usize);
        known
            .map(|first| first..first + CLASSES as usize)
            .chain(std::iter::once(Self::NEW.index()..Self::COUNT))
    }

    /// The number of the kind when learning.
    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(INDEX[self.0 as usize])
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most `COUNT`")]
    const fn index_of(self) -> u8 {
        if self.0 >= NEW {
            return (LEVELS * CLASSES) as u8 + (self.0 - NEW);
        }
        let (level, count) = (self.0 as u32 / COUNTS, self.0 as u32 % COUNTS);
        let class = (count + 1).next_power_of_two().ilog2();
        let class = if class < CLASSES { class } else { CLASSES - 1 };
        (level * CLASSES + class) as u8
    }
}

/// [`Kind::used_at`] of every kind and level.
static NEXT: [[Kind; LEVELS as usize]; 256] = {
    let mut next = [[Kind::NEW; LEVELS as usize]; 256];
    let mut at = 0;
    while at < 256 * LEVELS {
        let (kind, level) = (at / LEVELS, at % LEVELS);
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let after = Kind(kind as u8).used_at(level);
        next[kind as usize][level as usize] = after;
        at += 1;
    }
    next
};

/// [`Kind::index_of`] of every kind.
static INDEX: [u8; 256] = {
    let mut index = [0; 256];
    let mut kind = 0;
    while kind < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let of_kind = Kind(kind as u8).index_of();
        index[kind] = of_kind;
        kind += 1;
    }
    index
};

/// The half octave of an interval.
#[inline]
fn level_of(interval: u32) -> u32 {
    let interval = interval.max(1);
    let octave = interval.ilog2();
    let half = (u64::from(interval) << 1 >> octave) & 1;
    (2 * octave + u32::from(half == 1)).min(LEVELS - 1)
}

/// What is known of an entry, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note(u32);

/// Bits of the kind; the tick is above.
const KIND_BITS: u32 = 8;
const KIND_MASK: u32 = (1 << KIND_BITS) - 1;
/// A note fits beside a deadline.
const NOTE_MASK: u32 = (1 << NOTE_BITS) - 1;

impl Note {
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

    /// The kind of key.
    #[inline]
    pub(super) fn kind(self) -> Kind {
        Kind((self.0 & KIND_MASK) as u8)
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

    /// The age of a note that was packed, if that is less than a wrap of `bits`.
    pub(super) fn age_of_packed(packed: u32, bits: u32, now: u32) -> u32 {
        now.wrapping_sub(packed >> KIND_BITS) & ((1 << bits) - 1)
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
        let mut seen = Vec::new();
        for interval in [8, 8, 8, 8, 1, 100_000, 100_000, 100_000, 100_000, 100_000] {
            kind = kind.used_after(interval);
            seen.push((kind.0 / 15, kind.0 % 15, kind.index() % 5));
        }
        let levels: Vec<u8> = seen.iter().map(|(level, ..)| *level).collect();
        assert_eq!(levels, [6, 6, 6, 6, 4, 7, 9, 11, 12, 13]);
        let classes: Vec<usize> = seen.iter().map(|(.., class)| *class).collect();
        assert_eq!(classes, [0, 1, 2, 2, 3, 3, 3, 3, 4, 4]);
        assert!(seen.iter().map(|(_, count, _)| *count).eq(0..10));
        (0..20).for_each(|_| kind = kind.used_after(1));
        assert_eq!((kind.0, kind.index()), (14, 4), "counting ends");
        assert_eq!(
            Kind::groups().flatten().collect::<Vec<_>>(),
            (0..95).collect::<Vec<_>>()
        );
    }

    #[test]
    fn new_keys_are_told_apart_by_weight() {
        let classes = [0, 1, 3, 4, 15, 16, 1 << 28, u32::MAX].map(Kind::new_of);
        assert_eq!(classes.map(Kind::index), [80, 80, 80, 81, 81, 82, 94, 94]);
        assert!(
            classes
                .iter()
                .all(|kind| kind.used_after(1) == Kind::NEW.used_after(1))
        );
        let note = Note::new(Kind::new_of(u32::MAX), 5);
        assert_eq!(Note::unpacked(note.packed(13), 13, 5), note);
    }

    #[test]
    fn ages_survive_a_wrap_of_the_clock() {
        let last = (1 << (NOTE_BITS - KIND_BITS)) - 3;
        let note = Note::new(Kind::NEW, last);
        assert_eq!(note.age(last.wrapping_add(10)), 10);
        assert_eq!(note.kind(), Kind::NEW);
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
            assert!(packed != 0 && packed < 1 << 21);
            let note = Note::unpacked(packed, 13, now);
            assert_eq!((note.kind(), note.age(now)), (kind, now - then));
        }
    }
}
