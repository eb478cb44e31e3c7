//! The cache as an application sees it.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use equivalent::Equivalent;
use foldhash::fast::RandomState;
use larder_core::clock::Clock;
use larder_core::options::{Ttl, TtlState};
use larder_core::stats::{CacheStats, Counter, StatsRecorder};

use crate::budget::Budget;
use crate::builder::{CacheBuilder, Weigher};
use crate::expiry::{NEVER, Sweep};
use crate::load::Flights;
use crate::policy::{Policy, Ranking, Shared};
use crate::removal::Listener;
use crate::room::Hint;
use crate::scan::Iter;
use crate::shard::{Kinds, Shard};
use crate::sync::{AtomicBool, AtomicU64, Lock};
use crate::write::{Change, Computed};

/// An in-process cache: a map with limits, lifetimes and a policy.
///
/// Clones are the same cache. All methods work from any number of threads. The
/// limits hold for the whole cache at every moment, and the policy picks the
/// victim of the whole cache. Values are returned by clone: put an `Arc` around
/// what is expensive to clone. Operations hash, compare and clone under a lock, so
/// `Hash`, `Eq` and `Clone` of keys and values must not use the cache.
///
/// ```
/// use larder_engine::Cache;
///
/// let cache = Cache::new(1_000);
/// cache.insert("user:1".to_owned(), "Alice");
/// assert_eq!(cache.get("user:1"), Some("Alice"));
/// assert_eq!(cache.remove("user:1"), Some("Alice"));
/// assert_eq!(cache.get("user:1"), None);
/// ```
pub struct Cache<K, V, S = RandomState> {
    pub(crate) inner: Arc<Inner<K, V, S>>,
}

/// What the builder has checked.
pub(crate) struct Settings<K, V, S> {
    pub(crate) max_entries: Option<u64>,
    pub(crate) max_weight: Option<u64>,
    pub(crate) weigher: Option<Weigher<K, V>>,
    pub(crate) policy: Policy,
    pub(crate) time_to_live: Option<Duration>,
    pub(crate) time_to_idle: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) in_background: bool,
    pub(crate) listener: Option<Listener<K, V>>,
    pub(crate) shards: usize,
    pub(crate) hasher: S,
}

pub(crate) struct Inner<K, V, S> {
    pub(crate) shards: Box<[Lock<Shard<K, V>>]>,
    pub(crate) hints: Box<[Hint]>,
    /// A lower bound of all deadlines, as far as one thread can tell.
    pub(crate) soonest: AtomicU64,
    /// Whose turn it is to give room, where shards are equals.
    pub(crate) turn: AtomicU64,
    /// By shard, like the hints.
    pub(crate) flights: Box<[Flights<K, V>]>,
    pub(crate) hasher: S,
    pub(crate) policy_name: Policy,
    pub(crate) policy: Shared,
    pub(crate) budget: Budget,
    pub(crate) weigher: Option<Weigher<K, V>>,
    pub(crate) listener: Option<Listener<K, V>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: Arc<StatsRecorder>,
    pub(crate) time_to_live: Option<Duration>,
    pub(crate) time_to_idle: Option<Duration>,
    /// Swept in the background from the first deadline on; `None` never.
    pub(crate) watch: Option<Watch>,
}

/// What the janitor needs to sweep the cache, and whether it knows it.
pub(crate) struct Watch {
    pub(crate) cache: Weak<dyn Sweep>,
    pub(crate) begun: AtomicBool,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// A cache of at most `max_entries` entries; zero counts as one.
    pub fn new(max_entries: u64) -> Self {
        CacheBuilder::new()
            .max_entries(max_entries.max(1))
            .build()
            .expect("one positive limit is all that is needed")
    }

    /// Settings to start from.
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder::new()
    }
}

