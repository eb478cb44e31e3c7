//! Who changes which key, so that nobody brings an old value back.
//!
//! A change holds its key while it goes through the tiers. A read that went to a far tier
//! watches its key meanwhile, and may put what it found into nearer ones only if nobody
//! has changed the key since it began.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tables of keys, so that few callers wait for the same lock.
const SHARDS: usize = 64;

/// The keys that somebody reads or changes at the moment.
#[derive(Debug)]
pub(crate) struct Keyed {
    shards: Vec<Mutex<HashMap<Arc<str>, Arc<Slot>>>>,
    /// Held by changes of one key for reading, by changes of everything for writing.
    everything: RwLock<()>,
    /// How often everything was changed.
    sweeps: AtomicU64,
}

/// What is known of a key while somebody uses it.
#[derive(Debug, Default)]
struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// How often it was changed.
    changes: AtomicU64,
}

/// A key that is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    keyed: &'a Keyed,
    key: Arc<str>,
    slot: Arc<Slot>,
    changes: u64,
    sweeps: u64,
}

/// A key that nobody else changes until this is dropped.
#[derive(Debug)]
struct HeldKey<'a> {
    watch: Watch<'a>,
    is_change: bool,
    _lock: OwnedMutexGuard<()>,
}

/// Some keys that nobody else changes until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    // Let go of before everything.
    keys: Vec<HeldKey<'a>>,
    _everything: RwLockReadGuard<'a, ()>,
}

/// All keys, which nobody else changes until this is dropped.
#[derive(Debug)]
pub(crate) struct Swept<'a> {
    keyed: &'a Keyed,
    _everything: RwLockWriteGuard<'a, ()>,
}

impl Keyed {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            everything: RwLock::default(),
            sweeps: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &str) -> &Mutex<HashMap<Arc<str>, Arc<Slot>>> {
        let hash = FixedState::default().hash_one(key);
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Watches a key from now on.
    pub(crate) fn watch(&self, key: &str) -> Watch<'_> {
        let mut shard = self.shard(key).lock();
        let known = shard.get_key_value(key);
        let known = known.map(|(key, slot)| (Arc::clone(key), Arc::clone(slot)));
        let (key, slot) = known.unwrap_or_else(|| {
            let (key, slot): (Arc<str>, Arc<Slot>) = (key.into(), Arc::default());
            shard.insert(Arc::clone(&key), Arc::clone(&slot));
            (key, slot)
        });
        drop(shard);
        Watch {
            keyed: self,
            // Ordering: acquire, because what is read afterwards is read after the changes
            // that are counted here.
            changes: slot.changes.load(Ordering::Acquire),
            sweeps: self.sweeps.load(Ordering::Acquire),
            key,
            slot,
        }
    }

    /// Waits until nobody else changes any of these keys. They have to be distinct.
    pub(crate) async fn hold(&self, keys: &[&str]) -> Held<'_> {
        let everything = self.everything.read().await;
        let mut sorted = keys.to_vec();
        // In the same order everywhere, or two would wait for each other.
        sorted.sort_unstable();
        let mut held = Vec::with_capacity(keys.len());
        for key in sorted {
            let mut watch = self.watch(key);
            let lock = Arc::clone(&watch.slot.lock).lock_owned().await;
            // Those who held it before have changed it; that is no news.
            watch.changes = watch.slot.changes.load(Ordering::Acquire);
            watch.sweeps = self.sweeps.load(Ordering::Acquire);
            held.push(HeldKey {
                watch,
                is_change: true,
                _lock: lock,
            });
        }
        Held {
            keys: held,
            _everything: everything,
        }
    }

    /// Waits until nobody changes anything.
    pub(crate) async fn sweep(&self) -> Swept<'_> {
        Swept {
            _everything: self.everything.write().await,
            keyed: self,
        }
    }

    /// Somebody else has changed these keys: whoever reads or changes one now has to
    /// know.
    pub(crate) fn disturb(&self, keys: &[&str]) {
        for key in keys {
            let shard = self.shard(key).lock();
            if let Some(slot) = shard.get(*key) {
                slot.changes.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// The same for all keys.
    pub(crate) fn disturb_all(&self) {
        self.sweeps.fetch_add(1, Ordering::Release);
    }

    /// How many keys are in use.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Held<'_> {
    /// Whether somebody else has changed one of the keys since they are held.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.keys.iter().any(|held| !held.watch.is_unchanged())
    }
}

impl<'a> Watch<'a> {
    fn is_unchanged(&self) -> bool {
        self.slot.changes.load(Ordering::Acquire) == self.changes
            && self.keyed.sweeps.load(Ordering::Acquire) == self.sweeps
    }

    /// Holds the key to make copies of it, if nobody has changed it since it is watched,
    /// and nobody does now.
    pub(crate) fn hold_unchanged(self) -> Option<Held<'a>> {
        self.hold_if_unchanged(false)
    }

    /// Holds the key to change it, otherwise as [`hold_unchanged`](Self::hold_unchanged).
    pub(crate) fn hold_to_change(self) -> Option<Held<'a>> {
        self.hold_if_unchanged(true)
    }

    fn hold_if_unchanged(self, is_change: bool) -> Option<Held<'a>> {
        let everything = self.keyed.everything.try_read().ok()?;
        let lock = Arc::clone(&self.slot.lock).try_lock_owned().ok()?;
        let is_unchanged = self.is_unchanged();
        let held = HeldKey {
            watch: self,
            is_change: is_change && is_unchanged,
            _lock: lock,
        };
        is_unchanged.then(|| Held {
            keys: vec![held],
            _everything: everything,
        })
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut shard = self.keyed.shard(&self.key).lock();
        // The table's and this one: then nobody else is interested.
        if Arc::strong_count(&self.slot) == 2 {
            shard.remove(&*self.key);
        }
    }
}

impl Drop for HeldKey<'_> {
    fn drop(&mut self) {
        if self.is_change {
            // Ordering: release, for those who acquire it with the count.
            self.watch.slot.changes.fetch_add(1, Ordering::Release);
        }
    }
}

impl Drop for Swept<'_> {
    fn drop(&mut self) {
        self.keyed.sweeps.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_may_fill_only_if_nothing_changed_meanwhile() {
        let keyed = Keyed::new();
        assert!(keyed.watch("key").hold_unchanged().is_some());

        let reading = keyed.watch("key");
        drop(keyed.hold(&["key"]).await);
        assert!(reading.hold_unchanged().is_none(), "it was changed");

        let reading = keyed.watch("key");
        let changing = keyed.hold(&["key"]).await;
        assert!(reading.hold_unchanged().is_none(), "it is being changed");
        assert!(keyed.watch("other").hold_unchanged().is_some());
        drop(changing);

        let reading = keyed.watch("key");
        drop(keyed.sweep().await);
        assert!(reading.hold_unchanged().is_none(), "everything was changed");
    }

    #[tokio::test]
    async fn filling_is_no_change_and_nothing_is_kept_for_long() {
        let keyed = Keyed::new();
        let reading = keyed.watch("key");
        drop(keyed.watch("key").hold_unchanged());
        assert!(reading.hold_unchanged().is_some());
        drop(keyed.hold(&["b", "a", "c"]).await);
        assert_eq!(keyed.len(), 0);
    }

    #[tokio::test]
    async fn changes_of_a_key_wait_for_each_other() {
        let keyed = Arc::new(Keyed::new());
        let held = keyed.hold(&["key"]).await;
        let other = Arc::clone(&keyed);
        let waiting = tokio::spawn(async move {
            let _all = other.hold(&["key", "another"]).await;
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.expect("it does not panic");
    }
}
