//! `tinylfu`: W-TinyLFU, whose window grows and shrinks by hill climbing.
//!
//! New entries pass through a window in order of use. What leaves it competes with
//! the oldest entry of the main part: the one that was asked for less often goes. In
//! the main part, entries used again are protected. How large the window should be is
//! found by trying: a step in one direction, and back if fewer requests hit.

use super::frequency::Frequencies;
use super::list::{Links, List, NOBODY};
use crate::shard::Moves;

/// The protected part of the main part.
const PROTECTED_SHARE: f64 = 0.8;
/// The window's share at first.
const FIRST_WINDOW: f64 = 0.01;
/// The first step of the climb, as a share of the entries.
const STEP: f64 = 0.0625;
/// How much smaller each step is than the one before.
const STEP_DECAY: f64 = 0.98;
/// A change of the hit ratio that starts the climb anew.
const RESTART: f64 = 0.05;
/// Requests between two steps, per entry.
const REQUESTS_PER_STEP: u64 = 10;
/// A newcomer asked for more often than this wins now and then even if the other
/// was asked for more: else crafted keys could keep it out.
const WARM: u8 = 5;

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Window,
    Probation,
    Protected,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    part: Part,
}

impl Entry {
    /// What stands where no entry is.
    const NONE: Self = Self {
        hash: 0,
        part: Part::Window,
    };
}

/// The entries of one shard in three lists.
#[derive(Debug, Default)]
pub(crate) struct TinyLfu {
    links: Links,
    lists: [List; 3],
    entries: Vec<Entry>,
    frequencies: Frequencies,
    climb: Climb,
    losses: u32,
}

impl TinyLfu {
    pub(crate) fn used(&mut self, slot: u32) {
        let Entry { hash, part } = self.entries[slot as usize];
        self.frequencies.add(hash);
        self.climb.hits += 1;
        if part == Part::Window {
            self.move_to(slot, Part::Window);
            return;
        }
        self.move_to(slot, Part::Protected);
        if self.lists[Part::Protected as usize].len() > self.climb.most_protected() {
            let oldest = self.lists[Part::Protected as usize].back();
            self.move_to(oldest, Part::Probation);
        }
    }

    pub(crate) fn stored(&mut self, slot: u32, hash: u32) {
        self.frequencies.grow_to(self.len() + 1);
        self.frequencies.add(hash);
        self.climb.misses += 1;
        let number = slot as usize;
        let entry = Entry {
            hash,
            part: Part::Window,
        };
        if number >= self.entries.len() {
            self.entries.resize(number + 1, Entry::NONE);
        }
        self.entries[number] = entry;
        self.lists[Part::Window as usize].push_front(&mut self.links, slot);
    }

    pub(crate) fn removed(&mut self, slot: u32) {
        let part = self.entries[slot as usize].part;
        self.lists[part as usize].remove(&mut self.links, slot);
    }

    /// All entries have other slots now.
    pub(crate) fn moved(&mut self, moves: &Moves) {
        self.links.moved(moves);
        self.lists.iter_mut().for_each(|list| list.moved(moves));
        self.entries = moves.column(&self.entries, Entry::NONE);
    }

    /// The entry to evict, if any may be.
    pub(crate) fn victim(&mut self, pinned: &[u32]) -> Option<u32> {
        let entries = self.len();
        if self.climb.is_due(entries) {
            self.climb.step();
            while self.lists[Part::Protected as usize].len() > self.climb.most_protected() {
                let oldest = self.lists[Part::Protected as usize].back();
                self.move_to(oldest, Part::Probation);
            }
        }
        // What the window is too small for competes for a place in the main part.
        let mut newcomer = None;
        while self.lists[Part::Window as usize].len() > self.climb.window() {
            let slot = self.lists[Part::Window as usize].back();
            self.move_to(slot, Part::Probation);
            newcomer = Some(slot);
        }
        let parts = [Part::Probation, Part::Protected, Part::Window];
        let may_go = |slot: &u32| !pinned.contains(slot);
        let oldest = parts.into_iter().find_map(|part| {
            self.lists[part as usize]
                .oldest_first(&self.links)
                .find(may_go)
        })?;
        match newcomer.filter(may_go) {
            Some(newcomer) if newcomer != oldest && !self.wins(newcomer, oldest) => Some(newcomer),
            _ => Some(oldest),
        }
    }

