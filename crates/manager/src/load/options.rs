//! How to load, and what a loader may say.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Metadata, SetOptions, Ttl};
use parking_lot::Mutex;

/// How long a loader may take.
const HARD_TIMEOUT: Duration = Duration::from_secs(30);

/// How [`get_or_load`](crate::CacheManager::get_or_load) goes about it.
///
/// Without any setting: the lifetime of the cache, nothing stale is ever served, and a
/// loader has 30 s.
///
/// ```
/// use larder_manager::LoadOptions;
/// use std::time::Duration;
///
/// let options = LoadOptions::new()
///     .with_ttl(Duration::from_secs(60))
///     .with_tags(["users"])
///     // For an hour an old value is better than none.
///     .with_stale_for(Duration::from_secs(3_600))
///     // And better than waiting longer than this.
///     .with_soft_timeout(Duration::from_millis(100));
/// assert_eq!(options.stale_for, Some(Duration::from_secs(3_600)));
///
/// // A lifetime alone is enough where options are expected.
/// let options = LoadOptions::from(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// How long the value is fresh.
    pub ttl: Ttl,
    /// By how much of itself the lifetime may be shorter, from 0 to 1: so that what was
    /// stored together does not end together.
    pub jitter: f64,
    /// Names under which it can be invalidated together with others.
    pub tags: Vec<String>,
    /// What the application wants to remember about it.
    pub metadata: Metadata,
    /// How much longer than fresh it is kept, to be served if no better one can be had:
    /// at once, if loading can go on in the background; else if the loader fails.
    pub stale_for: Option<Duration>,
    /// After which part of its lifetime it is loaded again in the background when it is
    /// asked for, from 0 to 1.
    pub refresh_after: Option<f64>,
    /// How long to wait for a better value than a stale one.
    pub soft_timeout: Option<Duration>,
    /// How long a loader may take at all.
    pub hard_timeout: Duration,
}

impl LoadOptions {
    /// No setting.
    pub fn new() -> Self {
        Self {
            ttl: Ttl::Default,
            jitter: 0.0,
            tags: Vec::new(),
            metadata: Metadata::new(),
            stale_for: None,
            refresh_after: None,
            soft_timeout: None,
            hard_timeout: HARD_TIMEOUT,
        }
    }

    /// The same options with a lifetime.
    #[must_use]
    pub fn with_ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.ttl = ttl.into();
        self
    }

    /// The same options with lifetimes that are shorter by up to this part.
    #[must_use]
    pub fn with_jitter(mut self, part: f64) -> Self {
        self.jitter = part;
        self
    }

    /// The same options with tags.
    #[must_use]
    pub fn with_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The same options with metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same options, with values kept this much longer than they are fresh.
    #[must_use]
    pub fn with_stale_for(mut self, time: Duration) -> Self {
        self.stale_for = Some(time);
        self
    }

    /// The same options, with values loaded again after this part of their lifetime.
    #[must_use]
    pub fn with_refresh_after(mut self, part: f64) -> Self {
        self.refresh_after = Some(part);
        self
    }

    /// The same options, with a limit to waiting if there is a stale value.
    #[must_use]
    pub fn with_soft_timeout(mut self, time: Duration) -> Self {
        self.soft_timeout = Some(time);
        self
    }

    /// The same options, with a limit to loading.
    #[must_use]
    pub fn with_hard_timeout(mut self, time: Duration) -> Self {
        self.hard_timeout = time;
        self
    }

    /// What it is stored with.
    pub(super) fn to_set(&self) -> SetOptions {
        let mut options = SetOptions::new().with_ttl(self.ttl);
        options.tags.clone_from(&self.tags);
        options.metadata.clone_from(&self.metadata);
        options
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Ttl> for LoadOptions {
    fn from(ttl: Ttl) -> Self {
        Self::new().with_ttl(ttl)
    }
}

impl From<Duration> for LoadOptions {
    fn from(ttl: Duration) -> Self {
        Self::new().with_ttl(ttl)
    }
}

/// What a loader can say about the value that it loads.
///
/// ```
/// use larder_core::{Ttl, TtlState};
/// use larder_manager::{CacheManager, Load};
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let cache = CacheManager::memory();
/// let fetch = |load: Load| async move {
///     // As long as the answer says; and together with all other pages.
///     load.ttl(Duration::from_secs(60));
///     load.tag("pages");
///     Ok::<_, std::io::Error>("a page".to_owned())
/// };
/// cache.get_or_load("/", Ttl::Default, fetch).await?;
/// assert!(cache.ttl("/").await?.and_then(TtlState::remaining) <= Some(Duration::from_secs(60)));
/// # Ok::<(), larder_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Load(Arc<Mutex<LoadOptions>>);

impl Load {
    pub(super) fn new(options: LoadOptions) -> Self {
        Self(Arc::new(Mutex::new(options)))
    }

    /// How long the value is fresh; with a lifetime of zero it is not stored.
    pub fn ttl(&self, ttl: impl Into<Ttl>) {
        self.0.lock().ttl = ttl.into();
    }

    /// One more tag.
    pub fn tag(&self, tag: impl Into<String>) {
        self.0.lock().tags.push(tag.into());
    }

    /// How much longer than fresh it is kept.
    pub fn stale_for(&self, time: Duration) {
        self.0.lock().stale_for = Some(time);
    }

    /// The value goes to those who wait for it, and is not stored.
    pub fn do_not_store(&self) {
        self.ttl(Duration::ZERO);
    }

    pub(super) fn decided(&self) -> LoadOptions {
        self.0.lock().clone()
    }
}
