//! Operations on one entry that need no room: reading, removing, giving time.

use std::hash::{BuildHasher, Hash};
use std::sync::Weak;
use std::time::Duration;

use equivalent::Equivalent;
use larder_core::options::{Ttl, TtlState};
use larder_core::stats::Counter;

use crate::budget::Growth;
use crate::cache::Inner;
use crate::expiry::{self, NEVER};
use crate::policy::Observation;
use crate::removal::{Departures, RemovalCause};
use crate::shard::Shard;
use crate::sync::Guard;
use crate::sync::Relaxed;

impl<K, V, S> Inner<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// The hash of a key, mixed again, for hashers that do it badly. The upper half
    /// places it within its shard, the lower half finds the shard.
    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        let hash = self.hasher.hash_one(key);
        hash.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[inline]
    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        (hash >> 20) as usize & (self.shards.len() - 1)
    }

    /// What `pick` makes of a live entry's value and deadline; `as_use` says
    /// whether the policy notices.
    #[inline]
    pub(crate) fn read<Q, T>(
        &self,
        key: &Q,
        as_use: bool,
        pick: impl FnOnce(&V, u64) -> T,
    ) -> Option<T>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        let mut shard = self.shards[self.shard_of(hash)].lock();
        let mut hit = shard.hit(hash, key)?;
        let slot = hit.slot;
        if hit.deadline() != NEVER {
            return self.read_mortal(shard, slot, hash, key, as_use, pick);
        }
        if as_use && let Some(seen) = hit.used() {
            return Some(self.read_observed(shard, slot, seen, pick));
        }
        Some(pick(hit.value(), NEVER))
    }

    /// The rest of a [`read`](Self::read) of an entry that may expire.
    #[inline(never)]
    fn read_mortal<Q, T>(
        &self,
        mut shard: Guard<'_, Shard<K, V>>,
        slot: u32,
        hash: u64,
        key: &Q,
        as_use: bool,
        pick: impl FnOnce(&V, u64) -> T,
    ) -> Option<T>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let now = self.clock.elapsed();
        if shard.table().deadline(slot) <= expiry::millis(now) {
            drop(shard);
            self.remove_expired(hash, key);
            return None;
        }
        if as_use {
            if self.time_to_idle.is_some() {
                let end = shard.table().record(slot).end;
                shard.postpone(slot, self.deadline_before(end, now));
            }
            if let Some(seen) = shard.used(slot, hash) {
                return Some(self.read_observed(shard, slot, seen, pick));
            }
        }
        let table = shard.table();
        Some(pick(&table.item(slot).1, table.deadline(slot)))
    }

    /// The rest of a [`read`](Self::read) that the policy learns from.
    #[cold]
    fn read_observed<T>(
        &self,
        shard: Guard<'_, Shard<K, V>>,
        slot: u32,
        seen: Observation,
        pick: impl FnOnce(&V, u64) -> T,
    ) -> T {
        let table = shard.table();
        let picked = pick(&table.item(slot).1, table.deadline(slot));
        drop(shard);
        self.policy.observe(seen);
        picked
    }

    /// Removes a key that was seen to be expired, if it still is.
    #[cold]
    fn remove_expired<Q>(&self, hash: u64, key: &Q)
    where
        Q: Equivalent<K> + ?Sized,
    {
        let mut gone = Departures::new();
        let now = expiry::millis(self.clock.elapsed());
        self.in_shard(self.shard_of(hash), |shard| {
            if let Some(slot) = shard.find(hash, key)
                && shard.table().deadline(slot) <= now
            {
                let (key, value) = self.take(shard, slot);
                gone.push(key, value, RemovalCause::Expired);
            }
        });
        self.let_go(gone);
    }

    /// Removes a live entry and returns its value.
    pub(crate) fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        let mut gone = Departures::new();
        let removed = self.in_shard(self.shard_of(hash), |shard| {
            self.overtake(hash, key);
            let now = self.now_for(shard);
            self.expire_some(shard, now, &mut gone);
            let slot = shard.find(hash, key)?;
            let is_expired = shard.table().deadline(slot) <= expiry::millis(now);
            let (key, value) = self.take(shard, slot);
            if is_expired {
                gone.push(key, value, RemovalCause::Expired);
                return None;
            }
            Some((key, value))
        });
        self.let_go(gone);
        let (key, value) = removed?;
        self.stats.add(Counter::Delete, 1);
        if let Some(listener) = &self.listener {
            listener(&key, &value, RemovalCause::Removed);
        }
        Some(value)
    }

    /// Gives a live entry another lifetime; whether it was there.
    pub(crate) fn retime<Q>(&self, key: &Q, ttl: Ttl) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        let now = self.clock.elapsed();
        let mut gone = Departures::new();
        let done = self.in_shard(self.shard_of(hash), |shard| {
            self.expire_some(shard, now, &mut gone);
            let Some(slot) = shard.find(hash, key) else {
                return false;
            };
            let mut record = shard.table().record(slot);
            if record.deadline <= expiry::millis(now) {
                let (key, value) = self.take(shard, slot);
                gone.push(key, value, RemovalCause::Expired);
                return false;
            }
            record.end = self.end_after(ttl);
            record.deadline = self.deadline_before(record.end, now);
            shard.retime(slot, record);
            if record.deadline != NEVER {
                self.begin_watch();
            }
            true
        });
        self.let_go(gone);
        done
    }

    /// How much longer an entry with this deadline lives.
    pub(crate) fn remaining(&self, deadline: u64) -> TtlState {
        if deadline == NEVER {
            return TtlState::Never;
        }
        let left = Duration::from_millis(deadline).saturating_sub(self.clock.elapsed());
        TtlState::Remaining(left)
    }

    /// Takes an entry out and gives its room back.
    pub(crate) fn take(&self, shard: &mut Shard<K, V>, slot: u32) -> (K, V) {
        let weight = shard.table().weight(slot);
        let item = shard.remove(slot, false);
        self.budget.release(Growth::of_entry(weight));
        item
    }

    /// The time, or zero if nothing in the shard can be over.
    pub(crate) fn now_for(&self, shard: &Shard<K, V>) -> Duration {
        if shard.deadline_bound() == NEVER && self.time_to_idle.is_none() {
            Duration::ZERO
        } else {
            self.clock.elapsed()
        }
    }

    /// When a lifetime that starts now ends.
    pub(crate) fn end_after(&self, ttl: Ttl) -> u64 {
        match ttl.resolve(self.time_to_live) {
            None => NEVER,
            lifetime => expiry::deadline(self.clock.elapsed(), lifetime),
        }
    }

    /// When an entry used at `now` expires, given the end of its lifetime.
    pub(crate) fn deadline_before(&self, end: u64, now: Duration) -> u64 {
        match self.time_to_idle {
            None => end,
            idle => end.min(expiry::deadline(now, idle)),
        }
    }

    /// Has the cache swept in the background from now on, if it wants that.
    pub(crate) fn begin_watch(&self) {
        if let Some(watch) = &self.watch
            && !watch.begun.load(Relaxed)
            && !watch.begun.swap(true, Relaxed)
        {
            expiry::watch(Weak::clone(&watch.cache));
        }
    }
}
