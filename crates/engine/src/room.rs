//! Making room, and giving back the memory of what has expired.
//!
//! Each shard leaves a hint outside its lock: lower bounds of its ranks and of
//! its deadlines. Whoever needs room under an exact policy goes to the shard with
//! the lowest hint, corrects it under the lock, and takes the victim only if no
//! other shard may hold a lower rank. So the victim is the true one of the whole
//! cache, and usually one lock is taken for it. Under the other policies a write
//! evicts from its own shard, under the lock that it holds anyway, and looks
//! elsewhere only if that does not suffice.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use crate::budget::Growth;
use crate::cache::Inner;
use crate::expiry::{self, NEVER, Sweep};
use crate::policy::NO_RANK;
use crate::removal::{Departures, RemovalCause};
use crate::shard::Shard;
use crate::sync::{AtomicU64, Relaxed, yield_now};

/// Entries that a write evicts from its own shard before it looks elsewhere, so
/// that a large value does not empty one shard.
const MOST_IN_PLACE: usize = 4;

/// What a shard tells those who do not hold its lock.
#[derive(Debug)]
pub(crate) struct Hint {
    victim: AtomicU64,
    deadline: AtomicU64,
}

impl Hint {
    pub(crate) fn new() -> Self {
        Self {
            victim: AtomicU64::new(NO_RANK),
            deadline: AtomicU64::new(NEVER),
        }
    }

    fn set<K: Hash + Eq, V>(&self, shard: &Shard<K, V>) {
        for (hint, bound) in [
            (&self.victim, shard.victim_bound()),
            (&self.deadline, shard.deadline_bound()),
        ] {
            // Most writes change neither, and then the line stays with its readers.
            if hint.load(Relaxed) != bound {
                hint.store(bound, Relaxed);
            }
        }
    }

    /// Panics if the hint is above a bound.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn validate<K: Hash + Eq, V>(&self, shard: &Shard<K, V>) {
        assert!(
            self.victim.load(Relaxed) <= shard.victim_bound(),
            "{self:?}"
        );
        assert!(
            self.deadline.load(Relaxed) <= shard.deadline_bound(),
            "{self:?}"
        );
    }
}