impl<K, V, S> Cache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    pub(crate) fn new_with(settings: Settings<K, V, S>) -> Self {
        let kinds = Kinds {
            weighs: settings.weigher.is_some(),
            idles: settings.time_to_idle.is_some(),
            notes: settings.policy == Policy::Adaptive,
        };
        let policy = Shared::new(
            settings.policy,
            settings.max_entries.unwrap_or_default(),
            settings.shards,
        );
        let most = settings.max_entries.unwrap_or(u64::MAX) / settings.shards as u64;
        let most = u32::try_from(most).unwrap_or(u32::MAX) as usize;
        // Shards are not equally full: the fuller of them have some more.
        let expected = most + most / 64;
        let new_shard = |_| {
            let ranking = Ranking::new(settings.policy, &policy);
            Lock::new(Shard::new(kinds, ranking, expected))
        };
        let shards = (0..settings.shards).map(new_shard).collect();
        let inner = Arc::new_cyclic(|inner: &Weak<Inner<K, V, S>>| Inner {
            shards,
            hints: (0..settings.shards).map(|_| Hint::new()).collect(),
            flights: (0..settings.shards).map(|_| Flights::new()).collect(),
            hasher: settings.hasher,
            soonest: AtomicU64::new(NEVER),
            turn: AtomicU64::new(0),
            policy_name: settings.policy,
            policy,
            budget: Budget::new(settings.max_weight, settings.max_entries),
            weigher: settings.weigher,
            listener: settings.listener,
            clock: settings.clock,
            stats: Arc::default(),
            time_to_live: settings.time_to_live,
            time_to_idle: settings.time_to_idle,
            watch: settings.in_background.then(|| Watch {
                cache: Weak::<Inner<K, V, S>>::clone(inner),
                begun: AtomicBool::new(false),
            }),
        });
        Self { inner }
    }

    /// The value of a key, which counts as a use.
    #[inline]
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V>
    where
        V: Clone,
    {
        let found = self.inner.read(key, true, |value, _| value.clone());
        self.count(found.is_some());
        found
    }

    /// The value of a key and how much longer it lives, which counts as a use.
    pub fn get_with_ttl<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<(V, TtlState)>
    where
        V: Clone,
    {
        let pick = |value: &V, deadline| (value.clone(), self.inner.remaining(deadline));
        let found = self.inner.read(key, true, pick);
        self.count(found.is_some());
        found
    }

    /// What `look` makes of the value of a key, which counts as a use, without cloning it.
    ///
    /// It runs under a lock and must not use the cache.
    ///
    /// ```
    /// use larder_engine::Cache;
    ///
    /// let cache = Cache::<u8, String>::new(100);
    /// cache.insert(1, "a long text".to_owned());
    /// assert_eq!(cache.get_map(&1, String::len), Some(11));
    /// ```
    #[inline]
    pub fn get_map<Q: Hash + Equivalent<K> + ?Sized, T>(
        &self,
        key: &Q,
        look: impl FnOnce(&V) -> T,
    ) -> Option<T> {
        let found = self.inner.read(key, true, |value, _| look(value));
        self.count(found.is_some());
        found
    }

    /// The value of a key; the policy and the statistics do not notice.
    pub fn peek<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V>
    where
        V: Clone,
    {
        self.inner.read(key, false, |value, _| value.clone())
    }

    /// Whether a key is there; the policy and the statistics do not notice.
    pub fn contains_key<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.inner.read(key, false, |_, _| ()).is_some()
    }

    /// Stores a value with the default lifetime; `false` if it can never fit.
    ///
    /// A value that does not fit removes the older value of its key.
    pub fn insert(&self, key: K, value: V) -> bool {
        self.insert_with_ttl(key, value, Ttl::Default)
    }

    /// Stores a value with a lifetime; `false` if it can never fit.
    ///
    /// With a lifetime of zero nothing is stored and an older value is removed.
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: impl Into<Ttl>) -> bool {
        let (ttl, mut value) = (ttl.into(), Some(value));
        let computed = self.inner.write(key, |_, unsaved| {
            let value = unsaved.or_else(|| value.take());
            Change::Insert(value.expect("offered again until it is stored"), ttl)
        });
        computed != Computed::Refused
    }

    /// Changes the entry of a key in one step, given its present value.
    ///
    /// `change` runs under a lock and must not use the cache. It may run more
    /// than once, with what is present then, if room had to be made.
    pub fn compute(&self, key: K, mut change: impl FnMut(Option<&V>) -> Change<V>) -> Computed {
        // Values that found no room are dropped here, not under the lock.
        let mut outdated = Vec::new();
        self.inner.write(key, |value, unsaved| {
            outdated.extend(unsaved);
            change(value)
        })
    }

    /// Removes a key and returns its value.
    pub fn remove<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.inner.remove(key)
    }

    /// Gives a key another lifetime; whether it was there.
    ///
    /// A lifetime of zero removes it.
    pub fn set_ttl<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q, ttl: impl Into<Ttl>) -> bool {
        let ttl = ttl.into();
        if ttl.is_zero() {
            return self.remove(key).is_some();
        }
        self.inner.retime(key, ttl)
    }

    /// How much longer a key lives if it is not used; `None` if it is not there.
    pub fn ttl<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<TtlState> {
        let deadline = self.inner.read(key, false, |_, deadline| deadline)?;
        Some(self.inner.remaining(deadline))
    }

    /// Removes all entries and tells how many were live.
    pub fn clear(&self) -> u64 {
        self.sweep();
        self.inner.clear()
    }

    /// How many entries are there; removes the expired ones first.
    pub fn len(&self) -> u64 {
        self.sweep();
        self.inner.budget.entries.used()
    }

    /// Whether there is no entry; removes the expired ones first.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all entries weigh together; removes the expired ones first.
    pub fn weight(&self) -> u64 {
        self.sweep();
        self.inner.budget.weight.used()
    }

    /// The limit of entries, if there is one.
    pub fn max_entries(&self) -> Option<u64> {
        Some(self.inner.budget.entries.max()).filter(|max| *max != u64::MAX)
    }

    /// The limit of weight, if there is one.
    pub fn max_weight(&self) -> Option<u64> {
        Some(self.inner.budget.weight.max()).filter(|max| *max != u64::MAX)
    }

    /// Sets the limit of entries, at least 1, and evicts what is too much.
    pub fn set_max_entries(&self, entries: u64) {
        self.inner.budget.entries.set_max(entries.max(1));
        self.inner.fit();
    }

    /// Sets the limit of weight, at least 1, and evicts what is too much.
    pub fn set_max_weight(&self, weight: u64) {
        self.inner.budget.weight.set_max(weight.max(1));
        self.inner.fit();
    }

    /// Which entry goes when room is needed.
    pub fn policy(&self) -> Policy {
        self.inner.policy_name
    }

    /// Removes what has expired, in steps of at most 64 entries under one lock.
    ///
    /// On the system clock this happens by itself.
    pub fn sweep(&self) {
        self.inner.sweep();
    }

    /// All live entries, by clone, in no particular order.
    ///
    /// An entry that is there all the while appears once; one that comes or goes
    /// meanwhile may or may not. 64 slots are looked at under one lock.
    pub fn iter(&self) -> Iter<'_, K, V, S>
    where
        K: Clone,
        V: Clone,
    {
        Iter::new(&self.inner)
    }

    /// What `pick` makes of each live entry, without cloning the others.
    ///
    /// It runs under a lock and must not use the cache.
    pub fn filter_map<T>(&self, mut pick: impl FnMut(&K, &V) -> Option<T>) -> Vec<T> {
        let mut picked = Vec::new();
        self.inner.for_each_stretch(|entries| {
            picked.extend(entries.filter_map(|(key, value)| pick(key, value)));
        });
        picked
    }

    /// The keys in the order in which they would go, the next victim first; at
    /// most `limit` of them.
    ///
    /// True under the exact policies, about right under the others.
    ///
    /// Looks at all entries: for finding out why something was evicted.
    pub fn eviction_order(&self, limit: usize) -> Vec<K>
    where
        K: Clone,
    {
        self.inner.eviction_order(limit)
    }

    /// What the cache has done, and how full it is.
    ///
    /// Sizes are weights: bytes, if the weigher counts bytes.
    pub fn stats(&self) -> CacheStats {
        let (entries, weight) = (self.len(), self.inner.budget.weight.used());
        let mut stats = self.inner.stats.snapshot();
        stats.current_entries = entries;
        stats.current_size_bytes = weight;
        stats.max_size_bytes = self.max_weight();
        stats
    }

    #[inline]
    fn count(&self, found: bool) {
        let counter = if found { Counter::Hit } else { Counter::Miss };
        self.inner.stats.add(counter, 1);
    }

    /// Checks every invariant; panics if one does not hold.
    ///
    /// No other thread may use the cache meanwhile, and nothing may be loading.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub fn validate(&self) {
        self.inner.validate();
    }
}

impl<'a, K, V, S> IntoIterator for &'a Cache<K, V, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V, S>;

    fn into_iter(self) -> Iter<'a, K, V, S> {
        self.iter()
    }
}

impl<K, V, S> Clone for Cache<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K, V, S> fmt::Debug for Cache<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("policy", &self.inner.policy_name)
            .field("shards", &self.inner.shards.len())
            .field("budget", &self.inner.budget)
            .finish_non_exhaustive()
    }
}
