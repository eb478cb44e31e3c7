//! Loading what is missing: one load per key at a time.
//!
//! Who misses a key takes part in its load (`flights.rs`): the first runs its
//! loader, the others wait in the queue of the load's slot (`slot.rs`), threads and
//! tasks alike. A closure is a future that is ready at once, and a waiting thread
//! is an executor of one future (`park.rs`), so there is one course of events, in
//! [`Inner::load`]. Nothing of the engine is locked while a loader runs.
//!
//! # A change of the key wins
//!
//! Every write and every removal *overtakes* the load of its key: the load leaves
//! the table and will not store its value. Three steps happen under the lock of the
//! key's shard, so any two of them have an order:
//!
//! - *look*: after the load is in the table its loader looks for the key once more,
//! - *change*: a write or removal asks whether loads are in flight, and overtakes,
//! - *store*: the load stores its value, unless it has been overtaken.
//!
//! A change before the look happened before the loader ran, so the loader sees what
//! the change belongs to. A change after the look finds the load: the counter was
//! raised before the look, and the lock makes that visible, though the counter is
//! relaxed. If the store came first, the change replaces or removes what it stored;
//! if not, the load is overtaken and stores nothing. Either way nothing older than
//! the change is there after it; and since the load has left the table under the same
//! lock, who comes after the change does not join it.
//!
//! Evictions and expiry are not changes: they do not make a value wrong.
//!
//! # Loads that wait for loads
//!
//! A loader may ask for other keys, of any cache. A wait that would close a circle
//! is not begun (`waits.rs`): that caller runs its loader by itself and its value is
//! not stored, as the load that it would have waited for will store one.
//!
//! # Checking
//!
//! `tests/interleavings.rs` runs all of this under the checker `shuttle`, which
//! tries out thousands of schedules of a few threads; `cargo test` runs it. More:
//! `LARDER_SCHEDULES=1000000 cargo test --release -p larder-engine --test interleavings`.

#![expect(
    clippy::future_not_send,
    reason = "the futures are Send if the keys and the loader are, and a test says so"
)]

mod flights;
mod park;
mod slot;
mod waits;

use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use equivalent::Equivalent;
use larder_core::options::Ttl;

use crate::cache::{Cache, Inner};
use crate::write::Change;

pub(crate) use flights::Flights;
use flights::{Joined, Loading, Outcome};
use waits::LoadId;

/// # Loading
///
/// If the key is missing, its value is loaded, stored and returned. Of several
/// callers at the same time, threads and tasks together, one loads and the others
/// wait for its value. If it fails, panics or is dropped, the next of them runs its
/// own loader. Every caller that had to wait or to load counts as one miss.
///
/// If the key is written or removed during the load, or the cache is cleared, then
/// the value goes to those who wait for it, but it is not stored; who asks later
/// starts a new load.
///
/// A loader may use the cache. If it asks for its own key, directly or through
/// loaders of other threads that wait for this one, then that call runs its own
/// loader at once, and only the outer value is stored. For futures this is known
/// of what is awaited inside the loader, but not of tasks or threads that the
/// loader starts and waits for: if those ask for its key, all of them wait for ever.
impl<K, V, S> Cache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// The value of a key, from `load` if it is missing.
    ///
    /// Blocks its thread while another caller loads. Tasks use
    /// [`get_or_load`](Self::get_or_load): if they block the thread that should go
    /// on with the load they wait for, they wait for ever.
    ///
    /// ```
    /// use larder_engine::Cache;
    ///
    /// let squares = Cache::<u64, u64>::new(100);
    /// assert_eq!(squares.get_or_insert_with(&4, || 4 * 4), 16);
    /// assert_eq!(squares.get_or_insert_with(&4, || unreachable!("it is there")), 16);
    /// ```
    pub fn get_or_insert_with<Q>(&self, key: &Q, load: impl FnOnce() -> V) -> V
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let Ok(value) = self.try_get_or_insert_with(key, || Ok::<_, Infallible>(load()));
        value
    }

    /// The value of a key, from `load` if it is missing; an error is not stored.
    ///
    /// # Errors
    ///
    /// Those of `load`. Only its own caller gets one; the next who waits loads.
    ///
    /// ```
    /// use larder_engine::Cache;
    ///
    /// let ports = Cache::<String, u16>::new(100);
    /// assert!(ports.try_get_or_insert_with("http", || "eighty".parse()).is_err());
    /// assert_eq!(ports.try_get_or_insert_with("http", || "80".parse()), Ok(80));
    /// ```
    pub fn try_get_or_insert_with<Q, E>(
        &self,
        key: &Q,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        self.try_get_or_insert_with_ttl(key, || Ok((load()?, Ttl::Default)))
    }

    /// The value of a key, from `load`, which also tells its lifetime, if it is missing.
    ///
    /// With a lifetime of zero the value is returned but not stored.
    ///
    /// # Errors
    ///
    /// Those of `load`. Only its own caller gets one; the next who waits loads.
    ///
    /// ```
    /// use larder_engine::Cache;
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    ///
    /// let cache = Cache::<String, String>::new(100);
    /// let fetch = || Ok::<_, Infallible>(("body".to_owned(), Duration::from_secs(60)));
    /// assert_eq!(cache.try_get_or_insert_with_ttl("/", fetch)?, "body");
    /// assert!(cache.ttl("/").is_some_and(|ttl| ttl.remaining().is_some()));
    /// # Ok::<(), Infallible>(())
    /// ```
    pub fn try_get_or_insert_with_ttl<Q, E, T>(
        &self,
        key: &Q,
        load: impl FnOnce() -> Result<(V, T), E>,
    ) -> Result<V, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        T: Into<Ttl>,
    {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        let load = pin!(async { load() });
        park::block_on(pin!(self.inner.load(key, load)))
    }

    /// The value of a key, from the future `load` if it is missing.
    ///
    /// Needs no runtime. `load` is polled only if this call loads.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops `load`, and the next caller who waits loads. As
    /// with a lock, a future that loads, or whose turn it is, holds up the others
    /// while nobody polls it.
    ///
    /// ```
    /// use larder_engine::Cache;
    ///
    /// # async fn fetch(id: u64) -> String { format!("user {id}") }
    /// async fn user(cache: &Cache<u64, String>, id: u64) -> String {
    ///     cache.get_or_load(&id, fetch(id)).await
    /// }
    /// ```
    pub async fn get_or_load<Q>(&self, key: &Q, load: impl Future<Output = V>) -> V
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(value) = self.get(key) {
            return value;
        }
        let load = async { Ok::<_, Infallible>((load.await, Ttl::Default)) };
        let Ok(value) = self.load_boxed(key, load).await;
        value
    }

    /// The value of a key, from the future `load` if it is missing; an error is not
    /// stored.
    ///
    /// Otherwise as [`get_or_load`](Self::get_or_load).
    ///
    /// # Errors
    ///
    /// Those of `load`. Only its own caller gets one; the next who waits loads.
    pub async fn try_get_or_load<Q, E>(
        &self,
        key: &Q,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        self.load_boxed(key, async { Ok((load.await?, Ttl::Default)) })
            .await
    }

    /// The value of a key, from the future `load`, which also tells its lifetime, if
    /// it is missing.
    ///
    /// With a lifetime of zero the value is returned but not stored. Otherwise as
    /// [`get_or_load`](Self::get_or_load).
    ///
    /// # Errors
    ///
    /// Those of `load`. Only its own caller gets one; the next who waits loads.
    pub async fn try_get_or_load_with_ttl<Q, E, T>(
        &self,
        key: &Q,
        load: impl Future<Output = Result<(V, T), E>>,
    ) -> Result<V, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        T: Into<Ttl>,
    {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        self.load_boxed(key, load).await
    }

    /// Loads in a box, so that the future of a hit stays small.
    fn load_boxed<Q, E, T>(
        &self,
        key: &Q,
        load: impl Future<Output = Result<(V, T), E>>,
    ) -> Pin<Box<impl Future<Output = Result<V, E>>>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        T: Into<Ttl>,
    {
        Box::pin(async move { self.inner.load(key, pin!(load)).await })
    }
}

