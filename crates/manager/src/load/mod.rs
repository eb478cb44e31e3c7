//! Loading what is missing: once per key, and never over a change.
//!
//! Who misses a key takes part in its load. One looks farther and runs its loader, the
//! others wait (the engine's loads do that, in a cache that stores nothing). A change of
//! the key *overtakes* the load: what it loads is for those who waited already, is not
//! stored, and who comes after the change does not join it.
//!
//! A value that is kept longer than it is fresh is served at once, while one loads a
//! better one in the background; or, where the loader cannot go on by itself, if it fails.

mod course;
mod many;
mod nested;
mod once;
mod options;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Clock, Error, ErrorKind, Result, Ttl};
use larder_engine::{Cache, Change};

use crate::codec::{Decoded, SerializerType};
use crate::manager::{LoadStats, Value};

pub use options::{Load, LoadOptions};

/// After a refresh that failed, nobody tries again for so long.
const REST: Duration = Duration::from_secs(1);
/// Keys that are refreshed at the same time.
const MOST_REFRESHED: u64 = 10_000;

/// The loads of one cache.
pub(crate) struct Loads {
    /// Nothing is ever stored in it: values have a lifetime of zero.
    flights: Cache<String, Fetched>,
    /// Keys that are being refreshed, or were in vain a moment ago.
    refreshed: Cache<Box<str>, ()>,
    counts: [AtomicU64; 6],
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Succeeded,
    Failed,
    TimedOut,
    StaleServed,
    Refreshed,
    Overtaken,
}

/// What a load has found, for all who waited.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    /// Of the type that the one who loaded asked for.
    value: Arc<dyn Any + Send + Sync>,
    /// The stored form of it.
    encode: fn(&(dyn Any + Send + Sync), SerializerType) -> Result<Bytes>,
    serializer: SerializerType,
    /// It was made of what has changed meanwhile: good for the one who loaded, as that
    /// one began before, but perhaps not for those who came later and waited.
    is_overtaken: bool,
}

impl Fetched {
    fn new<T: Value>(value: T, serializer: SerializerType) -> Self {
        Self {
            value: Arc::new(value),
            encode: |value, serializer| {
                let value = value.downcast_ref::<T>().expect("it was made of one");
                serializer.encode(value, None)
            },
            serializer,
            is_overtaken: false,
        }
    }

    fn take<T: Value>(&self) -> Result<T> {
        if let Some(value) = self.value.downcast_ref::<T>() {
            return Ok(value.clone());
        }
        // Somebody else asked for another type.
        let stored = (self.encode)(&*self.value, self.serializer)?;
        Ok(Decoded::<T>::read(&stored)?.value)
    }
}

impl Loads {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let refreshed = Cache::builder()
            .max_entries(MOST_REFRESHED)
            .clock(clock)
            .build();
        Self {
            flights: Cache::new(1),
            refreshed: refreshed.expect("a positive limit"),
            counts: Default::default(),
        }
    }

    /// What is loaded of this key is old now.
    pub(crate) fn overtake(&self, key: &str) {
        self.flights.remove(key);
    }

    /// Whatever is loaded is old now.
    pub(crate) fn overtake_all(&self) {
        self.flights.clear();
    }

    pub(crate) fn count(&self, event: Event) {
        // Ordering: relaxed, a number for people.
        self.counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> LoadStats {
        let count = |event: Event| self.counts[event as usize].load(Ordering::Relaxed);
        LoadStats {
            succeeded: count(Event::Succeeded),
            failed: count(Event::Failed),
            timed_out: count(Event::TimedOut),
            stale_served: count(Event::StaleServed),
            refreshed: count(Event::Refreshed),
            overtaken: count(Event::Overtaken),
        }
    }

    /// Whether the caller is the one to refresh a key, for this long at most.
    fn begin_refresh(&self, key: &str, at_most: Duration) -> bool {
        let mut is_first = false;
        let _ = self.refreshed.compute(key.into(), |present| {
            is_first = present.is_none();
            if is_first {
                Change::Insert((), Ttl::After(at_most))
            } else {
                Change::Keep
            }
        });
        is_first
    }

    fn end_refresh(&self, key: &str, succeeded: bool) {
        if succeeded {
            self.refreshed.remove(key);
        } else {
            self.refreshed.insert_with_ttl(key.into(), (), REST);
        }
    }

    /// What the load of this key has found, by `load` if nobody is loading it.
    async fn join(
        &self,
        key: &str,
        load: impl Future<Output = Result<Fetched>> + Send,
    ) -> Result<Fetched> {
        let load = async { Ok((load.await?, Ttl::After(Duration::ZERO))) };
        self.flights.try_get_or_load_with_ttl(key, load).await
    }
}

/// What a loader may fail with: anything that is an error, or text.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Makes a value, whatever closure it is.
pub(crate) trait Loader<T>: Send {
    fn run(self, load: Load) -> impl Future<Output = Result<T, Cause>> + Send;
}

impl<T, L, F, E> Loader<T> for L
where
    L: FnOnce(Load) -> F + Send,
    F: Future<Output = Result<T, E>> + Send,
    E: Into<Cause>,
{
    async fn run(self, load: Load) -> Result<T, Cause> {
        self(load).await.map_err(Into::into)
    }
}

fn failed(cause: impl Into<Cause>) -> Error {
    Error::new(ErrorKind::Load, "the loader failed").with_boxed_source(cause.into())
}

fn timed_out(limit: Duration) -> Error {
    let message = format!("the loader took longer than {limit:?}");
    Error::new(ErrorKind::Timeout, message)
}
