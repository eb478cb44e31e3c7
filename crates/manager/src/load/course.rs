//! Loading one key: who loads, who waits, and what is served meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Counter, Error, ErrorKind, Result, Ttl};
use tokio::time::timeout;

use super::{Event, Fetched, Load, LoadOptions, Loader, failed, nested, timed_out};
use crate::codec::{Decoded, Freshness};
use crate::manager::{Inner, Value, without};
use crate::random;
use crate::tiers::{Changes, Lease, Ticket, Turn};

/// Between two looks whether another program has loaded; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Starts a refresh in the background, for loaders that can go on by themselves.
pub(super) type Refresh<T, L> = fn(&Arc<Inner>, &str, LoadOptions, L) -> Option<Refreshing<T>>;

/// A refresh that goes on in the background.
pub(super) type Refreshing<T> = tokio::task::JoinHandle<Result<T>>;

/// What was known before a load began.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    /// In this program.
    pub(super) changes: Changes<'a>,
    /// In others.
    pub(super) ticket: Option<Ticket>,
}

impl Begun<'_> {
    /// Whether somebody has stored something meanwhile.
    fn was_there(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::was_there)
    }
}

impl Inner {
    pub(super) async fn find_or_load<T, L>(
        self: &Arc<Self>,
        key: &str,
        options: LoadOptions,
        load: L,
        refresh: Option<Refresh<T, L>>,
    ) -> Result<T>
    where
        T: Value,
        L: Loader<T>,
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
        let (mut load, mut waits) = (Some(load), 0);
        loop {
            let fetch = async {
                let load = load.take().expect("who has loaded does not come again");
                let (options, stale) = (options.clone(), stale.clone());
                self.fetch(key, options, load, refresh, stale).await
            };
            let fetched = self.loads.join(key, nested::scope(key, fetch)).await?;
            if waits == 1 || load.is_none() || !fetched.is_overtaken {
                return fetched.take();
            }
            // That load may have begun before a change that came before this call. The
            // next one begins now.
            waits += 1;
        }
    }

    /// What the one does who loads for all.
    async fn fetch<T, L>(
        self: &Arc<Self>,
        key: &str,
        options: LoadOptions,
        load: L,
        refresh: Option<Refresh<T, L>>,
        near: Option<Decoded<T>>,
    ) -> Result<Fetched>
    where
        T: Value,
        L: Loader<T>,
    {
        if let Some(value) = self.near::<T>(key) {
            // Somebody has just loaded it.
            return Ok(self.fetched(value));
        }
        let found = self.find_decoded::<T>(key).await;
        let found = found.inspect_err(|error| tracing::warn!(%error, "loading without a look"));
        let stale = match found.unwrap_or_default() {
            Some(found) if found.is_fresh(|| self.clock.now()) => {
                self.stats.add(Counter::Hit, 1);
                return Ok(self.fetched(found.value));
            }
            found => found.or(near),
        };
        self.stats.add(Counter::Miss, 1);
        let Some(stale) = stale else {
            return self.load_in_turn(key, options, load).await;
        };
        let limit = options.soft_timeout;
        if let Some(refresh) = refresh {
            let refreshing = refresh(self, key, options, load);
            let value = self.better_or_stale(stale.value, refreshing, limit).await?;
            return Ok(self.fetched(value));
        }
        let limit = limit.unwrap_or(options.hard_timeout);
        let begun = self.begin(key, &options).await;
        let loading = self.load(key, options, load, begun);
        if let Ok(Ok(loaded)) = timeout(limit, loading).await {
            return Ok(loaded);
        }
        self.loads.count(Event::StaleServed);
        Ok(self.fetched(stale.value))
    }

    /// Loads what no tier has: one among all programs that share the farthest tier.
    async fn load_in_turn<T, L>(&self, key: &str, options: LoadOptions, load: L) -> Result<Fetched>
    where
        T: Value,
        L: Loader<T>,
    {
        let lease = match self.wait_for_turn::<T>(key, options.hard_timeout).await {
            ControlFlow::Continue(lease) => lease,
            ControlFlow::Break(found) => return Ok(self.fetched(found)),
        };
        let begun = self.begin(key, &options).await;
        let work = async {
            // Somebody may have stored it before it was this one's turn.
            if begun.was_there()
                && let Some(found) = self.find_fresh::<T>(key).await
            {
                return Ok(self.fetched(found));
            }
            self.load(key, options, load, begun).await
        };
        let Some(lease) = lease else {
            return work.await;
        };
        let loaded = lease.during(work).await;
        lease.release().await;
        loaded
    }

    /// Waits until the caller is the one to load, or somebody else has loaded.
    async fn wait_for_turn<T: Value>(
        &self,
        key: &str,
        at_most: Duration,
    ) -> ControlFlow<T, Option<Lease>> {
        let waited = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.tiers.turn(key).await {
                    Turn::Mine(lease) => return ControlFlow::Continue(Some(lease)),
                    Turn::Everybodys => return ControlFlow::Continue(None),
                    Turn::Theirs => {}
                }
                let a_while = pause.mul_f64(0.5 + random::part());
                let _ = timeout(a_while, std::future::pending::<()>()).await;
                if let Some(found) = self.find_fresh(key).await {
                    return ControlFlow::Break(found);
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        // Then it is loaded twice rather than not at all.
        let waited = timeout(at_most, waited).await;
        waited.unwrap_or(ControlFlow::Continue(None))
    }

    async fn find_fresh<T: Value>(&self, key: &str) -> Option<T> {
        let found = self.find_decoded::<T>(key).await.ok().flatten()?;
        let is_fresh = found.is_fresh(|| self.clock.now());
        is_fresh.then_some(found.value)
    }

    /// What has to be known from before a load.
    pub(super) async fn begin<'a>(&'a self, key: &str, options: &LoadOptions) -> Begun<'a> {
        let begun = self.begin_all(&[key], options).await;
        begun.into_iter().next().expect("one for each key")
    }

    /// What has to be known from before the load of each of these keys.
    pub(super) async fn begin_all<'a>(
        &'a self,
        keys: &[&str],
        options: &LoadOptions,
    ) -> Vec<Begun<'a>> {
        let changes: Vec<Changes<'a>> = keys.iter().map(|key| self.tiers.watch(key)).collect();
        let tickets = match keys {
            [] => Vec::new(),
            keys => self.tiers.tickets(keys, &options.tags).await,
        };
        let begun = |(changes, ticket)| Begun { changes, ticket };
        changes.into_iter().zip(tickets).map(begun).collect()
    }

    /// For those who waited.
    pub(super) fn fetched<T: Value>(&self, value: T) -> Fetched {
        Fetched::new(value, self.serializer)
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
    fn is_due<T: Value>(&self, options: &LoadOptions, found: &Decoded<T>) -> bool {
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
    pub(super) fn refresh<T, L>(
        self: &Arc<Self>,
        key: &str,
        options: LoadOptions,
        load: L,
    ) -> Option<Refreshing<T>>
    where
        T: Value,
        L: Loader<T> + 'static,
    {
        let at_most = options.hard_timeout + super::REST;
        if !self.loads.begin_refresh(key, at_most) {
            return None;
        }
        let (inner, key) = (Arc::clone(self), key.to_owned());
        Some(tokio::spawn(async move {
            let loaded = inner.refresh_in_turn(&key, options, load).await;
            inner.loads.end_refresh(&key, loaded.is_ok());
            let value = loaded?.take()?;
            inner.loads.count(Event::Refreshed);
            Ok(value)
        }))
    }

    /// Loads again what is there, unless another program does.
    async fn refresh_in_turn<T, L>(
        &self,
        key: &str,
        options: LoadOptions,
        load: L,
    ) -> Result<Fetched>
    where
        T: Value,
        L: Loader<T>,
    {
        let lease = match self.tiers.turn(key).await {
            Turn::Mine(lease) => lease,
            Turn::Everybodys => {
                let begun = self.begin(key, &options).await;
                return self.load(key, options, load, begun).await;
            }
            Turn::Theirs => {
                let message = "another program loads it";
                return Err(Error::new(ErrorKind::Load, message));
            }
        };
        let begun = self.begin(key, &options).await;
        let loaded = lease.during(self.load(key, options, load, begun)).await;
        lease.release().await;
        loaded
    }

    /// Runs a loader and stores what it returns, unless the key was changed meanwhile.
    pub(super) async fn load<T, L>(
        &self,
        key: &str,
        options: LoadOptions,
        load: L,
        begun: Begun<'_>,
    ) -> Result<Fetched>
    where
        T: Value,
        L: Loader<T>,
    {
        let limit = options.hard_timeout;
        let handle = Load::new(options);
        let value = match timeout(limit, load.run(handle.clone())).await {
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
        self.keep(key, value, &handle.decided(), begun).await
    }

    /// Stores what was loaded, unless the key was changed meanwhile.
    pub(super) async fn keep<T: Value>(
        &self,
        key: &str,
        value: T,
        options: &LoadOptions,
        begun: Begun<'_>,
    ) -> Result<Fetched> {
        let (freshness, ttl) = self.times(options);
        let stored = self.serializer.encode(&value, freshness)?;
        if ttl.is_zero() || nested::is_inner(key) {
            return Ok(self.fetched(value));
        }
        let set = options.to_set().with_ttl(ttl);
        let Begun { changes, ticket } = begun;
        let kept = self
            .tiers
            .settle(changes, ticket.as_ref(), key, stored.clone(), set);
        let kept = kept.await;
        // That it could not be stored does not make it old.
        let is_overtaken = !without(kept, true)?;
        if is_overtaken {
            self.loads.count(Event::Overtaken);
        } else if let Some(near) = &self.near {
            near.keep_decoded(key, &stored, Decoded::new(value.clone(), freshness));
        }
        let mut fetched = self.fetched(value);
        fetched.is_overtaken = is_overtaken;
        Ok(fetched)
    }

    /// Until when a value is fresh, if that has to be known, and how long it is kept.
    fn times(&self, options: &LoadOptions) -> (Option<Freshness>, Ttl) {
        let Some(ttl) = self.lifetime(options.ttl) else {
            return (None, Ttl::Never);
        };
        let jitter = options.jitter.clamp(0.0, 1.0) * random::part();
        let fresh = ttl.mul_f64(1.0 - jitter);
        if fresh.is_zero() || options.stale_for.is_none() && options.refresh_after.is_none() {
            return (None, Ttl::After(fresh));
        }
        let stale = options.stale_for.unwrap_or_default();
        let freshness = Freshness::new(self.clock.now(), fresh, stale);
        (freshness, Ttl::After(fresh.saturating_add(stale)))
    }
}
