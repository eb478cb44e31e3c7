//! One interface to all policies: what they share, and what each shard has.

use std::sync::Arc;

use super::Policy;
use super::adaptive::{Adaptive, Notes, Observation};
use super::order::{NO_RANK, Order};
use super::ranks::Ranks;
use super::s3fifo::S3Fifo;
use super::sieve::Sieve;
use super::tinylfu::TinyLfu;
use crate::shard::{Groups, Moves, Record};

/// What the shards of a cache share of its policy.
#[derive(Debug)]
pub(crate) enum Shared {
    Exact(Arc<Order>),
    Adaptive(Arc<Adaptive>),
    /// Nothing: each shard is on its own.
    Apart,
}

impl Shared {
    /// For a cache of about so many entries.
    pub(crate) fn new(policy: Policy, entries: u64, shards: usize) -> Self {
        match policy {
            _ if policy.is_exact() => Self::Exact(Arc::new(Order::new(policy))),
            Policy::Adaptive => Self::Adaptive(Arc::new(Adaptive::new(entries, shards))),
            _ => Self::Apart,
        }
    }

    /// The cache holds so many entries now.
    pub(crate) fn pace(&self, entries: u64) {
        match self {
            Self::Exact(order) => order.grown_to(entries),
            Self::Adaptive(adaptive) => adaptive.pace(entries),
            Self::Apart => {}
        }
    }

    /// Learns from a use, outside the shards' locks.
    #[cold]
    pub(crate) fn observe(&self, seen: Observation) {
        if let Self::Adaptive(adaptive) = self {
            adaptive.observe(seen);
        }
    }
}

/// What is known of an entry that went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    pub(crate) hash: u32,
    pub(crate) note: u32,
    /// It had to make room.
    pub(crate) evicted: bool,
    /// How many entries are left in the shard.
    pub(crate) left: usize,
}

/// The order of eviction among the entries of one shard, by slot.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum Ranking {
    Exact(Ranks),
    Adaptive(Notes),
    Sieve(Sieve),
    S3Fifo(S3Fifo),
    TinyLfu(TinyLfu),
}

impl Ranking {
    pub(crate) fn new(policy: Policy, shared: &Shared) -> Self {
        match (shared, policy) {
            (Shared::Exact(order), _) => Self::Exact(Ranks::new(Arc::clone(order))),
            (Shared::Adaptive(adaptive), _) => Self::Adaptive(Notes::new(Arc::clone(adaptive))),
            (Shared::Apart, Policy::S3Fifo) => Self::S3Fifo(S3Fifo::default()),
            (Shared::Apart, Policy::TinyLfu) => Self::TinyLfu(TinyLfu::default()),
            (Shared::Apart, _) => Self::Sieve(Sieve::default()),
        }
    }

    /// An entry was read; `notes` has what was noted of it.
    #[inline]
    pub(crate) fn used(&mut self, slot: u32, hash: u32, notes: &mut Groups) -> Option<Observation> {
        if let Self::Adaptive(adaptive) = self {
            return adaptive.used(slot, hash, notes);
        }
        self.used_unnoted(slot);
        None
    }

    #[inline(never)]
    fn used_unnoted(&mut self, slot: u32) {
        match self {
            Self::Exact(ranks) => ranks.used(slot),
            Self::Adaptive(_) => {}
            Self::Sieve(sieve) => sieve.used(slot),
            Self::S3Fifo(queues) => queues.used(slot),
            Self::TinyLfu(parts) => parts.used(slot),
        }
    }

    /// An entry was stored in a slot that was free.
    pub(crate) fn stored(
        &mut self,
        slot: u32,
        hash: u32,
        record: Record,
        notes: &mut Groups,
    ) -> Option<Observation> {
        match self {
            Self::Exact(ranks) => ranks.stored(slot, record.deadline),
            Self::Adaptive(adaptive) => return adaptive.stored(slot, hash, record.weight, notes),
            Self::Sieve(sieve) => sieve.stored(slot),
            Self::S3Fifo(queues) => queues.stored(slot, hash),
            Self::TinyLfu(parts) => parts.stored(slot, hash),
        }
        None
    }

