//! The verbs of many keys.

use larder_core::backend::distinct;
use larder_core::{BatchReport, CacheBackend, Counter, Result, SetOptions};
use serde::Serialize;

use super::{CacheManager, Inner, Value};
use crate::codec::Decoded;

/// # Many keys
///
/// Each tier is asked once, for what the nearer ones do not have. Errors are as for one
/// key.
impl CacheManager {
    /// The values that are there, in the order of `keys`, each key once.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn get_many<T: Value>(&self, keys: &[&str]) -> Result<Vec<(String, T)>> {
        self.0.get_many(keys).await
    }

    /// Stores many values with the same options; each has its own outcome.
    ///
    /// # Errors
    ///
    /// If a value has no stored form: then nothing is stored. What fails later is told in
    /// the report.
    pub async fn set_many<K: Into<String>, T: Serialize>(
        &self,
        items: impl IntoIterator<Item = (K, T)> + Send,
        options: impl Into<SetOptions> + Send,
    ) -> Result<BatchReport> {
        let inner = &*self.0;
        let encode = |(key, value): (K, T)| {
            let bytes = inner.serializer.encode(&value, None)?;
            Ok((key.into(), bytes))
        };
        let items: Vec<_> = items.into_iter().map(encode).collect::<Result<_>>()?;
        let keys: Vec<String> = items.iter().map(|(key, _)| key.clone()).collect();
        let report = inner.cache.set_many(items, options.into()).await;
        for key in &keys {
            inner.loads.overtake(key);
        }
        inner.lenient(report, BatchReport::new())
    }

    /// Removes many keys from every tier, and tells how many were there.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let inner = &*self.0;
        let deleted = inner.cache.delete_many(keys).await;
        for key in keys {
            inner.loads.overtake(key);
        }
        inner.lenient(deleted, 0)
    }
}

impl Inner {
    pub(crate) async fn get_many<T: Value>(&self, keys: &[&str]) -> Result<Vec<(String, T)>> {
        let keys: Vec<&str> = distinct(keys).collect();
        let mut found: Vec<Option<T>> = keys.iter().map(|key| self.near(key)).collect();
        let missing = keys.iter().zip(&found).filter(|(_, found)| found.is_none());
        let missing: Vec<&str> = missing.map(|(key, _)| *key).collect();
        if !missing.is_empty() {
            let stored = self.cache.get_many(&missing).await;
            let stored = self.lenient(stored, Vec::new())?;
            let mut stored = stored.into_iter().peekable();
            for (key, found) in keys.iter().zip(&mut found) {
                if let Some((_, bytes)) = stored.next_if(|(stored, _)| stored == key) {
                    *found = match self.near(key) {
                        Some(value) => Some(value),
                        None => self.decode(key, &bytes),
                    };
                }
            }
            let found = found.iter().filter(|found| found.is_some()).count();
            let near = keys.len() - missing.len();
            self.stats.add(Counter::Hit, (found - near) as u64);
            self.stats.add(Counter::Miss, (keys.len() - found) as u64);
        }
        let named = keys.iter().zip(found);
        Ok(named
            .filter_map(|(key, value)| Some(((*key).to_owned(), value?)))
            .collect())
    }

    fn decode<T: Value>(&self, key: &str, stored: &larder_core::Bytes) -> Option<T> {
        match Decoded::read(stored) {
            Ok(decoded) => {
                let is_fresh = decoded.is_fresh(|| self.clock.now());
                is_fresh.then_some(decoded.value)
            }
            Err(error) => {
                self.count_unreadable(key, &error);
                None
            }
        }
    }
}