    /// All entries, roughly in the order in which they would go.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        [Part::Probation, Part::Window, Part::Protected]
            .into_iter()
            .flat_map(|part| self.lists[part as usize].oldest_first(&self.links))
            .collect()
    }

    fn len(&self) -> usize {
        self.lists.iter().map(List::len).sum()
    }

    fn wins(&mut self, newcomer: u32, other: u32) -> bool {
        let [new, old] =
            [newcomer, other].map(|slot| self.frequencies.of(self.entries[slot as usize].hash));
        self.losses += u32::from(new <= old && new > WARM);
        new > old || (new > WARM && self.losses.is_multiple_of(128))
    }

    fn move_to(&mut self, slot: u32, part: Part) {
        debug_assert_ne!(slot, NOBODY, "only entries move");
        let entry = &mut self.entries[slot as usize];
        let from = std::mem::replace(&mut entry.part, part);
        self.lists[from as usize].remove(&mut self.links, slot);
        self.lists[part as usize].push_front(&mut self.links, slot);
    }
}

/// How large the window is, and which way it was moved last.
#[derive(Debug)]
struct Climb {
    hits: u64,
    misses: u64,
    entries: usize,
    window_share: f64,
    step: f64,
    hit_ratio: f64,
}

impl Default for Climb {
    fn default() -> Self {
        Self {
            hits: 0,
            misses: 0,
            entries: 0,
            window_share: FIRST_WINDOW,
            step: STEP,
            hit_ratio: 0.0,
        }
    }
}

impl Climb {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of entries"
    )]
    fn window(&self) -> usize {
        ((self.entries as f64 * self.window_share) as usize).max(1)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of entries"
    )]
    fn most_protected(&self) -> usize {
        (self.entries.saturating_sub(self.window()) as f64 * PROTECTED_SHARE) as usize
    }

    fn is_due(&mut self, entries: usize) -> bool {
        self.entries = entries;
        self.hits + self.misses >= REQUESTS_PER_STEP * entries as u64
    }

    /// Moves on in the same direction if the last step helped, else back.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn step(&mut self) {
        let hit_ratio = self.hits as f64 / (self.hits + self.misses) as f64;
        let change = hit_ratio - self.hit_ratio;
        let towards = if change >= 0.0 { self.step } else { -self.step };
        self.window_share = (self.window_share + towards).clamp(0.0, 1.0);
        self.step = if change.abs() >= RESTART {
            STEP.copysign(towards)
        } else {
            towards * STEP_DECAY
        };
        (self.hits, self.misses, self.hit_ratio) = (0, 0, hit_ratio);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: u32) -> u32 {
        (key + 1).wrapping_mul(0x9E37_79B9)
    }

    #[test]
    fn what_is_asked_for_often_is_not_displaced_by_what_comes_once() {
        let mut cache = TinyLfu::default();
        for slot in 0..100 {
            cache.stored(slot, hash(slot));
        }
        for _ in 0..5 {
            (0..50).for_each(|slot| cache.used(slot));
        }
        for key in 1_000..1_200 {
            let slot = cache.victim(&[]).expect("there is one");
            assert!(slot >= 50, "{slot} is used often");
            cache.removed(slot);
            cache.stored(slot, hash(key));
        }
        assert_eq!(cache.in_order().len(), 100);
    }

    #[test]
    fn the_window_follows_the_hit_ratio() {
        let mut climb = Climb::default();
        climb.is_due(1_000);
        let first = climb.window();
        (climb.hits, climb.misses) = (5_000, 5_000);
        assert!(climb.is_due(1_000));
        climb.step();
        let wider = climb.window();
        assert!(wider > first);
        (climb.hits, climb.misses) = (4_000, 6_000);
        climb.step();
        assert!(climb.window() < wider, "it went the wrong way");
    }

    #[test]
    fn the_pinned_do_not_go() {
        let mut cache = TinyLfu::default();
        (0..3).for_each(|slot| cache.stored(slot, hash(slot)));
        assert_eq!(cache.victim(&[0, 2]), Some(1));
        assert_eq!(cache.victim(&[0, 1, 2]), None);
    }
}