impl<K, V, S> Inner<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Runs `work` on a shard under its lock and renews the shard's hint.
    pub(crate) fn in_shard<T>(&self, shard: usize, work: impl FnOnce(&mut Shard<K, V>) -> T) -> T {
        let mut locked = self.shards[shard].lock();
        let done = work(&mut locked);
        self.hints[shard].set(&locked);
        let deadline = locked.deadline_bound();
        if deadline < self.soonest.load(Relaxed) {
            self.soonest.fetch_min(deadline, Relaxed);
        }
        done
    }

    /// Counts, announces and drops entries that went, outside all locks.
    pub(crate) fn let_go(&self, gone: Departures<K, V>) {
        if !gone.is_empty() {
            gone.let_go(&self.stats, self.listener.as_ref());
        }
    }

    /// Evicts until there is room; what has expired goes first.
    pub(crate) fn make_room(&self, growth: Growth) {
        while !self.budget.has_room(growth) {
            self.evict_one();
        }
    }

    /// Evicts until the limits hold again.
    pub(crate) fn fit(&self) {
        while self.budget.is_exceeded() {
            self.evict_one();
        }
    }

    /// Takes room, evicting from this shard if the policy allows that.
    pub(crate) fn claim(
        &self,
        shard: &mut Shard<K, V>,
        growth: Growth,
        gone: &mut Departures<K, V>,
    ) -> bool {
        if self.budget.exchange(Growth::default(), growth) {
            return true;
        }
        if self.policy_name.is_exact() || self.may_expire() {
            return false;
        }
        self.policy.pace(self.budget.entries.used());
        let mut freed = Growth::default();
        for _ in 0..MOST_IN_PLACE {
            let Some((_, victim)) = shard.victim() else {
                break;
            };
            freed.add(Growth::of_entry(push_out(shard, victim, gone)));
            if self.budget.exchange(freed, growth) {
                return true;
            }
        }
        self.budget.release(freed);
        false
    }

    /// Removes some expired entries, or else the victim of the whole cache.
    fn evict_one(&self) {
        if self.sweep_step() {
            return;
        }
        let mut gone = Departures::new();
        while gone.is_empty() {
            let Some((shard, others)) = self.lowest_hint() else {
                self.evict_last_resort(&mut gone);
                break;
            };
            self.in_shard(shard, |shard| match shard.victim() {
                Some((rank, slot)) if rank <= others => self.evict(shard, slot, &mut gone),
                _ => {}
            });
        }
        self.let_go(gone);
    }

    /// Removes one entry to make room.
    pub(crate) fn evict(&self, shard: &mut Shard<K, V>, slot: u32, gone: &mut Departures<K, V>) {
        let weight = push_out(shard, slot, gone);
        self.budget.release(Growth::of_entry(weight));
    }

    /// Removes an entry that is being rewritten, if there is nothing else.
    #[cold]
    fn evict_last_resort(&self, gone: &mut Departures<K, V>) {
        for number in 0..self.shards.len() {
            self.in_shard(number, |shard| {
                if let Some(slot) = shard.last_resort() {
                    self.evict(shard, slot, gone);
                }
            });
            if !gone.is_empty() {
                return;
            }
        }
        // All room is taken by writes that have not stored yet: let them.
        yield_now();
    }

    /// The shard with the lowest hint of a rank, and the lowest of the others.
    ///
    /// Of equals, which only inexact policies have, another each time.
    fn lowest_hint(&self) -> Option<(usize, u64)> {
        let count = self.hints.len();
        let start = if self.policy_name.is_exact() {
            0
        } else {
            usize::try_from(self.turn.fetch_add(1, Relaxed)).unwrap_or_default() % count
        };
        let (mut shard, mut lowest, mut others) = (0, NO_RANK, NO_RANK);
        for number in (start..count).chain(0..start) {
            let rank = self.hints[number].victim.load(Relaxed);
            if rank < lowest {
                (shard, others, lowest) = (number, lowest, rank);
            } else {
                others = others.min(rank);
            }
        }
        (lowest != NO_RANK).then_some((shard, others))
    }

    /// Whether something may have expired.
    fn may_expire(&self) -> bool {
        let soonest = self.soonest.load(Relaxed);
        soonest != NEVER && soonest <= expiry::millis(self.clock.elapsed())
    }

    /// Looks at one block that may hold something expired; whether there was one.
    fn sweep_step(&self) -> bool {
        if !self.may_expire() {
            return false;
        }
        let deadline = |hint: &Hint| hint.deadline.load(Relaxed);
        let Some(number) = (0..self.hints.len()).min_by_key(|n| deadline(&self.hints[*n])) else {
            return false;
        };
        let soonest = deadline(&self.hints[number]);
        let now = self.clock.elapsed();
        if soonest > expiry::millis(now) {
            self.soonest.store(soonest, Relaxed);
            return false;
        }
        let mut gone = Departures::new();
        self.in_shard(number, |shard| self.expire_some(shard, now, &mut gone));
        self.let_go(gone);
        true
    }

    /// Removes what has expired in the block that may expire first.
    pub(crate) fn expire_some(
        &self,
        shard: &mut Shard<K, V>,
        now: Duration,
        gone: &mut Departures<K, V>,
    ) {
        let now = expiry::millis(now);
        if shard.deadline_bound() <= now {
            shard.expire_block(now, |key, value, record| {
                self.budget.release(Growth::of_entry(record.weight));
                gone.push(key, value, RemovalCause::Expired);
            });
        }
    }
}

/// Removes one entry and tells its weight, which the budget still counts.
fn push_out<K: Hash + Eq, V>(
    shard: &mut Shard<K, V>,
    slot: u32,
    gone: &mut Departures<K, V>,
) -> u32 {
    let weight = shard.table().weight(slot);
    let (key, value) = shard.remove(slot, true);
    gone.push(key, value, RemovalCause::Capacity);
    weight
}

impl<K, V, S> Sweep for Inner<K, V, S>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn sweep(&self) {
        while self.sweep_step() {}
    }
}
