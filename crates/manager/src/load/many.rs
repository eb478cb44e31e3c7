//! Loading many keys at once.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use larder_core::backend::distinct;
use larder_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::course::Begun;
use super::{Cause, Event, Fetched, LoadOptions, failed, timed_out};
use crate::manager::{CacheManager, Inner, Value, without};

/// A key whose load waits for the next run of the loader.
struct Wanted<'a, T> {
    key: &'a str,
    begun: Begun<'a>,
    answer: oneshot::Sender<Result<Answer<'a, T>>>,
}

/// What became of a key that was wanted.
enum Answer<'a, T> {
    /// Somebody else has just loaded it.
    Found(T),
    Loaded(T, Begun<'a>),
    /// The loader has no such value.
    Nothing,
}

impl CacheManager {
    /// The values of keys, those that are missing loaded together.
    ///
    /// Each tier is asked once for what the nearer ones do not have, and the loader once
    /// for what nobody has and nobody else is loading. What it does not return does not
    /// exist: it is missing in the result and not stored. In the order of `keys`, each
    /// key once.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load).
    ///
    /// ```
    /// use larder_manager::CacheManager;
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let cache = CacheManager::memory();
    /// let lengths = |keys: Vec<String>| async {
    ///     let lengths = keys.into_iter().map(|key| (key.clone(), key.len()));
    ///     Ok::<Vec<_>, std::io::Error>(lengths.collect())
    /// };
    /// let ttl = Duration::from_secs(60);
    /// let found = cache.get_or_load_many(&["a", "bcd"], ttl, lengths).await?;
    /// assert_eq!(found, [("a".to_owned(), 1), ("bcd".to_owned(), 3)]);
    /// # Ok::<(), larder_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn get_or_load_many<T, L, F, I, E>(
        &self,
        keys: &[&str],
        options: impl Into<LoadOptions> + Send,
        load: L,
    ) -> Result<Vec<(String, T)>>
    where
        T: Value,
        L: Fn(Vec<String>) -> F + Send + Sync,
        F: Future<Output = Result<I, E>> + Send,
        I: IntoIterator<Item = (String, T)>,
        E: Into<Cause>,
    {
        let keys: Vec<&str> = distinct(keys).collect();
        let found = without(self.get_many::<T>(&keys).await, Vec::new())?;
        let mut found: HashMap<String, T> = found.into_iter().collect();
        let missing = keys.iter().filter(|key| !found.contains_key(**key));
        let missing: Vec<&str> = missing.copied().collect();
        let options = options.into();
        let begun = self.0.begin_all(&missing, &options).await;
        let missing = missing.iter().copied().zip(begun);
        let loaded = self.0.load_many(missing, &options, load);
        found.extend(Box::pin(loaded).await?);
        let named = keys.iter().filter_map(|key| found.remove_entry(*key));
        Ok(named.collect())
    }
}

