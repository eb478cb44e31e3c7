//! The caches that are compared, behind one small interface.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use larder_engine::Policy;
use parking_lot::RwLock;

use crate::work::Key;

/// 100 bytes behind a cheap clone; each key has its own.
pub type Value = Arc<[u8]>;

/// A value of 100 bytes.
pub fn value() -> Value {
    Arc::from([7; 100])
}

/// What every contestant can do.
pub trait Contestant<K>: Send + Sync {
    /// Whether the key is there; counts as a use.
    fn get(&self, key: &K) -> bool;
    /// Stores a value.
    fn insert(&self, key: K, value: Value);
}

/// A name, and how to make one with room for so many entries.
pub struct Entrant<K> {
    /// What it is called in tables.
    pub name: String,
    /// A new, empty one.
    pub make: Box<dyn Fn(usize) -> Box<dyn crate::speed::Course<K>>>,
}

/// Everyone, in the order of the tables: the peers, Larder by policy, the bound.
pub fn everyone<K: Key>() -> Vec<Entrant<K>> {
    let mut all = vec![
        entrant(QUICK_CACHE, |room| {
            quick_cache::sync::Cache::<K, Value>::new(room)
        }),
        entrant("moka", |room| {
            moka::sync::Cache::<K, Value>::new(room as u64)
        }),
        entrant("foyer s3fifo", |room| {
            foyer_memory::CacheBuilder::<K, Value, _>::new(room)
                .with_eviction_config(foyer_memory::S3FifoConfig::default())
                .build()
        }),
        entrant("foyer lfu", |room| {
            foyer_memory::CacheBuilder::<K, Value, _>::new(room)
                .with_eviction_config(foyer_memory::LfuConfig::default())
                .build()
        }),
    ];
    for policy in Policy::ALL {
        let name = match policy == Policy::default() {
            true => format!("larder {policy} (default)"),
            false => format!("larder {policy}"),
        };
        let make = move |room: usize| {
            let builder = larder_engine::Cache::<K, Value>::builder().policy(policy);
            builder
                .max_entries(room as u64)
                .build()
                .expect("a limit is set")
        };
        all.push(entrant(&name, make));
    }
    all.push(entrant(BOUND, |_| Flat::new()));
    all
}

/// Whom everybody is compared with first.
pub const QUICK_CACHE: &str = "quick_cache";
/// A table without eviction: what no cache can beat by much.
pub const BOUND: &str = "bound: sharded HashMap";

fn entrant<K: Key, C: Contestant<K> + 'static>(
    name: &str,
    make: impl Fn(usize) -> C + 'static,
) -> Entrant<K> {
    Entrant {
        name: name.to_owned(),
        make: Box::new(move |room| Box::new(make(room))),
    }
}

impl<K: Key> Contestant<K> for larder_engine::Cache<K, Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
    fn insert(&self, key: K, value: Value) {
        self.insert(key, value);
    }
}

impl<K: Key> Contestant<K> for quick_cache::sync::Cache<K, Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
    fn insert(&self, key: K, value: Value) {
        self.insert(key, value);
    }
}

impl<K: Key> Contestant<K> for moka::sync::Cache<K, Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
    fn insert(&self, key: K, value: Value) {
        self.insert(key, value);
    }
}

impl<K: Key> Contestant<K> for foyer_memory::Cache<K, Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.get(key)
            .is_some_and(|entry| !Value::clone(entry.value()).is_empty())
    }
    fn insert(&self, key: K, value: Value) {
        self.insert(key, value);
    }
}

/// Maps behind locks, which never evict.
struct Flat<K> {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<K, Value, RandomState>>>,
}

impl<K: Key> Flat<K> {
    fn new() -> Self {
        let hasher = RandomState::default();
        let shard = |_| RwLock::new(HashMap::with_hasher(hasher.clone()));
        Self {
            shards: (0..64).map(shard).collect(),
            hasher,
        }
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, Value, RandomState>> {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash >> 40) as usize % self.shards.len()]
    }
}

impl<K: Key> Contestant<K> for Flat<K> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.shard(key).read().get(key).cloned().is_some()
    }
    fn insert(&self, key: K, value: Value) {
        self.shard(&key).write().insert(key, value);
    }
}
