//! Settings of a cache, checked when it is built.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use larder_core::clock::{Clock, SystemClock};
use larder_core::error::ConfigError;

use crate::cache::{Cache, Settings};
use crate::policy::Policy;
use crate::removal::{Listener, RemovalCause};

/// Most shards of a cache.
const MAX_SHARDS: usize = 1024;
/// Entries per shard to aim for, so that no lock covers too much and no index
/// takes long to grow.
const ENTRIES_PER_SHARD: u64 = 8_192;
/// Entries per shard at least, so that each has enough to choose from.
const FEWEST_PER_SHARD: u64 = 256;
/// What an entry is taken to weigh, if there is a weigher: bytes, most likely.
const USUAL_WEIGHT: u64 = 1024;

/// What an entry counts against the weight limit.
pub(crate) type Weigher<K, V> = Arc<dyn Fn(&K, &V) -> u64 + Send + Sync>;

/// Settings of a [`Cache`].
///
/// At least one limit is needed; with both, the one reached first counts.
///
/// ```
/// use larder_engine::{Cache, Policy};
/// use std::time::Duration;
///
/// let cache: Cache<u64, String> = Cache::builder()
///     .max_entries(10_000)
///     .max_weight(1 << 20)
///     .weigher(|_key, text: &String| text.len() as u64)
///     .policy(Policy::Lfu)
///     .time_to_live(Duration::from_secs(60))
///     .build()?;
/// assert!(cache.insert(1, "one".to_owned()));
/// # Ok::<(), larder_core::ConfigError>(())
/// ```
#[must_use]
pub struct CacheBuilder<K, V, S = RandomState> {
    max_entries: Option<u64>,
    max_weight: Option<u64>,
    weigher: Option<Weigher<K, V>>,
    policy: Policy,
    time_to_live: Option<Duration>,
    time_to_idle: Option<Duration>,
    clock: Option<Arc<dyn Clock>>,
    listener: Option<Listener<K, V>>,
    shards: Option<usize>,
    hasher: S,
}

impl<K, V> CacheBuilder<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            max_entries: None,
            max_weight: None,
            weigher: None,
            policy: Policy::default(),
            time_to_live: None,
            time_to_idle: None,
            clock: None,
            listener: None,
            shards: None,
            hasher: RandomState::default(),
        }
    }
}

impl<K, V, S> CacheBuilder<K, V, S> {
    /// Most entries, at least 1.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// Most weight of all entries together, at least 1.
    pub fn max_weight(mut self, weight: u64) -> Self {
        self.max_weight = Some(weight);
        self
    }

