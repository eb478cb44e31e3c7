//! What one shard adds to the notes on its entries: the time, and notes on some keys
//! that left it.
//!
//! A victim is the lowest score among the entries of one group, the entry stored last,
//! and the next lowest of the time before; looking at more of them gains little, and
//! looking at all would cost too much. The groups take turns: keys are spread over them
//! by their hashes, so that each is a random sample, and neighbours are in the
//! processor's cache.

use std::sync::Arc;

use super::Adaptive;
use super::memory::Memory;
use super::note::{Kind, Note};
use crate::policy::Gone;
use crate::shard::{Groups, Moves};

/// In a shard of up to this many groups all of them are looked at.
const FEW: usize = 9;
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

/// What a shard needs to make notes and to pick victims by them.
#[derive(Debug)]
pub(crate) struct Notes {
    now: u32,
    /// Uses until the clock is looked at again.
    uses_left: u32,
    /// Whether these uses are noted.
    is_noting: bool,
    shared: Arc<Adaptive>,
    departed: Memory,
    /// The entry stored last: it is always looked at, so that one that is not
    /// worth its room gives way to the next.
    newest: Option<u32>,
    /// The next lowest when the last victim was picked, to be looked at again.
    runner_up: Option<u32>,
    /// The group that gave a victim last.
    turn: usize,
}

impl Notes {
    pub(crate) fn new(shared: Arc<Adaptive>) -> Self {
        Self {
            now: 0,
            uses_left: 1,
            is_noting: true,
            shared,
            departed: Memory::default(),
            newest: None,
            runner_up: None,
            turn: 0,
        }
    }

    /// An entry was hit.
    ///
    /// Uses within one tick are one use: they tell nothing about the next.
    #[inline]
    pub(crate) fn used(&mut self, slot: u32, hash: u32, notes: &mut Groups) -> Option<Observation> {
        self.count();
        if !self.is_noting {
            return None;
        }
        let before = Note::from_bits(notes.note(slot));
        let age = before.age(self.now);
        if age == 0 {
            return None;
        }
        let note = Note::new(before.kind().used_after(age), self.now);
        notes.set_note(slot, note.bits());
        self.observation(hash, note)
    }

    /// What the sample should hear of a use that led to this note.
    #[inline]
    fn observation(&self, hash: u32, note: Note) -> Option<Observation> {
        let now = self.now;
        let is_sampled = self.shared.is_sampled(hash);
        is_sampled.then_some(Observation { hash, note, now })
    }

    /// An entry was stored in a slot that was free.
    pub(crate) fn stored(
        &mut self,
        slot: u32,
        hash: u32,
        weight: u32,
        notes: &mut Groups,
    ) -> Option<Observation> {
        self.count();
        self.newest = Some(slot);
        self.shared.note_stored();
        let before = self.departed.take(hash, self.now);
        let kind = before.map(|note| note.kind().used_after(note.age(self.now)));
        let note = Note::new(kind.unwrap_or_else(|| Kind::new_of(weight)), self.now);
        notes.set_note(slot, note.bits());
        self.observation(hash, note)
    }

    /// An entry went; one that was evicted is remembered for a while.
    pub(crate) fn removed(&mut self, slot: u32, gone: Gone) {
        if self.newest == Some(slot) {
            self.newest = None;
        }
        if !gone.evicted {
            return;
        }
        let least = REMEMBERED_AT_LEAST / self.shared.shards();
        let wanted = (REMEMBERED * gone.left).max(least);
        if self.departed.capacity() < wanted / 2 {
            self.departed = Memory::new(wanted);
        }
        let note = Note::from_bits(gone.note);
        self.departed.put(gone.hash, note, self.now);
    }

    /// All entries have other slots now.
    pub(crate) fn moved(&mut self, moves: &Moves) {
        self.newest = self.newest.map(|slot| moves.of(slot));
        self.runner_up = None;
    }

    /// The slot to evict, if any may be.
    pub(crate) fn victim(&mut self, notes: &Groups, pinned: &[u32]) -> Option<u32> {
        let groups = notes.count();
        let mut lowest = Lowest([Lowest::NONE; 2]);
        if groups > FEW {
            let known = [self.newest, self.runner_up].into_iter().flatten();
            let known = known.filter(|slot| notes.is_used(*slot));
            let known = known.map(|slot| (slot, notes.note(slot)));
            self.consider(known, pinned, &mut lowest);
            self.turn = if self.turn + 1 < groups {
                self.turn + 1
            } else {
                0
            };
            self.consider(notes.notes(self.turn), pinned, &mut lowest);
        }
        if lowest.slots()[0].is_none() {
            // It is small, or most of its slots are free: look at all.
            let all = (0..groups).flat_map(|group| notes.notes(group));
            self.consider(all, pinned, &mut lowest);
        }
        let [slot, runner_up] = lowest.slots();
        self.runner_up = runner_up;
        slot
    }

    #[inline]
    fn consider(
        &self,
        noted: impl Iterator<Item = (u32, u32)>,
        pinned: &[u32],
        lowest: &mut Lowest,
    ) {
        for (slot, note) in noted {
            let score = self.shared.scores.of(Note::from_bits(note), self.now);
            if pinned.is_empty() || !pinned.contains(&slot) {
                lowest.add(score, slot);
            }
        }
    }

    /// What keeping an entry with this note is worth.
    pub(crate) fn score(&self, note: u32) -> u64 {
        let note = Note::from_bits(note);
        u64::from(self.shared.scores.of(note, self.now))
    }

    /// Counts a use, and looks at the clock now and then.
    #[inline]
    fn count(&mut self) {
        self.uses_left -= 1;
        if self.uses_left == 0 {
            self.look_at_clock();
        }
    }

    #[cold]
    fn look_at_clock(&mut self) {
        let batch = self.shared.pass();
        self.uses_left = batch.uses;
        self.now = batch.tick;
        self.is_noting = batch.is_noted;
    }
}

/// The two lowest scores so far, each above its slot: comparing them takes no branches,
/// which nobody could foresee.
struct Lowest([u64; 2]);

impl Lowest {
    const NONE: u64 = u64::MAX;

    #[inline]
    fn add(&mut self, score: u32, slot: u32) {
        let new = u64::from(score) << u32::BITS | u64::from(slot);
        let [first, second] = self.0;
        if new != first {
            self.0 = [first.min(new), second.min(first.max(new))];
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the slot is below")]
    fn slots(&self) -> [Option<u32>; 2] {
        self.0
            .map(|lowest| (lowest != Self::NONE).then_some(lowest as u32))
    }
}
