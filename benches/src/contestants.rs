//! The caches that are compared, behind one small interface.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use larder_engine::Policy;
use parking_lot::RwLock;

use crate::work::Key;

/// What every contestant can do.
pub trait Contestant<K: Key>: Send + Sync {
    /// Whether the key is there; counts as a use.
    fn get(&self, key: &K) -> bool;
    /// Stores a value.
    fn insert(&self, key: K, value: K::Value);
}

/// A name, and how to make one with room for so many entries.
pub struct Entrant<K: Key> {
    /// What it is called in tables.
    pub name: String,
    /// A new, empty one.
    pub make: Box<dyn Fn(usize) -> Box<dyn crate::speed::Course<K>>>,
}

/// Everyone, in the order of the tables: the peers, Larder by policy, the bound.
pub fn everyone<K: Key>() -> Vec<Entrant<K>> {
    let mut all = vec![
        entrant(QUICK_CACHE, |room| {
            quick_cache::sync::Cache::<K, K::Value>::new(room)
        }),
        entrant("moka", |room| {
            moka::sync::Cache::<K, K::Value>::new(room as u64)
        }),
        entrant("foyer s3fifo", |room| {
            foyer_memory::CacheBuilder::<K, K::Value, _>::new(room)
                .with_eviction_config(foyer_memory::S3FifoConfig::default())
                .build()
        }),
        entrant("foyer lfu", |room| {
            foyer_memory::CacheBuilder::<K, K::Value, _>::new(room)
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
            let builder = larder_engine::Cache::<K, K::Value>::builder().policy(policy);
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

/// Those whose entries can have lifetimes of their own. Here they all end at one
/// moment; entries stored later live for an hour.
pub fn everyone_with_lifetimes<K: Key>(end: Instant) -> Vec<Entrant<K>> {
    vec![
        entrant("larder adaptive (default)", move |room| Mortal {
            cache: larder_engine::Cache::new(room as u64),
            end,
        }),
        entrant("moka", move |room| {
            moka::sync::Cache::builder()
                .max_capacity(room as u64)
                .expire_after(Until(end))
                .build()
        }),
    ]
}

const HOUR: Duration = Duration::from_secs(3_600);

#[expect(clippy::disallowed_methods, reason = "the peers live in real time")]
fn lifetime_until(end: Instant) -> Duration {
    let left = end.checked_duration_since(Instant::now());
    left.unwrap_or(HOUR)
}

/// A cache of Larder that gives every entry a lifetime.
struct Mortal<K: Key> {
    cache: larder_engine::Cache<K, K::Value>,
    end: Instant,
}

impl<K: Key> Contestant<K> for Mortal<K> {
    fn get(&self, key: &K) -> bool {
        self.cache.get(key).is_some()
    }
    fn insert(&self, key: K, value: K::Value) {
        self.cache
            .insert_with_ttl(key, value, lifetime_until(self.end));
    }
}

/// How moka is told the lifetime of an entry.
struct Until(Instant);

impl<K, V> moka::Expiry<K, V> for Until {
    fn expire_after_create(&self, _: &K, _: &V, _: Instant) -> Option<Duration> {
        Some(lifetime_until(self.0))
    }
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

impl<K: Key> Contestant<K> for larder_engine::Cache<K, K::Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
    fn insert(&self, key: K, value: K::Value) {
        self.insert(key, value);
    }
}

impl<K: Key> Contestant<K> for quick_cache::sync::Cache<K, K::Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
    fn insert(&self, key: K, value: K::Value) {
        self.insert(key, value);
    }
}

impl<K: Key> Contestant<K> for moka::sync::Cache<K, K::Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
    fn insert(&self, key: K, value: K::Value) {
        self.insert(key, value);
    }
}

impl<K: Key> Contestant<K> for foyer_memory::Cache<K, K::Value> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        let found = self.get(key).map(|entry| entry.value().clone());
        found.is_some()
    }
    fn insert(&self, key: K, value: K::Value) {
        self.insert(key, value);
    }
}

/// Maps behind locks, which never evict.
struct Flat<K: Key> {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<K, K::Value, RandomState>>>,
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

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, K::Value, RandomState>> {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash >> 40) as usize % self.shards.len()]
    }
}

impl<K: Key> Contestant<K> for Flat<K> {
    #[inline]
    fn get(&self, key: &K) -> bool {
        self.shard(key).read().get(key).cloned().is_some()
    }
    fn insert(&self, key: K, value: K::Value) {
        self.shard(&key).write().insert(key, value);
    }
}
