//! Loading one key.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Counter, Result, Ttl};
use tokio::time::timeout;

use super::{Cause, Event, Fetched, Load, LoadOptions, failed, nested, timed_out};
use crate::codec::{Decoded, Freshness};
use crate::manager::{CacheManager, Inner, Value};
use crate::tiers::Changes;

/// Starts a refresh in the background, for loaders that can go on by themselves.
type Refresh<T, L> = fn(&Arc<Inner>, &str, LoadOptions, L) -> Option<Refreshing<T>>;

/// A refresh that goes on in the background.
type Refreshing<T> = tokio::task::JoinHandle<Result<T>>;

/// # Loading
///
/// What is missing in all tiers is loaded, stored in them, and returned. Of several
/// callers at the same time one loads and the others wait for its value; if it fails, the
/// next of them runs its own loader. What is stored is never older than a change or a
/// removal that was made meanwhile.
///
/// No tier that is away keeps a value from being loaded, and an old value that may still
/// be served ([`LoadOptions::stale_for`]) is better than an error: a call fails only if
/// neither a tier nor the loader has an answer.
impl CacheManager {
    /// The value of a key, loaded if it is missing.
    ///
    /// The loader is given a [`Load`] with which it can decide about lifetime and tags. It
    /// owns what it needs, so that it can go on in the background when there is something
    /// stale to serve meanwhile; that needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Of kind [`Load`](larder_core::ErrorKind::Load), with what the loader said as its
    /// source; of kind [`Timeout`](larder_core::ErrorKind::Timeout) if it took too long;
    /// and those of the caller.
    ///
    /// ```
    /// use larder_manager::CacheManager;
    /// use std::time::Duration;
    ///
    /// # async fn query(id: u64) -> std::io::Result<String> { Ok(format!("user {id}")) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let cache = CacheManager::memory();
    /// let minute = Duration::from_secs(60);
    /// let user: String = cache.get_or_load("user:7", minute, |_| query(7)).await?;
    /// assert_eq!(user, "user 7");
    /// # Ok::<(), larder_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[inline]
    pub async fn get_or_load<T, L, F, E>(
        &self,
        key: &str,
        options: impl Into<LoadOptions> + Send,
        load: L,
    ) -> Result<T>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        let options = options.into();
        if options.refresh_after.is_none()
            && let Some(value) = self.0.near(key)
        {
            return Ok(value);
        }
        let refresh = Inner::refresh::<T, L, F, E>;
        Box::pin(self.0.find_or_load(key, options, load, Some(refresh))).await
    }

    /// The value of a key, loaded if it is missing, by a loader that may borrow: so it ends
    /// when the caller gives up, and nothing is refreshed in the background.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load).
    #[inline]
    pub async fn get_or_load_here<T, L, F, E>(
        &self,
        key: &str,
        options: impl Into<LoadOptions> + Send,
        load: L,
    ) -> Result<T>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send,
        F: Future<Output = Result<T, E>> + Send,
        E: Into<Cause>,
    {
        let options = options.into();
        if let Some(value) = self.0.near(key) {
            return Ok(value);
        }
        Box::pin(self.0.find_or_load(key, options, load, None)).await
    }

    /// Loads a value whether it is there or not, and stores it.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load), but nothing stale stands for the value.
    pub async fn refresh<T, L, F, E>(
        &self,
        key: &str,
        options: impl Into<LoadOptions> + Send,
        load: L,
    ) -> Result<T>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send,
        F: Future<Output = Result<T, E>> + Send,
        E: Into<Cause>,
    {
        let changes = self.0.tiers.watch(key);
        let loaded = self.0.load(key, options.into(), load, changes).await?;
        loaded.take()
    }
}

impl Inner {
    async fn find_or_load<T, L, F, E>(
        self: &Arc<Self>,
        key: &str,
        options: LoadOptions,
        load: L,
        refresh: Option<Refresh<T, L>>,
    ) -> Result<T>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send,
        F: Future<Output = Result<T, E>> + Send,
        E: Into<Cause>,
    {
        let mut stale = None;
        if let Some(near) = self.near_decoded::<T>(key) {
            if near.is_fresh(|| self.clock.now()) {
                if let Some(refresh) = refresh.filter(|_| self.is_due(&options, &near)) {
                    let _in_the_background = refresh(self, key, options, load);
                }
                return Ok(near.value);
            }
            if let Some(refresh) = refresh {
                let limit = options.soft_timeout;
                let refreshing = refresh(self, key, options, load);
                return self.better_or_stale(near.value, refreshing, limit).await;
            }
            stale = Some(near);
        }
        let fetch = nested::scope(key, self.fetch(key, options, load, refresh, stale));
        self.loads.join(key, fetch).await?.take()
    }

    /// What the one does who loads for all.
    async fn fetch<T, L, F, E>(
        self: &Arc<Self>,
        key: &str,
        options: LoadOptions,
        load: L,
        refresh: Option<Refresh<T, L>>,
        near: Option<Decoded<T>>,
    ) -> Result<Fetched>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send,
        F: Future<Output = Result<T, E>> + Send,
        E: Into<Cause>,
    {
        if let Some(value) = self.near::<T>(key) {
            // Somebody has just loaded it.
            return self.fetched(value);
        }
        let changes = self.tiers.watch(key);
        let found = self.find_decoded::<T>(key).await;
        let found = found.inspect_err(|error| tracing::warn!(%error, "loading without a look"));
        let stale = match found.unwrap_or_default() {
            Some(found) if found.is_fresh(|| self.clock.now()) => {
                self.stats.add(Counter::Hit, 1);
                return self.fetched(found.value);
            }
            found => found.or(near),
        };
        self.stats.add(Counter::Miss, 1);
        let Some(stale) = stale else {
            return self.load(key, options, load, changes).await;
        };
        let limit = options.soft_timeout;
        if let Some(refresh) = refresh {
            let refreshing = refresh(self, key, options, load);
            let value = self.better_or_stale(stale.value, refreshing, limit).await?;
            return self.fetched(value);
        }
        let hard = options.hard_timeout;
        let loading = self.load(key, options, load, changes);
        if let Ok(Ok(loaded)) = timeout(limit.unwrap_or(hard), loading).await {
            return Ok(loaded);
        }
        self.loads.count(Event::StaleServed);
        self.fetched(stale.value)
    }

