//! Setting up a cache.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder_core::{
    Backplane, CacheBackend, Capability, Clock, ConfigError, Layer, SharedBackend, SystemClock,
    Ttl, settings,
};
use larder_layers::{Breaker, Namespace, Timeout};
use larder_memory::InMemoryBackend;
use tokio::runtime::Handle;

use super::listening::Listening;
use super::{CacheManager, Inner, OnError};
use crate::codec::SerializerType;
use crate::load::Loads;
use crate::tiers::{Teller, Tier, Tiers};

/// How long an operation on one tier may take.
const DEFAULT_BUDGET: Duration = Duration::from_secs(1);
/// How much longer one that looks at all keys.
const SWEEPS: u32 = 60;
/// How long a tier is left alone that has failed again and again: at first, and at most.
const REST: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// How long entries live unless told otherwise.
const DEFAULT_TTL: Duration = Duration::from_secs(300);
/// How long what others change may go unnoticed.
const DEFAULT_STALENESS: Duration = Duration::from_secs(1);
/// Where news are told, behind the prefix.
const CHANNEL: &str = "~larder:news";
/// Entries in memory.
const MEMORY_ENTRIES: u64 = 10_000;
/// Bytes of values in memory.
const MEMORY_BYTES: u64 = 100 * 1024 * 1024;

/// Settings of a [`CacheManager`].
///
/// Without any but the tiers: no prefix, a lifetime of 300 s, JSON, fail-open, and what
/// other programs change is seen within a second.
///
/// ```
/// use larder_manager::{CacheManager, SerializerType};
/// use larder_memory::InMemoryBackend;
/// use std::time::Duration;
///
/// # let shared = InMemoryBackend::default();
/// let cache = CacheManager::builder()
///     .prefix("myapp")
///     .memory()
///     .tier(shared)
///     .default_ttl(Duration::from_secs(60))
///     .serializer(SerializerType::MsgPack)
///     .build()?;
/// # Ok::<(), larder_core::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct CacheManagerBuilder {
    tiers: Vec<Place>,
    prefix: String,
    default_ttl: Ttl,
    serializer: SerializerType,
    on_error: OnError,
    staleness: Option<Duration>,
    budget: Option<Duration>,
    backplane: Option<Arc<dyn Backplane>>,
    clock: Option<Arc<dyn Clock>>,
}

/// What is at a place among the tiers.
#[derive(Debug)]
enum Place {
    Memory,
    Given(Tier),
}

impl CacheManagerBuilder {
    pub(super) fn new() -> Self {
        Self {
            tiers: Vec::new(),
            prefix: String::new(),
            default_ttl: Ttl::After(DEFAULT_TTL),
            serializer: SerializerType::default(),
            on_error: OnError::default(),
            staleness: None,
            budget: None,
            backplane: None,
            clock: None,
        }
    }

    /// The next tier is memory: 10,000 entries and 100 MB of values at most. For other
    /// limits give an [`InMemoryBackend`] to [`tier`](Self::tier).
    pub fn memory(mut self) -> Self {
        self.tiers.push(Place::Memory);
        self
    }

    /// The next tier, farther than those before. Memory that is the first one belongs to
    /// this cache alone.
    pub fn tier(mut self, backend: impl CacheBackend) -> Self {
        self.tiers.push(Place::Given(Tier::new(backend, None)));
        self
    }

    /// The next tier, which keeps its copies for this long at most.
    pub fn tier_for(mut self, backend: impl CacheBackend, at_most: Duration) -> Self {
        let tier = Tier::new(backend, Some(at_most));
        self.tiers.push(Place::Given(tier));
        self
    }