impl<K, V, S> Inner<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Takes part in the load of a key that was missing.
    async fn load<Q, E, T, F>(&self, key: &Q, mut load: Pin<&mut F>) -> Result<V, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
        T: Into<Ttl>,
        F: Future<Output = Result<(V, T), E>>,
    {
        let hash = self.hash(key);
        let loading = loop {
            match self.flights_of(hash).join(hash, key) {
                Joined::Loading(loading) => break loading,
                Joined::Waiting(waiting) => match waiting.outcome().await {
                    Outcome::Load(loading) => break loading,
                    Outcome::Loaded(value) => return Ok(value),
                    Outcome::Again => {}
                    Outcome::Alone => return Ok(load.await?.0),
                },
            }
        };
        // Somebody may have stored it since it was missing. And this is the look
        // that the argument above needs.
        if let Some(value) = self.read(key, true, |value, _| value.clone()) {
            loading.succeed(&value);
            return Ok(value);
        }
        let id = loading.id();
        let (value, ttl) = Running {
            id,
            load: load.as_mut(),
        }
        .await?;
        self.store_loaded(key.to_owned(), value.clone(), ttl.into(), &loading);
        loading.succeed(&value);
        Ok(value)
    }

    /// Stores the value of a load, unless the key has been changed meanwhile.
    fn store_loaded(&self, key: K, value: V, ttl: Ttl, loading: &Loading<'_, K, V>) {
        let mut value = Some(value);
        let _ = self.write_loaded(key, |_, unsaved| {
            value = unsaved.or(value.take());
            match value.take_if(|_| !loading.is_overtaken()) {
                Some(value) => Change::Insert(value, ttl),
                None => Change::Keep,
            }
        });
    }

    /// Keeps what is being loaded for a key from being stored or joined from now on.
    ///
    /// To be called under the lock of the shard, by everything that changes the key.
    #[inline]
    pub(crate) fn overtake<Q: Equivalent<K> + ?Sized>(&self, hash: u64, key: &Q) {
        self.flights_of(hash).overtake(hash, key);
    }

    fn flights_of(&self, hash: u64) -> &Flights<K, V> {
        &self.flights[self.shard_of(hash)]
    }
}

/// A loader that is known to run while it is polled.
struct Running<'a, F> {
    id: LoadId,
    load: Pin<&'a mut F>,
}

impl<F: Future> Future for Running<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let id = self.id;
        waits::running(id, || self.load.as_mut().poll(context))
    }
}
