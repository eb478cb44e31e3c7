//! Ranks of the entries of one shard: for the policies that are exact over the
//! whole cache.
//!
//! The entry of the lowest rank goes. Ranks only grow through use, so a rank seen
//! earlier is a lower bound of the rank now: one bound per block of slots is kept,
//! and the victim is found by looking at the block with the lowest.

use std::sync::Arc;

use super::order::{NO_RANK, Order};
use crate::bounds::Bounds;
use crate::shard::Moves;

/// Slots per bound.
const BLOCK: usize = 64;

/// Ranks by slot.
#[derive(Debug)]
pub(crate) struct Ranks {
    minds_hits: bool,
    order: Arc<Order>,
    /// Free slots have `NO_RANK`.
    by_slot: Vec<u64>,
    lowest: Bounds,
}

impl Ranks {
    pub(super) fn new(order: Arc<Order>) -> Self {
        Self {
            minds_hits: order.minds_hits(),
            order,
            by_slot: Vec::new(),
            lowest: Bounds::default(),
        }
    }

    #[inline]
    pub(crate) fn used(&mut self, slot: u32) {
        if self.minds_hits {
            let rank = &mut self.by_slot[slot as usize];
            *rank = self.order.used(*rank);
        }
    }

    pub(crate) fn stored(&mut self, slot: u32, deadline: u64) {
        let wanted = (slot as usize + 1).next_multiple_of(BLOCK);
        if self.by_slot.len() < wanted {
            self.by_slot.resize(wanted, NO_RANK);
        }
        self.set(slot, self.order.stored(deadline));
    }

    pub(crate) fn replaced(&mut self, slot: u32, deadline: u64) {
        let rank = self.by_slot[slot as usize];
        self.set(slot, self.order.replaced(rank, deadline));
    }

    /// A hit postponed the deadline.
    pub(crate) fn postponed(&mut self, slot: u32, deadline: u64) {
        let rank = &mut self.by_slot[slot as usize];
        *rank = self.order.postponed(*rank, deadline);
    }

    /// The entry got another deadline.
    pub(crate) fn retimed(&mut self, slot: u32, deadline: u64) {
        let rank = self.by_slot[slot as usize];
        self.set(slot, self.order.retimed(rank, deadline));
    }

    /// Bounds stay: they are lower bounds, and the next look corrects them.
    pub(crate) fn removed(&mut self, slot: u32) {
        self.by_slot[slot as usize] = NO_RANK;
    }

    /// All entries have other slots now.
    pub(crate) fn moved(&mut self, moves: &Moves) {
        self.by_slot = moves.column(&self.by_slot, NO_RANK);
        let whole_blocks = self.by_slot.len().next_multiple_of(BLOCK);
        let missing = whole_blocks - self.by_slot.len();
        self.by_slot.reserve_exact(missing);
        self.by_slot.resize(whole_blocks, NO_RANK);
        self.lowest = Bounds::default();
        for block in 0..block_of(u32::try_from(whole_blocks).expect("slots are below 2^31")) {
            let rank = self.lowest_in(block, &[]).map(|(rank, _)| rank);
            self.lowest.set(block, rank);
        }
    }

    pub(crate) fn forget(&mut self) {
        self.by_slot = Vec::new();
        self.lowest = Bounds::default();
    }

    /// The entry with the lowest rank that may go; afterwards the bound is its rank.
    pub(crate) fn victim(&mut self, pinned: &[u32]) -> Option<(u64, u32)> {
        loop {
            let (bound, block) = self.lowest.min()?;
            let found = self.lowest_in(block, pinned);
            let rank = found.map(|(rank, _)| rank);
            if rank != Some(bound) {
                self.lowest.set(block, rank);
            }
            if found.is_some() && self.lowest.min().is_some_and(|(_, first)| first == block) {
                return found;
            }
        }
    }

    /// A lower bound of the ranks that may go.
    pub(crate) fn bound(&self) -> u64 {
        self.lowest.min().map_or(NO_RANK, |(bound, _)| bound)
    }

    /// An entry that was pinned may go again.
    pub(crate) fn unpinned(&mut self, slot: u32) {
        self.set(slot, self.by_slot[slot as usize]);
    }

    pub(crate) fn rank(&self, slot: u32) -> u64 {
        self.by_slot[slot as usize]
    }

    /// Panics if an entry's rank is below the bound of its block.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn validate(&self, slot: u32) {
        let (rank, bound) = (self.rank(slot), self.lowest.get(block_of(slot)));
        assert!(
            bound.is_some_and(|bound| bound <= rank),
            "{bound:?} above {rank}"
        );
    }

    fn set(&mut self, slot: u32, rank: u64) {
        self.by_slot[slot as usize] = rank;
        if rank != NO_RANK {
            self.lowest.lower(block_of(slot), rank);
        }
    }

    fn lowest_in(&self, block: u32, pinned: &[u32]) -> Option<(u64, u32)> {
        let from = block as usize * BLOCK;
        let ranks = &self.by_slot[from..from + BLOCK];
        let slot_at = |place: usize| u32::try_from(from + place).expect("slots are below 2^23");
        // Free slots have `NO_RANK`: two plain loops are faster than a careful one.
        let lowest = ranks
            .iter()
            .copied()
            .min()
            .filter(|rank| *rank != NO_RANK)?;
        let place = ranks.iter().position(|rank| *rank == lowest)?;
        if !pinned.contains(&slot_at(place)) {
            return Some((lowest, slot_at(place)));
        }
        let ranked = ranks.iter().enumerate();
        ranked
            .map(|(place, rank)| (*rank, slot_at(place)))
            .filter(|(rank, slot)| *rank != NO_RANK && !pinned.contains(slot))
            .min()
    }
}

fn block_of(slot: u32) -> u32 {
    slot / 64
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::*;
    use crate::expiry::NEVER;

    fn ranks(policy: Policy) -> Ranks {
        Ranks::new(Arc::new(Order::new(policy)))
    }

    #[test]
    fn the_least_recently_used_goes_first_across_blocks() {
        let mut ranks = ranks(Policy::Lru);
        (0..200).for_each(|slot| ranks.stored(slot, NEVER));
        for slot in [0, 70, 1] {
            ranks.used(slot);
        }
        let mut gone = Vec::new();
        while let Some((rank, slot)) = ranks.victim(&[]) {
            assert_eq!(rank, ranks.bound());
            ranks.removed(slot);
            gone.push(slot);
        }
        assert_eq!(gone.len(), 200);
        assert_eq!(gone[197..], [0, 70, 1]);
    }

    #[test]
    fn the_pinned_do_not_go_until_they_are_unpinned() {
        let mut ranks = ranks(Policy::Fifo);
        (0..3).for_each(|slot| ranks.stored(slot, NEVER));
        assert_eq!(ranks.victim(&[0, 2]).map(|(_, slot)| slot), Some(1));
        assert_eq!(ranks.victim(&[0, 1, 2]), None);
        ranks.unpinned(0);
        assert_eq!(ranks.victim(&[]).map(|(_, slot)| slot), Some(0));
    }
}
