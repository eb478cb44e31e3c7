//! Gives ranks to entries.

use super::{Policy, lfu};
use crate::expiry::NEVER;
use crate::sync::{AtomicU64, Relaxed};

/// The rank of nothing: above every entry.
pub(crate) const NO_RANK: u64 = u64::MAX;

/// Half-life of a use under `lfu`, at least: short runs never feel it.
const HALF_LIFE: u64 = 1 << 20;
/// Half-life in turnovers of the cache, once that is longer.
const HALF_LIFE_TURNOVERS: u64 = 16;

/// Deadlines are above this bit under `ttl`, and ties are broken below it.
const TIE_BITS: u32 = 23;
/// Set in the ranks under `ttl` of entries that do not expire.
const EVERLASTING: u64 = 1 << 63;

/// A policy with the counter that tells which use came first.
#[derive(Debug)]
pub(crate) struct Order {
    policy: Policy,
    uses: AtomicU64,
    half_life: AtomicU64,
}

impl Order {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            uses: AtomicU64::new(0),
            half_life: AtomicU64::new(HALF_LIFE),
        }
    }

    /// The rank of an entry stored now.
    pub(super) fn stored(&self, deadline: u64) -> u64 {
        let now = self.tick();
        match self.policy {
            Policy::Ttl => by_deadline(deadline, now),
            _ => now,
        }
    }

    /// The rank of an entry whose value is replaced now.
    pub(super) fn replaced(&self, rank: u64, deadline: u64) -> u64 {
        match self.policy {
            Policy::Lfu => lfu::used(rank, self.tick(), self.half_life.load(Relaxed)),
            _ => self.stored(deadline),
        }
    }

    /// The rank of an entry that gets another deadline.
    pub(super) fn retimed(&self, rank: u64, deadline: u64) -> u64 {
        match self.policy {
            Policy::Ttl => self.stored(deadline),
            _ => rank,
        }
    }

    /// Whether a hit changes a rank.
    pub(super) fn minds_hits(&self) -> bool {
        matches!(self.policy, Policy::Lru | Policy::Lfu)
    }

    /// The rank of an entry after a hit.
    #[inline]
    pub(super) fn used(&self, rank: u64) -> u64 {
        match self.policy {
            Policy::Lru => self.tick(),
            Policy::Lfu => lfu::used(rank, self.tick(), self.half_life.load(Relaxed)),
            _ => rank,
        }
    }

    /// The rank of an entry whose deadline a hit has postponed.
    pub(super) fn postponed(&self, rank: u64, deadline: u64) -> u64 {
        match self.policy {
            Policy::Ttl => by_deadline(deadline, rank),
            _ => rank,
        }
    }

    /// Lets uses age in proportion to a cache that has grown to `entries`.
    pub(super) fn grown_to(&self, entries: u64) {
        let wanted = entries.saturating_mul(HALF_LIFE_TURNOVERS);
        if self.policy == Policy::Lfu && wanted > self.half_life.load(Relaxed) {
            self.half_life
                .fetch_max(wanted.next_power_of_two(), Relaxed);
        }
    }

    fn tick(&self) -> u64 {
        self.uses.fetch_add(1, Relaxed)
    }
}

fn by_deadline(deadline: u64, now: u64) -> u64 {
    if deadline == NEVER {
        EVERLASTING | now
    } else {
        // The tie-breaker wraps after 8 million entries with the same deadline.
        (deadline << TIE_BITS) | (now & ((1 << TIE_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expiry::LATEST;

    // covers: W2
    #[test]
    fn under_ttl_the_soonest_end_ranks_lowest_and_no_end_highest() {
        let order = Order::new(Policy::Ttl);
        let ranks = [5, 5, 6, LATEST, NEVER, NEVER].map(|deadline| order.stored(deadline));
        assert!(ranks.is_sorted() && ranks[5] < NO_RANK, "{ranks:?}");
        assert!(order.stored(4) < ranks[0]);
    }

    #[test]
    fn only_lru_and_lfu_mind_hits() {
        for policy in [Policy::Lru, Policy::Lfu, Policy::Fifo, Policy::Ttl] {
            let order = Order::new(policy);
            let rank = order.stored(NEVER);
            assert_eq!(order.used(rank) > rank, order.minds_hits(), "{policy}");
        }
    }
}
