//! SQL databases under the contract of all backends.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Error, Pattern,
    Result, Retry, ScanPage, SetOptions, TagMatch, Ttl, TtlState, counter,
};
#[cfg(feature = "mysql")]
use sqlx::mysql::MySqlConnectOptions;
#[cfg(feature = "postgres")]
use sqlx::postgres::PgConnectOptions;
use tokio::task::AbortHandle;

use crate::builder::SqlBuilder;
use crate::store::Store;

/// Keeps entries in a table of SQLite, PostgreSQL, MySQL or MariaDB; clones share
/// connections.
///
/// Needs a tokio runtime. Connections are opened, and tables made, when they are needed.
///
/// ```no_run
/// use larder_sql::SqlBackend;
///
/// let embedded = SqlBackend::at("sqlite:///./cache.db").build()?;
/// let shared = SqlBackend::at("postgresql://app:secret@10.0.0.1/shop")
///     .table("sessions")
///     .build()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SqlBackend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    sweeping: OnceLock<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.sweeping.get() {
            task.abort();
        }
    }
}

impl SqlBackend {
    /// A database by its URL, as other programs write it in `DATABASE_URL`:
    ///
    /// - `sqlite:///./cache.db` or `sqlite:cache.db` for a file in the current folder,
    ///   `sqlite:////var/lib/cache.db` for one anywhere;
    /// - `postgres://user:password@host:port/database`, or `postgresql://…`;
    /// - `mysql://user:password@host:port/database`, or `mariadb://…`.
    ///
    /// A driver that is named in it, as in `postgresql+asyncpg://…`, is for other programs.
    pub fn at(url: impl AsRef<str>) -> SqlBuilder {
        SqlBuilder::at(url.as_ref())
    }

    /// SQLite in this file.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(file: impl Into<PathBuf>) -> SqlBuilder {
        SqlBuilder::sqlite(file.into())
    }

    /// PostgreSQL, with everything that can be said about the way to it. The options of a
    /// pool that the application has are `(*pool.connect_options()).clone()`.
    #[cfg(feature = "postgres")]
    pub fn postgres(options: PgConnectOptions) -> SqlBuilder {
        SqlBuilder::postgres(options)
    }

    /// MySQL or MariaDB, with everything that can be said about the way to it.
    #[cfg(feature = "mysql")]
    pub fn mysql(options: MySqlConnectOptions) -> SqlBuilder {
        SqlBuilder::mysql(options)
    }

    pub(crate) fn new(store: Store) -> Self {
        Self(Arc::new(Inner {
            store: Arc::new(store),
            sweeping: OnceLock::new(),
        }))
    }

    /// Removes everything that has ended, by and by. On the system clock this happens in
    /// the background anyway.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached; some may have been removed.
    pub async fn sweep(&self) -> Result<()> {
        while self.0.store.sweep_some().await? {}
        Ok(())
    }

    /// The store, which from now on is swept in the background.
    fn store(&self) -> &Store {
        let store = &self.0.store;
        if let Some(pause) = store.settings.sweep_every {
            self.0.sweeping.get_or_init(|| {
                let store = Arc::downgrade(store);
                let task = tokio::spawn(async move {
                    let mut times = tokio::time::interval(pause);
                    loop {
                        times.tick().await;
                        let Some(store) = store.upgrade() else {
                            return;
                        };
                        // What cannot be removed now will be the next time.
                        while let Ok(true) = store.sweep_some().await {}
                    }
                });
                task.abort_handle()
            });
        }
        store
    }
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for SqlBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.store().get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let store = self.store();
        let set = store.set(key, value, &options);
        store.in_time(Retry::MaybeApplied, set).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.store().delete(&[key], "delete").await? > 0)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.store().ttl(key).await?.is_some())
    }

    async fn clear(&self) -> Result<u64> {
        self.store().clear().await
    }

    async fn stats(&self) -> Result<CacheStats> {
        self.store().stats().await
    }

    fn name(&self) -> &'static str {
        "sql"
    }

    fn capabilities(&self) -> Capabilities {
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
            .with_max_value_bytes(self.0.store.settings.max_value_bytes)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let store = self.store();
        let row = store.peek(key).await?;
        Ok(store.seen(row.as_ref(), |row| row.entry(key)))
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let keys: Vec<&str> = distinct(keys).collect();
        self.store().get_many(&keys).await
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let keys: Vec<&str> = distinct(keys).collect();
        self.store().get_entries(&keys).await
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        Ok(self.store().set_many(items, &options).await)
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let keys: Vec<&str> = distinct(keys).collect();
        self.store().delete(&keys, "delete").await
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        self.store().keys(pattern).await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.store().scan(pattern, after, limit).await
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let store = self.store();
        let keys = store.keys(Some(pattern)).await?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        store.delete(&keys, "delete_pattern").await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let store = self.store();
        let count = store.count(key, delta, ttl);
        let sum = store.in_time(Retry::MaybeApplied, count).await?;
        store.stats.add(larder_core::Counter::Set, 1);
        Ok(sum)
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        self.store().touch(key, ttl).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        self.store().ttl(key).await
    }

    async fn invalidate_tags(&self, _tags: &[&str], _which: TagMatch) -> Result<Option<u64>> {
        Err(Error::unsupported(Capability::Tags))
    }
}
