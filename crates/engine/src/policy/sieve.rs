//! `sieve`: entries in the order they came; a hand walks from the oldest on and
//! takes the first that was not used since it last came by.
//!
//! A hit sets one flag. Entries that were used keep their place.

use super::list::{Links, List, NOBODY};
use crate::shard::Moves;

/// The entries of one shard in a row, with a hand.
#[derive(Debug)]
pub(crate) struct Sieve {
    links: Links,
    row: List,
    used: Vec<bool>,
    hand: u32,
}

impl Default for Sieve {
    fn default() -> Self {
        Self {
            links: Links::default(),
            row: List::default(),
            used: Vec::new(),
            hand: NOBODY,
        }
    }
}

impl Sieve {
    #[inline]
    pub(crate) fn used(&mut self, slot: u32) {
        self.used[slot as usize] = true;
    }

    pub(crate) fn stored(&mut self, slot: u32) {
        self.row.push_front(&mut self.links, slot);
        let wanted = slot as usize + 1;
        if self.used.len() < wanted {
            self.used.resize(wanted, false);
        }
        self.used[slot as usize] = false;
    }

    pub(crate) fn removed(&mut self, slot: u32) {
        if self.hand == slot {
            self.hand = self.links.before(slot);
        }
        self.row.remove(&mut self.links, slot);
    }

    /// All entries have other slots now.
    pub(crate) fn moved(&mut self, moves: &Moves) {
        self.links.moved(moves);
        self.row.moved(moves);
        self.used = moves.column(&self.used, false);
        self.hand = moves.of(self.hand);
    }

    /// The first entry from the hand on that was not used and may go.
    pub(crate) fn victim(&mut self, pinned: &[u32]) -> Option<u32> {
        // The first round clears the flags, so the second finds one.
        for _ in 0..2 * self.row.len() {
            if self.hand == NOBODY {
                self.hand = self.row.back();
            }
            let slot = self.hand;
            let was_used = std::mem::take(&mut self.used[slot as usize]);
            if !was_used && !pinned.contains(&slot) {
                return Some(slot);
            }
            self.hand = self.links.before(slot);
        }
        None
    }

    /// All entries, roughly in the order in which they would go.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.row.oldest_first(&self.links).collect();
        let hand = slots.iter().position(|slot| *slot == self.hand);
        slots.rotate_left(hand.unwrap_or(0));
        slots.sort_by_key(|slot| self.used[*slot as usize]);
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_entries_survive_one_passage_in_place() {
        let mut sieve = Sieve::default();
        (0..6).for_each(|slot| sieve.stored(slot));
        for slot in [0, 1, 3] {
            sieve.used(slot);
        }
        let mut gone = Vec::new();
        while let Some(slot) = sieve.victim(&[]) {
            assert_eq!(sieve.in_order()[0], slot);
            sieve.removed(slot);
            gone.push(slot);
        }
        assert_eq!(gone, [2, 4, 5, 0, 1, 3]);
    }

    #[test]
    fn the_pinned_do_not_go() {
        let mut sieve = Sieve::default();
        (0..3).for_each(|slot| sieve.stored(slot));
        assert_eq!(sieve.victim(&[0, 2]), Some(1));
        assert_eq!(sieve.victim(&[0, 1, 2]), None);
    }
}
