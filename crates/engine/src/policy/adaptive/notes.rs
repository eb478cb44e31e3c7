//! The notes on the entries of one shard, and on some that left it.
//!
//! A victim is the lowest score among a few entries picked at random; looking at
//! more of them gains little, and looking at all would cost too much.

use std::ops::Range;
use std::sync::Arc;

use super::Adaptive;
use super::memory::Memory;
use super::note::{Kind, Note};

/// Neighbours looked at together: half a cache line of notes.
const GROUP: usize = 8;
/// Groups looked at for one victim.
const GROUPS: usize = 4;
/// In a shard of up to this many slots all of them are looked at.
const FEW: usize = 128;
/// Keys remembered after they left, per entry present.
const REMEMBERED: usize = 2;
/// Keys remembered at least by a cache, however small.
const REMEMBERED_AT_LEAST: usize = 1024;

/// A use that the sample should hear of, outside the shard's lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    pub(super) hash: u32,
    pub(super) note: Note,
    pub(super) now: u32,
}

/// What the shard knows of its entries, by slot, but for their last hits: a hit would
/// have to wait for the line of its slot.
#[derive(Debug)]
pub(crate) struct Notes {
    by_slot: Vec<Note>,
    now: u32,
    /// Uses until the clock is looked at again.
    uses_left: u32,
    shared: Arc<Adaptive>,
    departed: Memory,
    /// The entry stored last: it is always looked at, so that one that is not
    /// worth its room gives way to the next.
    newest: usize,
    random: u64,
}

impl Notes {
    pub(crate) fn new(shared: Arc<Adaptive>) -> Self {
        Self {
            by_slot: Vec::new(),
            now: 0,
            uses_left: 1,
            shared,
            departed: Memory::default(),
            newest: 0,
            random: 0x9E37_79B9_7F4A_7C15,
        }
    }

    /// The new note of an entry with this note that was hit, if it changes.
    ///
    /// Uses within one tick are one use: they tell nothing about the next.
    #[inline]
    pub(crate) fn used(&mut self, slot: u32, note: u32) -> Option<u32> {
        self.count();
        let note = Note::from_bits(note);
        let age = note.age(self.now);
        if age == 0 {
            return None;
        }
        let kind = note.kind()?.used_after(age);
        let note = Note::new(kind, self.now);
        self.by_slot[slot as usize] = note;
        Some(note.bits())
    }

    /// What the sample should hear of a use that led to this note.
    #[inline]
    pub(crate) fn observation(&self, hash: u32, note: u32) -> Option<Observation> {
        let (note, now) = (Note::from_bits(note), self.now);
        let is_sampled = self.shared.is_sampled(hash);
        is_sampled.then_some(Observation { hash, note, now })
    }

    /// Notes an entry that was stored in a slot that was free, and returns the note.
    pub(crate) fn stored(&mut self, slot: u32, hash: u32) -> u32 {
        self.count();
        let wanted = (slot as usize + 1).next_multiple_of(GROUP);
        if self.by_slot.len() < wanted {
            self.by_slot.resize(wanted, Note::NONE);
        }
        self.newest = slot as usize;
        self.shared.note_stored();
        let before = self.departed.take(hash, self.now);
        let kind = before.and_then(|note| Some(note.kind()?.used_after(note.age(self.now))));
        let note = Note::new(kind.unwrap_or(Kind::NEW), self.now);
        self.by_slot[slot as usize] = note;
        note.bits()
    }

    /// Forgets an entry; one that was evicted is remembered for a while.
    pub(crate) fn removed(&mut self, slot: u32, hash: u32, evicted: bool, entries: usize) {
        // What is evicted was found by its latest note.
        let note = std::mem::replace(&mut self.by_slot[slot as usize], Note::NONE);
        if !evicted {
            return;
        }
        let least = REMEMBERED_AT_LEAST / self.shared.shards();
        let wanted = (REMEMBERED * entries).max(least);
        if self.departed.capacity() < wanted / 2 {
            self.departed = Memory::new(wanted);
        }
        self.departed.put(hash, note, self.now);
    }

    /// All entries went; what departed is still remembered.
    pub(crate) fn forget(&mut self) {
        self.by_slot = Vec::new();
        self.newest = 0;
    }

    /// The slot to evict, if any may be.
    pub(crate) fn victim(&mut self, pinned: &[u32]) -> Option<u32> {
        let groups = self.by_slot.len() / GROUP;
        let mut lowest = Lowest::NONE;
        if groups > FEW / GROUP {
            self.consider(self.newest..self.newest + 1, pinned, &mut lowest);
            for _ in 0..GROUPS {
                let group = self.random_below(groups) * GROUP;
                self.consider(group..group + GROUP, pinned, &mut lowest);
            }
        }
        if lowest.slot.is_none() {
            // It is small, or most of its slots are free: look at all.
            self.consider(0..self.by_slot.len(), pinned, &mut lowest);
        }
        lowest.slot
    }

    #[inline]
    fn consider(&self, slots: Range<usize>, pinned: &[u32], lowest: &mut Lowest) {
        for (slot, note) in slots.clone().zip(&self.by_slot[slots]) {
            let Some(score) = self.shared.scores.of(*note, self.now) else {
                continue;
            };
            #[expect(clippy::cast_possible_truncation, reason = "slots are below 2^31")]
            let slot = slot as u32;
            if score < lowest.score && (pinned.is_empty() || !pinned.contains(&slot)) {
                *lowest = Lowest {
                    score,
                    slot: Some(slot),
                };
            }
        }
    }

    /// What keeping an entry with this note is worth.
    pub(crate) fn score(&self, note: u32) -> u64 {
        let score = self.shared.scores.of(Note::from_bits(note), self.now);
        score.unwrap_or(u64::MAX)
    }

    /// Counts a use, and looks at the clock now and then.
    #[inline]
    fn count(&mut self) {
        self.uses_left -= 1;
        if self.uses_left == 0 {
            (self.now, self.uses_left) = self.shared.pass();
        }
    }

    fn random_below(&mut self, end: usize) -> usize {
        // xorshift: any spread will do.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let scaled = ((self.random >> 32) * end as u64) >> 32;
        usize::try_from(scaled).expect("below `end`")
    }
}

/// The lowest score so far, and whose it is.
struct Lowest {
    score: u64,
    slot: Option<u32>,
}

impl Lowest {
    const NONE: Self = Self {
        score: u64::MAX,
        slot: None,
    };
}
