//! Several backends as one, nearest first.

mod arrivals;
mod backend;
mod fence;
mod hear;
mod keyed;
mod lease;
mod missed;
mod news;
mod packed;
mod read;
mod remove;
mod replay;
mod tier;
mod tokens;
mod write;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use larder_core::{
    CacheBackend, CacheEntry, Capability, Clock, ConfigError, Result, SetOptions, SharedBackend,
    StatsRecorder, SystemClock, settings,
};

use larder_memory::InMemoryBackend;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

pub(crate) use arrivals::{Hearing, Told};
use fence::Fences;
pub(crate) use fence::Ticket;
use keyed::Keyed;
pub(crate) use lease::{Lease, Turn};
use missed::Missed;
pub(crate) use news::{News, Teller};
pub(crate) use read::TaggedWatch as Changes;
pub(crate) use replay::is_away;
pub(crate) use tier::Tier;
use tokens::Tokens;

/// The name as a backend.
const NAME: &str = "tiers";
/// Most tiers: each miss asks all of them.
const MOST_TIERS: usize = 8;
/// How long what was seen of tags is believed.
const TAGS_BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Several backends as one: reads ask the nearest first, writes go to all of them.
///
/// The last one is the farthest: what several programs share, or what survives them. It
/// decides; nearer ones have copies, which live no longer than what they are copies of. A
/// read that had to go farther puts what it found into the nearer ones, unless somebody
/// has changed that key meanwhile. What other programs change is seen when a copy ends.
///
/// ```
/// use larder_manager::Tiers;
/// use larder_memory::InMemoryBackend;
/// use std::time::Duration;
///
/// # let far = InMemoryBackend::default();
/// let tiers = Tiers::builder()
///     // Copies are asked for again after a second.
///     .tier_for(InMemoryBackend::default(), Duration::from_secs(1))
///     .tier(far)
///     .build()?;
/// # Ok::<(), larder_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tiers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The nearest first, at least one.
    tiers: Vec<Tier>,
    keyed: Keyed,
    /// Where tags are kept if not all tiers keep them themselves.
    tokens: Option<Tokens>,
    /// Where removals leave fences, if the farthest tier is shared.
    fences: Option<Fences>,
    /// How often tags were invalidated.
    tag_changes: AtomicU64,
    /// Tells other programs what changed.
    teller: Option<Teller>,
    /// Whether everything is heard that they change.
    is_told: Arc<AtomicBool>,
    /// What the farthest tier has missed.
    missed: Missed,
    /// Does what was missed.
    replaying: Mutex<Option<JoinHandle<()>>>,
    me: Weak<Inner>,
    default_ttl: Option<Duration>,
    clock: Arc<dyn Clock>,
    stats: Arc<StatsRecorder>,
}

impl Tiers {
    /// Tiers, to be given.
    pub fn builder() -> TiersBuilder {
        TiersBuilder::default()
    }

    /// The first tier, if it is in the memory of this process.
    pub(crate) fn near(&self) -> Option<&InMemoryBackend> {
        self.0.tiers[0].memory.as_ref()
    }

    /// The tiers, nearest first.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &SharedBackend> {
        self.0.tiers.iter().map(|tier| &tier.backend)
    }

    /// Who hears what other programs change.
    pub(crate) fn listen(&self) -> Option<Hearing> {
        let teller = self.0.teller.as_ref()?;
        Some(Hearing::new(teller.listen(), teller.node))
    }

    /// Goes by what was heard.
    pub(crate) async fn go_by(&self, told: &Told) {
        match told {
            Told::News(news) => self.0.heard(news).await,
            Told::Listening | Told::Lost => {
                // Ordering: relaxed, what was stored until now is distrusted.
                let is_told = matches!(told, Told::Listening);
                self.0.is_told.store(is_told, Ordering::Relaxed);
                self.0.distrust();
            }
            Told::Gap => self.0.distrust(),
        }
    }

    /// How many changes the farthest tier has missed and does not know of yet.
    pub(crate) fn missed(&self) -> usize {
        self.0.missed.len()
    }

    pub(crate) fn default_ttl(&self) -> Option<Duration> {
        self.0.default_ttl
    }

    /// The entry from the first tier behind the nearest that has it; it is near then.
    pub(crate) async fn find_farther(&self, key: &str) -> Result<Option<CacheEntry>> {
        self.0.find_farther(key).await
    }

    /// Notices changes of a key and of tags from now on.
    pub(crate) fn watch(&self, key: &str) -> Changes<'_> {
        self.0.watch(key)
    }

    /// A ticket for each of these keys, for a load that begins now; none if the farthest
    /// tier is not shared or cannot be asked.
    pub(crate) async fn tickets(&self, keys: &[&str], tags: &[String]) -> Vec<Option<Ticket>> {
        if let Some(fences) = &self.0.fences
            // So that tags have tokens to be compared with.
            && self.0.stamp(tags).await.is_ok()
            && let Ok(tickets) = fences.tickets(keys, tags).await
        {
            return tickets.into_iter().map(Some).collect();
        }
        keys.iter().map(|_| None).collect()
    }

    /// Whose turn it is to load a key, among the programs that share the farthest tier.
    pub(crate) async fn turn(&self, key: &str) -> Turn {
        let last = &self.0.split().0.backend;
        match &self.0.fences {
            Some(_) => lease::ask(last, &self.0.clock, key).await,
            None => Turn::Everybodys,
        }
    }

    /// Stores a value that was made of what was true when `changes` began; whether there
    /// were none.
    pub(crate) async fn settle(
        &self,
        changes: Changes<'_>,
        ticket: Option<&Ticket>,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool> {
        self.0.settle(changes, ticket, key, value, options).await
    }
}

