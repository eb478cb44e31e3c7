//! Changing entries: the one path that every write takes.
//!
//! An operation looks at its entry under the shard's lock, takes room from the
//! budget and stores. If there is no room it lets go of the lock, makes some
//! elsewhere, and looks again; only one shard is ever locked at a time. An entry
//! that is being replaced is pinned meanwhile, so that it is the last to make
//! room for its own new value.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use larder_core::options::Ttl;
use larder_core::stats::Counter;

use crate::budget::Growth;
use crate::cache::Inner;
use crate::expiry::{self, NEVER};
use crate::policy::Observation;
use crate::removal::{Departures, RemovalCause};
use crate::shard::{Record, Shard};

/// What to do with an entry, given its present value.
///
/// ```
/// use larder_engine::{Cache, Change};
///
/// let cache = Cache::<&str, u32>::new(100);
/// for _ in 0..3 {
///     cache.compute("hits", |count| Change::Update(count.map_or(1, |count| count + 1)));
/// }
/// assert_eq!(cache.get(&"hits"), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<V> {
    /// Leave it as it is.
    Keep,
    /// Remove it.
    Remove,
    /// Store this value with this lifetime; with none at all, remove the entry.
    Insert(V, Ttl),
    /// Store this value; a present entry keeps its lifetime, a new one gets the default.
    Update(V),
}

/// What became of a [`Change`].
///
/// ```
/// use larder_engine::{Cache, Change, Computed};
///
/// let cache = Cache::<u8, u8>::new(100);
/// assert_eq!(cache.compute(1, |_| Change::Update(7)), Computed::Stored);
/// assert_eq!(cache.compute(1, |_| Change::Keep), Computed::Kept);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Computed {
    /// Nothing was changed.
    Kept,
    /// The entry was removed.
    Removed,
    /// The value was stored.
    Stored,
    /// The value weighs more than the cache may hold; an older one was removed.
    Refused,
}

/// A write between its attempts.
struct Writing<K, V> {
    hash: u64,
    /// Given away when the value is stored.
    key: Option<K>,
    /// The value that found no room, to be offered again; or one that will not be
    /// stored, to be dropped after the lock.
    unsaved: Option<V>,
    /// Whether this write has pinned its entry.
    pinned: bool,
    /// What the policy has to learn from it.
    seen: Option<Observation>,
    /// Comes from a load, which the others overtake.
    is_load: bool,
    gone: Departures<K, V>,
}

/// A present entry as a write finds it.
#[derive(Clone, Copy)]
struct Present {
    slot: u32,
    record: Record,
}

const KEY_IS_HERE: &str = "a write gives its key away once, when it is done";

