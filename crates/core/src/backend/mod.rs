//! The contract of everything that keeps bytes under string keys.

mod blocking;
mod erased;
mod shared;

use std::future::Future;

use bytes::Bytes;

use crate::batch::{BatchReport, ScanPage};
use crate::capability::{Capabilities, Capability};
use crate::counter;
use crate::entry::CacheEntry;
use crate::error::{Error, Result};
use crate::options::{SetOptions, TagMatch, Ttl, TtlState};
use crate::pattern::Pattern;
use crate::stats::CacheStats;

pub use blocking::Blocking;
pub use shared::SharedBackend;

/// Keeps bytes under string keys.
///
/// Six methods are required; implementors write plain `async fn`. The others
/// have defaults that are correct for every backend: they loop over the six, or
/// return [`Unsupported`](crate::ErrorKind::Unsupported) where a loop could lose an
/// update. Whoever overrides one also promises it in
/// [`capabilities`](Self::capabilities).
///
/// Callers hold a [`SharedBackend`], which checks keys and limits, treats a time
/// to live of zero, and adds backend, operation and key to errors. A backend
/// therefore sees only legal keys and need not repeat those rules.
///
/// # Consistency
///
/// A method that returned is visible to every later call. Batches are not
/// atomic: each item is, and each has its own outcome.
///
/// # Examples
///
/// ```
/// use larder_core::*;
/// # use std::collections::HashMap;
/// # use std::sync::Mutex;
///
/// #[derive(Debug, Default)]
/// struct MyBackend(Mutex<HashMap<String, Bytes>>);
///
/// impl CacheBackend for MyBackend {
///     async fn get(&self, key: &str) -> Result<Option<Bytes>> {
///         Ok(self.0.lock().unwrap().get(key).cloned())
///     }
///     # // Expiry is left out for brevity; see the example `six_methods` for all of it.
///     # async fn set(&self, key: &str, value: Bytes, _: SetOptions) -> Result<bool> {
///     #     self.0.lock().unwrap().insert(key.to_owned(), value); Ok(true)
///     # }
///     # async fn delete(&self, key: &str) -> Result<bool> {
///     #     Ok(self.0.lock().unwrap().remove(key).is_some())
///     # }
///     # async fn exists(&self, key: &str) -> Result<bool> {
///     #     Ok(self.0.lock().unwrap().contains_key(key))
///     # }
///     # async fn clear(&self) -> Result<u64> {
///     #     Ok(self.0.lock().unwrap().drain().count() as u64)
///     # }
///     # async fn stats(&self) -> Result<CacheStats> { Ok(CacheStats::default()) }
///     // … set, delete, exists, clear, stats
/// }
///
/// let cache = SharedBackend::new(MyBackend::default()).blocking();
/// cache.set("key", "value", SetOptions::new())?;
/// assert_eq!(cache.get_many(&["key", "other"])?, [("key".to_owned(), "value".into())]);
/// # Ok::<(), Error>(())
/// ```
pub trait CacheBackend: Send + Sync + 'static {
    /// The value, `None` if missing or expired. An empty value is `Some`.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// Stores a value and everything said along with it; `true` if stored.
    ///
    /// `false` is a refusal, for example because the value is too large or the
    /// condition does not hold. A value refused for its size removes the older
    /// value of the key, because the application has just replaced it, and counts as
    /// `rejected`; a condition that does not hold counts as nothing.
    fn set(
        &self,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Removes a key; `true` if it was there and not expired.
    fn delete(&self, key: &str) -> impl Future<Output = Result<bool>> + Send;

    /// Whether a key is there and not expired. Counts as no use.
    fn exists(&self, key: &str) -> impl Future<Output = Result<bool>> + Send;

    /// Removes every entry of this cache and tells how many.
    fn clear(&self) -> impl Future<Output = Result<u64>> + Send;

    /// Current statistics; expired entries are not among the current ones.
    fn stats(&self) -> impl Future<Output = Result<CacheStats>> + Send;

    /// The name in errors and metrics.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// What works beyond the six required methods, and the limits.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    /// The value with everything known about it. Counts as a `get`.
    fn get_entry(&self, key: &str) -> impl Future<Output = Result<Option<CacheEntry>>> + Send {
        let _ = key;
        async { Err(Error::unsupported("get_entry")) }
    }

    /// The values that are there, in the order of `keys`, each key once.
    ///
    /// Where keys are spread over several servers, those of a server that is gone are
    /// missing; it is an error only if nobody answers.
    fn get_many(&self, keys: &[&str]) -> impl Future<Output = Result<Vec<(String, Bytes)>>> + Send {
        async move {
            let mut found = Vec::with_capacity(keys.len());
            for key in distinct(keys) {
                if let Some(value) = self.get(key).await? {
                    found.push((key.to_owned(), value));
                }
            }
            Ok(found)
        }
    }

    /// The entries that are there, in the order of `keys`, each key once. As
    /// [`get_many`](Self::get_many) otherwise; each counts as a `get`.
    fn get_entries(&self, keys: &[&str]) -> impl Future<Output = Result<Vec<CacheEntry>>> + Send {
        async move {
            let mut found = Vec::with_capacity(keys.len());
            for key in distinct(keys) {
                found.extend(self.get_entry(key).await?);
            }
            Ok(found)
        }
    }

    /// Stores many values with the same options; each has its own outcome.
    fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> impl Future<Output = Result<BatchReport>> + Send {
        async move {
            let mut report = BatchReport::new();
            for (key, value) in items {
                let outcome = self.set(&key, value, options.clone()).await;
                report.record(&key, outcome);
            }
            Ok(report)
        }
    }

    /// Removes many keys and tells how many were there.
    fn delete_many(&self, keys: &[&str]) -> impl Future<Output = Result<u64>> + Send {
        async move {
            let mut deleted = 0;
            for key in keys {
                deleted += u64::from(self.delete(key).await?);
            }
            Ok(deleted)
        }
    }

    /// All live keys that match, all of them without a pattern, in no particular order.
    fn keys(&self, pattern: Option<&Pattern>) -> impl Future<Output = Result<Vec<String>>> + Send {
        let _ = pattern;
        async { Err(Error::unsupported("listing keys")) }
    }

    /// At most `limit` matching keys that come after `after`, in lexicographic order.
    fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<ScanPage>> + Send {
        async move { Ok(ScanPage::cut(self.keys(pattern).await?, after, limit)) }
    }

    /// Removes all keys that match and tells how many.
    fn delete_pattern(&self, pattern: &Pattern) -> impl Future<Output = Result<u64>> + Send {
        async move {
            let keys = self.keys(Some(pattern)).await?;
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            self.delete_many(&keys).await
        }
    }

    /// Adds `delta` to a decimal number and returns the sum, in one step.
    ///
    /// A missing key counts as 0 and is created with `ttl`; a present one keeps
    /// its lifetime. What is no number stays as it is.
    fn increment(
        &self,
        key: &str,
        delta: i64,
        ttl: Ttl,
    ) -> impl Future<Output = Result<i64>> + Send {
        let _ = (key, delta, ttl);
        async { Err(Error::unsupported("counting")) }
    }

    /// Subtracts `delta`; otherwise as [`increment`](Self::increment).
    fn decrement(
        &self,
        key: &str,
        delta: i64,
        ttl: Ttl,
    ) -> impl Future<Output = Result<i64>> + Send {
        async move {
            let negated = counter::negated(delta)?;
            self.increment(key, negated, ttl).await
        }
    }

    /// Gives a present key a new lifetime; `false` if it is missing or expired.
    fn touch(&self, key: &str, ttl: Ttl) -> impl Future<Output = Result<bool>> + Send {
        let _ = (key, ttl);
        async { Err(Error::unsupported("touch")) }
    }

    /// How much longer a key lives; `None` if it is missing or expired.
    fn ttl(&self, key: &str) -> impl Future<Output = Result<Option<TtlState>>> + Send {
        let _ = key;
        async { Err(Error::unsupported("ttl")) }
    }

    /// Removes the entries with any or all of the tags and tells how many; no tag means
    /// no entry.
    ///
    /// `None` if that cannot be told: nobody reads them any more, but they are found out
    /// only when they are read. Listings may name them until then, and `delete` may
    /// count them.
    fn invalidate_tags(
        &self,
        tags: &[&str],
        which: TagMatch,
    ) -> impl Future<Output = Result<Option<u64>>> + Send {
        let _ = (tags, which);
        async { Err(Error::unsupported(Capability::Tags)) }
    }
}

/// `keys` without repetition, in the order of first appearance.
pub fn distinct<'a>(keys: &[&'a str]) -> impl Iterator<Item = &'a str> + Send {
    let mut seen = std::collections::HashSet::with_capacity(keys.len());
    let mut first = Vec::with_capacity(keys.len());
    first.extend(keys.iter().copied().filter(|key| seen.insert(*key)));
    first.into_iter()
}