    /// For those who waited: the stored form only matters to who asks for another type.
    pub(super) fn fetched<T: Value>(&self, value: T) -> Result<Fetched> {
        let stored = self.serializer.encode(&value, None)?;
        Ok(Fetched::new(value, stored))
    }

    /// What a refresh brings within the time to wait for it, or the old value.
    async fn better_or_stale<T: Value>(
        &self,
        stale: T,
        refreshing: Option<Refreshing<T>>,
        limit: Option<Duration>,
    ) -> Result<T> {
        if let (Some(refreshing), Some(limit)) = (refreshing, limit)
            && let Ok(Ok(Ok(better))) = timeout(limit, refreshing).await
        {
            return Ok(better);
        }
        self.loads.count(Event::StaleServed);
        Ok(stale)
    }

    /// Whether a fresh value has come so far that it should be loaded again.
    fn is_due<T>(&self, options: &LoadOptions, found: &Decoded<T>) -> bool
    where
        T: Value,
    {
        let (Some(part), Some(ttl)) = (options.refresh_after, self.lifetime(options.ttl)) else {
            return false;
        };
        let rest = ttl.mul_f64((1.0 - part).clamp(0.0, 1.0));
        let fresh_for = found.fresh_for(self.clock.now());
        fresh_for.is_some_and(|fresh_for| fresh_for <= rest)
    }

    fn lifetime(&self, ttl: Ttl) -> Option<Duration> {
        ttl.resolve(self.tiers.default_ttl())
    }

    /// Loads in the background, unless somebody does or has just tried.
    fn refresh<T, L, F, E>(
        self: &Arc<Self>,
        key: &str,
        options: LoadOptions,
        load: L,
    ) -> Option<Refreshing<T>>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        let at_most = options.hard_timeout + super::REST;
        if !self.loads.begin_refresh(key, at_most) {
            return None;
        }
        let (inner, key) = (Arc::clone(self), key.to_owned());
        Some(tokio::spawn(async move {
            let changes = inner.tiers.watch(&key);
            let loaded = inner.load(&key, options, load, changes).await;
            inner.loads.end_refresh(&key, loaded.is_ok());
            let value = loaded?.take()?;
            inner.loads.count(Event::Refreshed);
            Ok(value)
        }))
    }

    /// Runs a loader and stores what it returns, unless the key was changed meanwhile.
    async fn load<T, L, F, E>(
        &self,
        key: &str,
        options: LoadOptions,
        load: L,
        changes: Changes<'_>,
    ) -> Result<Fetched>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send,
        F: Future<Output = Result<T, E>> + Send,
        E: Into<Cause>,
    {
        let limit = options.hard_timeout;
        let handle = Load::new(options);
        let value = match timeout(limit, load(handle.clone())).await {
            Ok(Ok(value)) => value,
            Ok(Err(cause)) => {
                self.loads.count(Event::Failed);
                return Err(failed(cause));
            }
            Err(_elapsed) => {
                self.loads.count(Event::TimedOut);
                return Err(timed_out(limit));
            }
        };
        self.loads.count(Event::Succeeded);
        self.keep(key, value, &handle.decided(), changes).await
    }

    /// Stores what was loaded, unless the key was changed meanwhile.
    pub(super) async fn keep<T: Value>(
        &self,
        key: &str,
        value: T,
        options: &LoadOptions,
        changes: Changes<'_>,
    ) -> Result<Fetched> {
        let (freshness, ttl) = self.times(options);
        let stored = self.serializer.encode(&value, freshness)?;
        if ttl.is_zero() || nested::is_inner(key) {
            return Ok(Fetched::new(value, stored));
        }
        let set = options.to_set().with_ttl(ttl);
        let kept = self.tiers.settle(changes, key, stored.clone(), set).await;
        if !self.lenient(kept, false)? {
            self.loads.count(Event::Overtaken);
        } else if let Some(near) = &self.near {
            near.keep_decoded(key, &stored, Decoded::new(value.clone(), freshness));
        }
        Ok(Fetched::new(value, stored))
    }

    /// Until when a value is fresh, if that has to be known, and how long it is kept.
    fn times(&self, options: &LoadOptions) -> (Option<Freshness>, Ttl) {
        let Some(ttl) = self.lifetime(options.ttl) else {
            return (None, Ttl::Never);
        };
        let jitter = options.jitter.clamp(0.0, 1.0) * crate::random::part();
        let fresh = ttl.mul_f64(1.0 - jitter);
        if fresh.is_zero() || options.stale_for.is_none() && options.refresh_after.is_none() {
            return (None, Ttl::After(fresh));
        }
        let stale = options.stale_for.unwrap_or_default();
        let freshness = Freshness::new(self.clock.now(), fresh, stale);
        (freshness, Ttl::After(fresh.saturating_add(stale)))
    }
}