impl Inner {
    /// Takes part in the loads of all these keys, and runs the loader for those that
    /// nobody else loads.
    async fn load_many<'a, T, L, F, I, E>(
        &'a self,
        keys: impl Iterator<Item = (&'a str, Begun<'a>)>,
        options: &LoadOptions,
        load: L,
    ) -> Result<Vec<(String, T)>>
    where
        T: Value,
        L: Fn(Vec<String>) -> F + Send + Sync,
        F: Future<Output = Result<I, E>> + Send,
        I: IntoIterator<Item = (String, T)>,
        E: Into<Cause>,
    {
        let wanted = Mutex::new(Vec::new());
        let loads = keys.map(|(key, begun)| {
            let wanted = &wanted;
            let fetch = async move {
                let (answer, answered) = oneshot::channel();
                wanted.lock().push(Wanted { key, begun, answer });
                match answered.await.unwrap_or_else(|_| Err(given_up()))? {
                    Answer::Found(value) => Ok(self.fetched(value)),
                    Answer::Loaded(value, begun) => self.keep(key, value, options, begun).await,
                    Answer::Nothing => Err(nothing()),
                }
            };
            async move { (key, self.loads.join(key, fetch).await) }
        });
        let mut loads: FuturesUnordered<_> = loads.collect();
        let mut run: Pin<Box<Option<_>>> = Box::pin(None);
        let mut found = Vec::new();
        poll_fn(|context| {
            loop {
                // Each load says what it wants before the loader is run for all.
                let next = loads.poll_next_unpin(context);
                if let Poll::Ready(None) = next {
                    return Poll::Ready(Ok(()));
                }
                if let Poll::Ready(Some((key, outcome))) = next {
                    match outcome.and_then(|fetched: Fetched| fetched.take()) {
                        Ok(value) => found.push((key.to_owned(), value)),
                        Err(error) if is_nothing(&error) => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                    continue;
                }
                if run.is_none() {
                    let wanted = std::mem::take(&mut *wanted.lock());
                    if wanted.is_empty() {
                        return Poll::Pending;
                    }
                    run.set(Some(self.run(wanted, options, &load)));
                }
                let running = run.as_mut().as_pin_mut().expect("it was put there");
                if running.poll(context).is_pending() {
                    return Poll::Pending;
                }
                run.set(None);
            }
        })
        .await?;
        Ok(found)
    }

    /// Runs the loader once, and answers everybody.
    async fn run<T, L, F, I, E>(&self, wanted: Vec<Wanted<'_, T>>, options: &LoadOptions, load: &L)
    where
        T: Value,
        L: Fn(Vec<String>) -> F + Send + Sync,
        F: Future<Output = Result<I, E>> + Send,
        I: IntoIterator<Item = (String, T)>,
        E: Into<Cause>,
    {
        let keys: Vec<&str> = wanted.iter().map(|wanted| wanted.key).collect();
        // Somebody may have loaded some of them since they were missing.
        let found = self.get_many::<T>(&keys).await.unwrap_or_default();
        let mut found: HashMap<String, T> = found.into_iter().collect();
        let missing = keys.iter().filter(|key| !found.contains_key(**key));
        let missing: Vec<String> = missing.map(ToString::to_string).collect();
        let mut loaded = if missing.is_empty() {
            Ok(HashMap::new())
        } else {
            self.call(missing, options.hard_timeout, load).await
        };
        for one in wanted {
            let answer = match (found.remove(one.key), &mut loaded) {
                (Some(value), _) => Ok(Answer::Found(value)),
                (None, Err(error)) => Err(error.clone()),
                (None, Ok(values)) => Ok(match values.remove(one.key) {
                    Some(value) => Answer::Loaded(value, one.begun),
                    None => Answer::Nothing,
                }),
            };
            // Whoever does not wait any more does not need it.
            let _ = one.answer.send(answer);
        }
    }

    /// Runs the loader.
    async fn call<T, L, F, I, E>(
        &self,
        keys: Vec<String>,
        limit: Duration,
        load: &L,
    ) -> Result<HashMap<String, T>>
    where
        T: Value,
        L: Fn(Vec<String>) -> F + Send + Sync,
        F: Future<Output = Result<I, E>> + Send,
        I: IntoIterator<Item = (String, T)>,
        E: Into<Cause>,
    {
        match timeout(limit, pin!(load(keys))).await {
            Ok(Ok(values)) => {
                self.loads.count(Event::Succeeded);
                Ok(values.into_iter().collect())
            }
            Ok(Err(cause)) => {
                self.loads.count(Event::Failed);
                Err(failed(cause))
            }
            Err(_elapsed) => {
                self.loads.count(Event::TimedOut);
                Err(timed_out(limit))
            }
        }
    }
}

fn given_up() -> Error {
    Error::new(ErrorKind::Load, "whoever loaded has given up")
}

/// The loader has no such value: nothing to tell the caller, but no value either.
fn nothing() -> Error {
    Error::new(ErrorKind::Load, "the loader returned nothing for this key")
}

fn is_nothing(error: &Error) -> bool {
    error.kind() == ErrorKind::Load && std::error::Error::source(error).is_none()
}