    /// The value of an entry was replaced, which is a use.
    pub(crate) fn replaced(
        &mut self,
        slot: u32,
        hash: u32,
        deadline: u64,
        notes: &mut Groups,
    ) -> Option<Observation> {
        match self {
            Self::Exact(ranks) => {
                ranks.replaced(slot, deadline);
                None
            }
            _ => self.used(slot, hash, notes),
        }
    }

    /// An entry got another deadline.
    pub(crate) fn retimed(&mut self, slot: u32, deadline: u64) {
        if let Self::Exact(ranks) = self {
            ranks.retimed(slot, deadline);
        }
    }

    /// A hit postponed an entry's deadline.
    pub(crate) fn postponed(&mut self, slot: u32, deadline: u64) {
        if let Self::Exact(ranks) = self {
            ranks.postponed(slot, deadline);
        }
    }

    /// An entry went.
    pub(crate) fn removed(&mut self, slot: u32, gone: Gone) {
        match self {
            Self::Exact(ranks) => ranks.removed(slot),
            Self::Adaptive(adaptive) => adaptive.removed(slot, gone),
            Self::Sieve(sieve) => sieve.removed(slot),
            Self::S3Fifo(queues) => queues.removed(slot, gone.hash, gone.evicted),
            Self::TinyLfu(parts) => parts.removed(slot),
        }
    }

    /// All entries have other slots now.
    pub(crate) fn moved(&mut self, moves: &Moves) {
        match self {
            Self::Exact(ranks) => ranks.moved(moves),
            Self::Adaptive(adaptive) => adaptive.moved(moves),
            Self::Sieve(sieve) => sieve.moved(moves),
            Self::S3Fifo(queues) => queues.moved(moves),
            Self::TinyLfu(parts) => parts.moved(moves),
        }
    }

    /// All entries went; gives memory back.
    pub(crate) fn forget(&mut self) {
        match self {
            Self::Exact(ranks) => ranks.forget(),
            Self::Adaptive(_) => {}
            Self::Sieve(sieve) => *sieve = Sieve::default(),
            Self::S3Fifo(queues) => *queues = S3Fifo::default(),
            Self::TinyLfu(parts) => *parts = TinyLfu::default(),
        }
    }

    /// The entry to evict and its rank, if any may go; the rank is zero where
    /// shards do not compare.
    pub(crate) fn victim(&mut self, notes: &Groups, pinned: &[u32]) -> Option<(u64, u32)> {
        let slot = match self {
            Self::Exact(ranks) => return ranks.victim(pinned),
            Self::Adaptive(adaptive) => adaptive.victim(notes, pinned),
            Self::Sieve(sieve) => sieve.victim(pinned),
            Self::S3Fifo(queues) => queues.victim(pinned),
            Self::TinyLfu(parts) => parts.victim(pinned),
        };
        slot.map(|slot| (0, slot))
    }

    /// A lower bound of the ranks in a shard of which so many entries may go.
    pub(crate) fn bound(&self, unpinned: usize) -> u64 {
        match self {
            Self::Exact(ranks) => ranks.bound(),
            _ if unpinned == 0 => NO_RANK,
            _ => 0,
        }
    }

    /// An entry that was pinned may go again.
    pub(crate) fn unpinned(&mut self, slot: u32) {
        if let Self::Exact(ranks) = self {
            ranks.unpinned(slot);
        }
    }

    /// Numbers for these slots, the lower to go the sooner, about.
    pub(crate) fn places(&self, slots: &[u32], notes: &Groups) -> Vec<u64> {
        let rows = match self {
            Self::Exact(ranks) => return slots.iter().map(|slot| ranks.rank(*slot)).collect(),
            Self::Adaptive(adaptive) => {
                let notes = slots.iter().map(|slot| notes.note(*slot));
                return notes.map(|note| adaptive.score(note)).collect();
            }
            Self::Sieve(sieve) => sieve.in_order(),
            Self::S3Fifo(queues) => queues.in_order(),
            Self::TinyLfu(parts) => parts.in_order(),
        };
        let mut places = vec![0; rows.iter().max().map_or(0, |slot| *slot as usize + 1)];
        for (place, slot) in (0..).zip(rows) {
            places[slot as usize] = place;
        }
        slots.iter().map(|slot| places[*slot as usize]).collect()
    }

    /// Panics if what is known of an entry contradicts itself.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn validate(&self, slot: u32) {
        if let Self::Exact(ranks) = self {
            ranks.validate(slot);
        }
    }
}