    /// What all keys begin with in tiers that others may use too: `myapp` stores `user:1`
    /// as `myapp:user:1`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// How long entries live unless told otherwise; [`Ttl::Never`] for as long as there
    /// is room.
    pub fn default_ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.default_ttl = ttl.into();
        self
    }

    /// How values become bytes.
    pub fn serializer(mut self, serializer: SerializerType) -> Self {
        self.serializer = serializer;
        self
    }

    /// What to do if no tier can be reached.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// How long it may go unnoticed that another program has changed or removed
    /// something. So long copies live at most, if the last tier is shared.
    pub fn staleness(mut self, at_most: Duration) -> Self {
        self.staleness = Some(at_most);
        self
    }

    /// How programs with this cache tell each other what changed: then copies live as long
    /// as what they are copies of. While nothing is heard they do as without a backplane,
    /// and what was copied before is compared with the last tier before it is served again.
    pub fn backplane(mut self, backplane: impl Backplane) -> Self {
        self.backplane = Some(Arc::new(backplane));
        self
    }

    /// How long an operation on one tier may take, a second unless set; then the next
    /// tier is asked. One that looks at all keys may take a minute for each second. A tier
    /// that fails again and again is left alone for a moment.
    pub fn budget(mut self, time: Duration) -> Self {
        self.budget = Some(time);
        self
    }

    /// Where the time comes from.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The cache. Nothing is connected to yet: that happens with the first use; but with a
    /// backplane it begins to listen.
    ///
    /// # Errors
    ///
    /// If there is no tier or there are too many, a setting is out of range, or there is a
    /// backplane but no tokio runtime to listen in.
    pub fn build(self) -> Result<CacheManager, ConfigError> {
        let default_ttl = self.default_ttl.resolve(Some(DEFAULT_TTL));
        settings::check_times(&[
            ("default_ttl", default_ttl),
            ("staleness", self.staleness),
            ("budget", self.budget),
        ])?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let prefix = settings::with_colon(self.prefix);
        let space = match prefix.as_str() {
            "" => None,
            prefix => Some(Namespace::new(prefix)?),
        };
        let staleness = self.staleness.unwrap_or(DEFAULT_STALENESS);
        let mut tiers = Tiers::builder()
            .tags_believed_for(staleness)
            .clock(Arc::clone(&clock));
        if let Some(ttl) = default_ttl {
            tiers = tiers.default_ttl(ttl);
        }
        let budget = self.budget.unwrap_or(DEFAULT_BUDGET);
        let is_shared = match self.tiers.last() {
            Some(Place::Given(tier)) => tier.has(Capability::Shared),
            Some(Place::Memory) | None => false,
        };
        let count = self.tiers.len();
        for (place, tier) in self.tiers.into_iter().enumerate() {
            let mut tier = match tier {
                Place::Memory => Tier::new(memory(&clock)?, None),
                Place::Given(tier) => tier,
            };
            let is_near_memory = place == 0 && tier.memory.is_some();
            if !is_near_memory {
                tier = prepared(tier, budget, space.as_ref(), &clock)?;
            }
            if is_shared && place + 1 < count {
                if is_near_memory {
                    tier.untold = Some((staleness, tiers.is_told()));
                } else {
                    tier.at_most = Some(tier.at_most.unwrap_or(staleness).min(staleness));
                }
            }
            tiers = tiers.place(tier);
        }
        // Before anybody listens: those who do so start tasks.
        let runtime = self.backplane.as_ref().map(|_| runtime()).transpose()?;
        if let Some(backplane) = self.backplane {
            let channel = format!("{prefix}{CHANNEL}");
            tiers = tiers.teller(Teller::new(backplane, channel));
        }
        let tiers = tiers.build()?;
        let inner = Arc::new(Inner {
            listening: OnceLock::new(),
            near: tiers.near().cloned(),
            cache: SharedBackend::new(tiers.clone()),
            tiers,
            prefix,
            serializer: self.serializer,
            on_error: self.on_error,
            loads: Loads::new(Arc::clone(&clock)),
            clock,
            stats: Arc::default(),
        });
        if let Some(runtime) = runtime
            && let Some(hearing) = inner.tiers.listen()
        {
            // Not before: what is heard at once has to find the cache.
            let listening = Listening::start(&runtime, hearing, &inner);
            let _ = inner.listening.set(listening);
        }
        Ok(CacheManager(inner))
    }
}

fn runtime() -> Result<Handle, ConfigError> {
    let allowed = "none outside a tokio runtime, which listens";
    Handle::try_current().map_err(|error| ConfigError::new("backplane", error, allowed))
}

/// The tier with an end to waiting, rest when it fails, and the prefix of the cache.
fn prepared(
    tier: Tier,
    budget: Duration,
    space: Option<&Namespace>,
    clock: &Arc<dyn Clock>,
) -> Result<Tier, ConfigError> {
    let timeout = Timeout::new(budget)?.sweeps(budget.saturating_mul(SWEEPS))?;
    let breaker = Breaker::new().pauses(REST.0, REST.1);
    let breaker = breaker.clock(Arc::clone(clock));
    let mut backend = breaker.layer(timeout.layer(tier.backend));
    if let Some(space) = space {
        backend = space.layer(backend);
    }
    Ok(Tier::new(backend, tier.at_most))
}

fn memory(clock: &Arc<dyn Clock>) -> Result<InMemoryBackend, ConfigError> {
    InMemoryBackend::builder()
        .max_size_bytes(MEMORY_BYTES)
        .max_entries(MEMORY_ENTRIES)
        .clock(Arc::clone(clock))
        .build()
}