impl<K, V, S> Inner<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Applies `plan` to the entry of `key`.
    ///
    /// The plan sees the present value and may run again if room had to be made;
    /// then it also gets back the value that was not stored.
    pub(crate) fn write(
        &self,
        key: K,
        plan: impl FnMut(Option<&V>, Option<V>) -> Change<V>,
    ) -> Computed {
        self.write_as(false, key, plan)
    }

    /// The same for the result of a load: the only write that overtakes none.
    pub(crate) fn write_loaded(
        &self,
        key: K,
        plan: impl FnMut(Option<&V>, Option<V>) -> Change<V>,
    ) -> Computed {
        self.write_as(true, key, plan)
    }

    fn write_as(
        &self,
        is_load: bool,
        key: K,
        mut plan: impl FnMut(Option<&V>, Option<V>) -> Change<V>,
    ) -> Computed {
        let mut writing = Writing {
            hash: self.hash(&key),
            key: Some(key),
            unsaved: None,
            pinned: false,
            seen: None,
            is_load,
            gone: Departures::new(),
        };
        loop {
            let attempt = self.in_shard(self.shard_of(writing.hash), |shard| {
                self.attempt(shard, &mut writing, &mut plan)
            });
            self.let_go(std::mem::take(&mut writing.gone));
            if let Some(seen) = writing.seen.take() {
                self.policy.observe(seen);
            }
            match attempt {
                Ok(computed) => {
                    match computed {
                        Computed::Stored => self.stats.add(Counter::Set, 1),
                        Computed::Refused => self.stats.add(Counter::Rejected, 1),
                        Computed::Removed => self.stats.add(Counter::Delete, 1),
                        Computed::Kept => {}
                    }
                    return computed;
                }
                Err(growth) => self.make_room(growth),
            }
        }
    }

    /// Looks at the entry and does what the plan says, unless room is missing.
    fn attempt(
        &self,
        shard: &mut Shard<K, V>,
        writing: &mut Writing<K, V>,
        plan: &mut impl FnMut(Option<&V>, Option<V>) -> Change<V>,
    ) -> Result<Computed, Growth> {
        let now = self.now_for(shard);
        self.expire_some(shard, now, &mut writing.gone);
        let present = self.present(shard, writing, now);
        let value = present.map(|present| &shard.table().item(present.slot).1);
        let change = plan(value, writing.unsaved.take());
        if !writing.is_load && !matches!(change, Change::Keep) {
            self.overtake(writing.hash, writing.key.as_ref().expect(KEY_IS_HERE));
        }
        let (value, ttl) = match change {
            Change::Keep => {
                unpin(shard, present, writing);
                return Ok(Computed::Kept);
            }
            Change::Remove => return Ok(self.remove_present(shard, present, writing)),
            Change::Insert(value, ttl) if ttl.is_zero() => {
                writing.unsaved = Some(value);
                return Ok(self.remove_present(shard, present, writing));
            }
            Change::Insert(value, ttl) => (value, Some(ttl)),
            Change::Update(value) => (value, None),
        };
        let Some(weight) = self.weight_of(writing, &value) else {
            writing.unsaved = Some(value);
            self.take_out(shard, present, writing, RemovalCause::Replaced);
            return Ok(Computed::Refused);
        };
        let old_weight = present.map_or(0, |present| present.record.weight);
        let growth = Growth {
            weight: u64::from(weight.saturating_sub(old_weight)),
            entries: u64::from(present.is_none()),
        };
        pin(shard, present, writing);
        if !self.claim(shard, growth, &mut writing.gone) {
            writing.unsaved = Some(value);
            return Err(growth);
        }
        unpin(shard, present, writing);
        self.budget.release(Growth {
            weight: u64::from(old_weight.saturating_sub(weight)),
            entries: 0,
        });
        let (deadline, end) = self.lifetime(ttl, present, now);
        let record = Record {
            deadline,
            end,
            weight,
        };
        self.store(shard, present, writing, value, record);
        Ok(Computed::Stored)
    }

    /// The entry of the key, after an expired one has been taken out.
    fn present(
        &self,
        shard: &mut Shard<K, V>,
        writing: &mut Writing<K, V>,
        now: Duration,
    ) -> Option<Present> {
        let key = writing.key.as_ref().expect(KEY_IS_HERE);
        let slot = shard.find(writing.hash, key)?;
        let record = shard.table().record(slot);
        if record.deadline <= expiry::millis(now) {
            let present = Some(Present { slot, record });
            self.take_out(shard, present, writing, RemovalCause::Expired);
            return None;
        }
        Some(Present { slot, record })
    }

    /// Removes the entry because the plan said so.
    fn remove_present(
        &self,
        shard: &mut Shard<K, V>,
        present: Option<Present>,
        writing: &mut Writing<K, V>,
    ) -> Computed {
        if self.take_out(shard, present, writing, RemovalCause::Removed) {
            Computed::Removed
        } else {
            Computed::Kept
        }
    }

    /// Removes the entry, if there is one, and remembers it for the listener.
    fn take_out(
        &self,
        shard: &mut Shard<K, V>,
        present: Option<Present>,
        writing: &mut Writing<K, V>,
        cause: RemovalCause,
    ) -> bool {
        let Some(Present { slot, .. }) = present else {
            return false;
        };
        let (key, value) = self.take(shard, slot);
        writing.gone.push(key, value, cause);
        true
    }

    /// What the new value weighs, `None` if it cannot fit at all.
    fn weight_of(&self, writing: &Writing<K, V>, value: &V) -> Option<u32> {
        let key = writing.key.as_ref().expect(KEY_IS_HERE);
        let weight = self.weigher.as_ref().map_or(1, |weigh| weigh(key, value));
        u32::try_from(weight)
            .ok()
            .filter(|_| weight <= self.budget.weight.max())
    }

    /// Deadline and end of the new value.
    fn lifetime(&self, ttl: Option<Ttl>, present: Option<Present>, now: Duration) -> (u64, u64) {
        let end = match (ttl, present) {
            (None, Some(present)) => present.record.end,
            (ttl, _) => self.end_after(ttl.unwrap_or_default()),
        };
        (self.deadline_before(end, now), end)
    }

    fn store(
        &self,
        shard: &mut Shard<K, V>,
        present: Option<Present>,
        writing: &mut Writing<K, V>,
        value: V,
        record: Record,
    ) {
        let key = writing.key.take().expect(KEY_IS_HERE);
        if record.deadline != NEVER {
            self.begin_watch();
        }
        if let Some(present) = present {
            let (old, seen) = shard.replace(present.slot, value, record);
            writing.seen = seen;
            writing.gone.push(key, old, RemovalCause::Replaced);
            return;
        }
        if shard.is_at_its_end()
            && let Some((_, victim)) = shard.victim()
        {
            self.evict(shard, victim, &mut writing.gone);
        }
        writing.seen = shard.insert(writing.hash, key, value, record);
        self.policy.pace(self.budget.entries.used());
    }
}

/// Makes an entry the last to go while room is made for its new value.
fn pin<K: Hash + Eq, V>(
    shard: &mut Shard<K, V>,
    present: Option<Present>,
    writing: &mut Writing<K, V>,
) {
    if let Some(Present { slot, .. }) = present
        // If the entry that was pinned is gone, so is its pin.
        && !(writing.pinned && shard.is_pinned(slot))
    {
        writing.pinned = true;
        shard.pin(slot);
    }
}

/// Lets a pinned entry go again.
fn unpin<K: Hash + Eq, V>(
    shard: &mut Shard<K, V>,
    present: Option<Present>,
    writing: &mut Writing<K, V>,
) {
    if std::mem::take(&mut writing.pinned)
        && let Some(Present { slot, .. }) = present
    {
        shard.unpin(slot);
    }
}