/// Settings of [`Tiers`].
///
/// Without any but the tiers: no default lifetime, copies live as long as what they are
/// copies of.
///
/// ```
/// use larder_manager::Tiers;
/// use larder_memory::InMemoryBackend;
///
/// let error = Tiers::builder().build().unwrap_err();
/// assert_eq!(error.field(), "tiers");
/// assert!(Tiers::builder().tier(InMemoryBackend::default()).build().is_ok());
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct TiersBuilder {
    tiers: Vec<Tier>,
    default_ttl: Option<Duration>,
    tags_believed_for: Option<Duration>,
    teller: Option<Teller>,
    is_told: Arc<AtomicBool>,
    clock: Option<Arc<dyn Clock>>,
}

impl TiersBuilder {
    /// The next tier, farther than those before.
    pub fn tier(mut self, backend: impl CacheBackend) -> Self {
        self.tiers.push(Tier::new(backend, None));
        self
    }

    /// Tells other programs what changed, through this backplane.
    pub(crate) fn teller(mut self, teller: Teller) -> Self {
        self.teller = Some(teller);
        self
    }

    /// Whether everything is heard that others change, for tiers that keep copies longer
    /// then.
    pub(crate) fn is_told(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_told)
    }

    pub(crate) fn place(mut self, tier: Tier) -> Self {
        self.tiers.push(tier);
        self
    }

    /// The next tier, which keeps its copies for this long at most. What is in the last
    /// tier is no copy: there this is the longest lifetime of all.
    pub fn tier_for(mut self, backend: impl CacheBackend, at_most: Duration) -> Self {
        self.tiers.push(Tier::new(backend, Some(at_most)));
        self
    }

    /// How long entries live unless told otherwise; what the tiers say themselves does not
    /// count.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = Some(ttl);
        self
    }

    /// How long what was seen of tags is believed, a second unless set: so late another
    /// program may be seen to have invalidated them.
    ///
    /// This is about tiers that do not keep tags themselves. There tags have tokens in
    /// the last tier, and an entry with tags lives for 30 days at most.
    pub fn tags_believed_for(mut self, time: Duration) -> Self {
        self.tags_believed_for = Some(time);
        self
    }

    /// Where the time comes from.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The tiers as one.
    ///
    /// # Errors
    ///
    /// If there is none or there are too many, if one behind the first does not tell how
    /// long its entries live, or a time is zero.
    pub fn build(self) -> Result<Tiers, ConfigError> {
        let count = self.tiers.len();
        if count == 0 || count > MOST_TIERS {
            return Err(ConfigError::new(
                "tiers",
                count,
                format!("1 to {MOST_TIERS}"),
            ));
        }
        if self.tiers.iter().any(|tier| tier.backend.name() == NAME) {
            let allowed = "the tiers of it, one after another";
            return Err(ConfigError::new("tiers", "tiers within tiers", allowed));
        }
        let mut farther = self.tiers.iter().skip(1);
        if let Some(tier) = farther.find(|tier| !tier.has(Capability::Entries)) {
            let name = tier.backend.name();
            let given = format!("{name:?}, which does not tell how long entries live");
            let allowed = "first, or a backend with get_entry";
            return Err(ConfigError::new("tiers", given, allowed));
        }
        settings::check_times(&[
            ("default_ttl", self.default_ttl),
            ("tags_believed_for", self.tags_believed_for),
        ])?;
        for tier in &self.tiers {
            settings::check_times(&[("tier_for", tier.at_most)])?;
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let mut tiers = self.tiers;
        let last = tiers.last_mut().expect("there is at least one");
        let fences = last
            .has(Capability::Shared)
            .then(|| Fences::new(last.backend.clone(), Arc::clone(&clock)));
        let tokens = if tiers.iter().all(|tier| tier.keeps_tags) {
            None
        } else {
            let last = tiers.last_mut().expect("there is at least one");
            // It has the tokens that the others need.
            last.keeps_tags = false;
            let store = last.backend.clone();
            let believed_for = self.tags_believed_for.unwrap_or(TAGS_BELIEVED_FOR);
            Some(Tokens::new(store, believed_for, Arc::clone(&clock)))
        };
        Ok(Tiers(Arc::new_cyclic(|me| Inner {
            teller: self.teller,
            is_told: self.is_told,
            missed: Missed::default(),
            replaying: Mutex::default(),
            me: Weak::clone(me),
            tiers,
            keyed: Keyed::new(),
            fences,
            tokens,
            tag_changes: AtomicU64::new(0),
            default_ttl: self.default_ttl,
            clock,
            stats: Arc::default(),
        })))
    }
}
