//! The verbs of one key.

use larder_core::backend::CacheBackend;
use larder_core::{
    CacheEntry, Counter, Error, ErrorKind, Result, SetOptions, TagMatch, Ttl, TtlState,
};
use serde::Serialize;

use super::{CacheManager, Inner, Value};
use crate::codec::{Decoded, fresh_until};

/// # One key
///
/// Errors are those of the caller: a key that is not allowed, a value that has no stored
/// form, a verb that the tiers do not have. That tiers cannot be reached is one only if
/// [`OnError::Propagate`](super::OnError::Propagate) was asked for.
impl CacheManager {
    /// The value, `None` if it is missing or expired. What is stored and is no such value
    /// counts as missing.
    ///
    /// # Errors
    ///
    /// As described above.
    #[inline]
    pub async fn get<T: Value>(&self, key: &str) -> Result<Option<T>> {
        tracing::trace!(key, "get");
        if let Some(value) = self.0.near(key) {
            return Ok(Some(value));
        }
        // Boxed, so that a near hit is a small future.
        Box::pin(self.0.find(key)).await
    }

    /// The value, or this one if it is missing, which is not stored.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn get_or<T: Value>(&self, key: &str, otherwise: T) -> Result<T> {
        Ok(self.get(key).await?.unwrap_or(otherwise))
    }

    /// The stored form of a value with everything known about it, from the farthest tier.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let entry = self.0.cache.get_entry(key).await;
        self.0.lenient(entry, None)
    }

    /// Stores a value in every tier; whether it was stored. Without a lifetime in the
    /// options it gets the one of the cache.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn set<T: Serialize + Sync + ?Sized>(
        &self,
        key: &str,
        value: &T,
        options: impl Into<SetOptions> + Send,
    ) -> Result<bool> {
        let options = options.into();
        tracing::debug!(key, ttl = ?options.ttl, "set");
        let bytes = self.0.serializer.encode(value, None)?;
        let stored = self.0.cache.set(key, bytes, options).await;
        self.0.loads.overtake(key);
        self.0.lenient(stored, false)
    }

    /// Removes a key from every tier; whether it was there.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn delete(&self, key: &str) -> Result<bool> {
        tracing::debug!(key, "delete");
        let deleted = self.0.cache.delete(key).await;
        self.0.loads.overtake(key);
        self.0.lenient(deleted, false)
    }

    /// Whether a key is there and not expired.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn exists(&self, key: &str) -> Result<bool> {
        let inner = &*self.0;
        if !inner.lenient(inner.cache.exists(key).await, false)? {
            return Ok(false);
        }
        // It may be kept for nothing but to be served if no better one can be had.
        let stored = inner.lenient(inner.cache.get(key).await, None)?;
        let until = stored.and_then(fresh_until);
        Ok(until.is_none_or(|until| inner.clock.now() < until))
    }

    /// Removes everything that this cache has stored under its prefix, and tells how many
    /// entries there were.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn clear(&self) -> Result<u64> {
        tracing::debug!("clear");
        let cleared = self.0.cache.clear().await;
        self.0.loads.overtake_all();
        self.0.lenient(cleared, 0)
    }

    /// Gives a key another lifetime; `false` if it is missing.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn touch(&self, key: &str, ttl: impl Into<Ttl> + Send) -> Result<bool> {
        let touched = self.0.cache.touch(key, ttl.into()).await;
        self.0.lenient(touched, false)
    }

    /// The same as [`touch`](Self::touch).
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn expire(&self, key: &str, ttl: impl Into<Ttl> + Send) -> Result<bool> {
        self.touch(key, ttl).await
    }

    /// How much longer a key lives; `None` if it is missing.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let Some(entry) = self.get_entry(key).await? else {
            return Ok(None);
        };
        let now = self.0.clock.now();
        let ends = [entry.expires_at, fresh_until(entry.value)];
        let rests = ends.into_iter().flatten().map(|end| {
            let rest = end.duration_since(now);
            rest.unwrap_or_default()
        });
        Ok(match rests.min() {
            None => Some(TtlState::Never),
            Some(rest) if rest.is_zero() => None,
            Some(rest) => Some(TtlState::Remaining(rest)),
        })
    }

    /// Adds to a number and returns the sum, in one step for everybody who shares the
    /// farthest tier. A missing key counts as 0 and gets the lifetime of the cache.
    ///
    /// # Errors
    ///
    /// If the value is no whole number, the sum leaves 64 bits, or the farthest tier
    /// cannot be reached: no number can stand for the one that nobody knows.
    pub async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        self.0.cache.increment(key, delta, Ttl::Default).await
    }

    /// Subtracts from a number; otherwise as [`increment`](Self::increment).
    ///
    /// # Errors
    ///
    /// As [`increment`](Self::increment).
    pub async fn decrement(&self, key: &str, delta: i64) -> Result<i64> {
        self.0.cache.decrement(key, delta, Ttl::Default).await
    }

    /// Adds to a number that gets this lifetime if it is new; otherwise as
    /// [`increment`](Self::increment).
    ///
    /// # Errors
    ///
    /// As [`increment`](Self::increment).
    pub async fn increment_for(
        &self,
        key: &str,
        delta: i64,
        ttl: impl Into<Ttl> + Send,
    ) -> Result<i64> {
        self.0.cache.increment(key, delta, ttl.into()).await
    }

    /// Removes what has any or all of the tags, whoever stored it. Tells how many entries
    /// those were, or `None` if nobody counts them: then no reader finds them any more,
    /// and what is left of them goes when its time is over.
    ///
    /// # Errors
    ///
    /// As described above; and if the farthest tier cannot be reached, because it would
    /// not know.
    pub async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        tracing::debug!(?tags, ?which, "invalidate");
        let gone = self.0.cache.invalidate_tags(tags, which).await;
        self.0.loads.overtake_all();
        gone
    }
}

impl Inner {
    /// The value, from wherever it is.
    async fn find<T: Value>(&self, key: &str) -> Result<Option<T>> {
        let found = self.lenient(self.find_decoded::<T>(key).await, None)?;
        let fresh = found.filter(|found| found.is_fresh(|| self.clock.now()));
        let counter = if fresh.is_some() {
            Counter::Hit
        } else {
            Counter::Miss
        };
        self.stats.add(counter, 1);
        Ok(fresh.map(|found| found.value))
    }

    /// The value behind the nearest tier, fresh or not.
    pub(crate) async fn find_decoded<T: Value>(&self, key: &str) -> Result<Option<Decoded<T>>> {
        let stored = if self.near.is_some() {
            let found = self.tiers.find_farther(key).await?;
            // It may be near now: then it is decoded for the next ones too.
            if found.is_some()
                && let Some(near) = self.near_decoded(key)
            {
                return Ok(Some(near));
            }
            found.map(|entry| entry.value)
        } else {
            self.cache.get(key).await?
        };
        let Some(stored) = stored else {
            return Ok(None);
        };
        match Decoded::read(&stored) {
            Ok(decoded) => Ok(Some(decoded)),
            Err(error) => {
                self.count_unreadable(key, &error);
                Ok(None)
            }
        }
    }

    pub(crate) fn count_unreadable(&self, key: &str, error: &Error) {
        debug_assert_eq!(error.kind(), ErrorKind::Serialize);
        tracing::warn!(key, %error, "what is stored is not of the type asked for");
        self.stats.add(Counter::Unreadable, 1);
    }
}