    /// What an entry weighs; 1 without this.
    ///
    /// An entry of more than `u32::MAX`, or of more than the limit, is refused.
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        self.weigher = Some(Arc::new(weigher));
        self
    }

    /// Which entry goes when room is needed; [`Policy::Adaptive`] without this.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How long entries live unless told otherwise; forever without this.
    pub fn time_to_live(mut self, lifetime: Duration) -> Self {
        self.time_to_live = Some(lifetime);
        self
    }

    /// How long an entry lives without being used; every hit starts it anew.
    ///
    /// It never extends the lifetime of an entry.
    pub fn time_to_idle(mut self, idle: Duration) -> Self {
        self.time_to_idle = Some(idle);
        self
    }

    /// Where the time comes from; the system without this.
    ///
    /// With a clock of your own nothing happens in the background: expired
    /// entries give their memory back when you call [`Cache::sweep`], and through
    /// the cache's own operations.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// A function that hears of every entry that goes, after the fact.
    ///
    /// It runs on the thread whose operation removed the entry, outside all
    /// locks, and may use the cache.
    pub fn on_removal(
        mut self,
        listener: impl Fn(&K, &V, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Into how many parts the cache is divided, a power of two up to 1024.
    ///
    /// It changes how many threads can write at once and, unless the policy is exact,
    /// among how many entries a victim is chosen. Chosen from the processors and the
    /// size of the cache without this; if only the weight is limited, it is taken for
    /// bytes, and an entry for one of a KiB.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// How keys are hashed.
    pub fn hasher<S2>(self, hasher: S2) -> CacheBuilder<K, V, S2> {
        CacheBuilder {
            max_entries: self.max_entries,
            max_weight: self.max_weight,
            weigher: self.weigher,
            policy: self.policy,
            time_to_live: self.time_to_live,
            time_to_idle: self.time_to_idle,
            clock: self.clock,
            listener: self.listener,
            shards: self.shards,
            hasher,
        }
    }

    /// The cache.
    ///
    /// # Errors
    ///
    /// If a setting is out of range, or there is no limit at all.
    pub fn build(self) -> Result<Cache<K, V, S>, ConfigError>
    where
        K: Hash + Eq + Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: BuildHasher + Send + Sync + 'static,
    {
        self.check()?;
        let shards = self
            .shards
            .unwrap_or_else(|| shards_for(self.usual_entries()));
        let in_background = self.clock.is_none();
        Ok(Cache::new_with(Settings {
            max_entries: self.max_entries,
            max_weight: self.max_weight,
            weigher: self.weigher,
            policy: self.policy,
            time_to_live: self.time_to_live,
            time_to_idle: self.time_to_idle,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            in_background,
            listener: self.listener,
            shards,
            hasher: self.hasher,
        }))
    }

    /// How many entries there will be at most, as far as one can tell.
    fn usual_entries(&self) -> u64 {
        let usual_weight = if self.weigher.is_some() {
            USUAL_WEIGHT
        } else {
            1
        };
        let by_weight = self.max_weight.map(|weight| weight / usual_weight);
        let limits = [self.max_entries, by_weight];
        limits.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.max_entries.is_none() && self.max_weight.is_none() {
            let allowed = "max_entries, max_weight, or both";
            return Err(ConfigError::new("limit", "missing", allowed));
        }
        let limits = [
            ("max_entries", self.max_entries),
            ("max_weight", self.max_weight),
        ];
        for (field, limit) in limits {
            if limit == Some(0) {
                return Err(ConfigError::new(field, 0, "at least 1"));
            }
        }
        let times = [
            ("time_to_live", self.time_to_live),
            ("time_to_idle", self.time_to_idle),
        ];
        for (field, time) in times {
            if time == Some(Duration::ZERO) {
                return Err(ConfigError::new(field, "0 s", "more than 0"));
            }
        }
        match self.shards {
            Some(shards) if !shards.is_power_of_two() || shards > MAX_SHARDS => {
                let allowed = format!("a power of two up to {MAX_SHARDS}");
                Err(ConfigError::new("shards", shards, allowed))
            }
            _ => Ok(()),
        }
    }
}

/// Enough shards for the processors and for the entries, few for small caches.
fn shards_for(entries: u64) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let parallel = processors * 8;
    let whole = |shards: u64| usize::try_from(shards).unwrap_or(MAX_SHARDS);
    parallel
        .max(whole(entries / ENTRIES_PER_SHARD))
        .min(whole(entries / FEWEST_PER_SHARD))
        .clamp(1, MAX_SHARDS)
        .next_power_of_two()
}

impl<K, V, S> fmt::Debug for CacheBuilder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("max_entries", &self.max_entries)
            .field("max_weight", &self.max_weight)
            .field("policy", &self.policy)
            .field("time_to_live", &self.time_to_live)
            .field("time_to_idle", &self.time_to_idle)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(builder: CacheBuilder<u8, u8>) -> String {
        builder.build().expect_err("a wrong setting").to_string()
    }

    #[test]
    fn wrong_settings_are_named_with_what_is_allowed() {
        let new = CacheBuilder::<u8, u8>::new;
        let table = [
            (
                new(),
                "limit is missing, allowed is max_entries, max_weight, or both",
            ),
            (
                new().max_entries(0),
                "max_entries is 0, allowed is at least 1",
            ),
            (
                new().max_weight(0),
                "max_weight is 0, allowed is at least 1",
            ),
            (
                new().max_entries(1).time_to_idle(Duration::ZERO),
                "time_to_idle is 0 s, allowed is more than 0",
            ),
            (
                new().max_entries(1).shards(3),
                "shards is 3, allowed is a power of two up to 1024",
            ),
        ];
        for (builder, expected) in table {
            assert_eq!(refusal(builder), expected);
        }
    }

    #[test]
    fn shards_follow_the_size() {
        let shards = |builder: CacheBuilder<u8, u8>| shards_for(builder.usual_entries());
        let new = CacheBuilder::<u8, u8>::new;
        assert_eq!(shards(new().max_entries(1)), 1);
        assert!(shards(new().max_entries(100_000)) >= 8);
        assert_eq!(shards(new().max_entries(u64::MAX)), MAX_SHARDS);
        let weighed = || new().weigher(|_, value| u64::from(*value));
        assert_eq!(shards(weighed().max_weight(100_000)), 1);
        assert_eq!(shards(weighed().max_weight(1 << 40).max_entries(9)), 1);
        assert!(shards(weighed().max_weight(100 << 20)) >= 8);
    }
}
