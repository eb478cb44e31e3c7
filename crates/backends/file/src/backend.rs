//! The file backend under the contract of all backends.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Error, ErrorKind,
    Pattern, Result, ScanPage, SetOptions, TagMatch, Ttl, TtlState, counter,
};

use crate::builder::FileBuilder;
use crate::record::Record;
use crate::store::Store;
use crate::sweeper::Sweeper;

/// Bytes of a file that are not the value's, about.
const OVERHEAD: u64 = 512;

/// Keeps entries in files; clones are the same cache.
///
/// Needs a tokio runtime: files are read and written on its threads for what blocks.
///
/// ```
/// use larder_file::FileBackend;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let cache = FileBackend::builder(folder).max_size_bytes(100 << 20).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileBackend {
    store: Arc<Store>,
    max_value_bytes: usize,
    /// Ends with the last clone.
    _sweeper: Option<Arc<Sweeper>>,
}

impl FileBackend {
    /// A backend in this folder, with settings to be made.
    pub fn builder(folder: impl Into<PathBuf>) -> FileBuilder {
        FileBuilder::new(folder.into())
    }

    pub(crate) fn new(store: Arc<Store>, max_value_bytes: usize, sweeper: Option<Sweeper>) -> Self {
        Self {
            store,
            max_value_bytes,
            _sweeper: sweeper.map(Arc::new),
        }
    }

    /// Learns what is in the folder and removes what is over, at once and on this
    /// thread. On the system clock this happens in the background anyway.
    ///
    /// # Errors
    ///
    /// If files cannot be read or removed.
    pub fn sweep(&self) -> Result<()> {
        (0..=u8::MAX).try_for_each(|folder| self.store.survey(folder))?;
        while self.store.sweep_some()? {}
        Ok(())
    }

    /// Does work that blocks where that harms nobody.
    async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|error| {
            let message = "the runtime ended before the file was read or written";
            Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
        })
    }
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for FileBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let key = key.to_owned();
        let found = self.block(move |store| store.get(&key)).await?;
        Ok(found.map(|record| record.value))
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let key = key.to_owned();
        self.block(move |store| store.set(&key, value, &options))
            .await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.block(move |store| store.delete(&key)).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.block(move |store| Ok(store.peek(&key)?.is_some()))
            .await
    }

    async fn clear(&self) -> Result<u64> {
        self.block(Store::clear).await
    }

    async fn stats(&self) -> Result<CacheStats> {
        self.block(Store::stats).await
    }

    fn name(&self) -> &'static str {
        "file"
    }

    fn capabilities(&self) -> Capabilities {
        let room = self.store.max_size_bytes().saturating_sub(OVERHEAD);
        let largest = usize::try_from(room).unwrap_or(usize::MAX);
        Capabilities::new()
            .with(Capability::Keys)
            .with(Capability::RegexPatterns)
            .with(Capability::LikePatterns)
            .with(Capability::Counters)
            .with(Capability::Touch)
            .with(Capability::Entries)
            .with(Capability::Metadata)
            .with(Capability::Conditions)
            .with(Capability::Persistent)
            .with(Capability::Shared)
            .with_max_value_bytes(largest.min(self.max_value_bytes))
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let key = key.to_owned();
        let found = self.block(move |store| store.get(&key)).await?;
        Ok(found.map(Record::into_entry))
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let keys: Vec<String> = distinct(keys).map(str::to_owned).collect();
        self.block(move |store| {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                if let Some(record) = store.get(&key)? {
                    found.push((key, record.value));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let keys: Vec<String> = distinct(keys).map(str::to_owned).collect();
        self.block(move |store| {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.extend(store.get(&key)?.map(Record::into_entry));
            }
            Ok(found)
        })
        .await
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        self.block(move |store| {
            let mut report = BatchReport::new();
            for (key, value) in items {
                let outcome = store.set(&key, value, &options);
                report.record(&key, outcome);
            }
            Ok(report)
        })
        .await
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let keys = owned(keys);
        self.block(move |store| {
            let mut deleted = 0;
            for key in &keys {
                deleted += u64::from(store.delete(key)?);
            }
            Ok(deleted)
        })
        .await
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let pattern = pattern.cloned();
        self.block(move |store| store.keys(pattern.as_ref())).await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        Ok(ScanPage::cut(self.keys(pattern).await?, after, limit))
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let pattern = pattern.clone();
        self.block(move |store| {
            let mut deleted = 0;
            for key in store.keys(Some(&pattern))? {
                deleted += u64::from(store.delete(&key)?);
            }
            Ok(deleted)
        })
        .await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let key = key.to_owned();
        self.block(move |store| store.increment(&key, delta, ttl))
            .await
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let key = key.to_owned();
        self.block(move |store| store.touch(&key, ttl)).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let key = key.to_owned();
        self.block(move |store| Ok(store.peek(&key)?.map(|record| record.ttl(store.now()))))
            .await
    }

    async fn invalidate_tags(&self, _tags: &[&str], _which: TagMatch) -> Result<Option<u64>> {
        Err(Error::unsupported(Capability::Tags))
    }
}
