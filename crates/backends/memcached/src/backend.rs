//! Memcached under the contract of all backends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Condition,
    Counter, Error, Pattern, Result, Retry, ScanPage, SetOptions, TagMatch, Ttl, TtlState, counter,
};

use crate::builder::MemcachedBuilder;
use crate::name::Name;
use crate::store::{Store, last};

/// Keeps entries in Memcached; clones share connections.
///
/// Needs a tokio runtime. Connections are opened when they are needed.
///
/// ```no_run
/// use larder_memcached::MemcachedBackend;
///
/// let one = MemcachedBackend::at(["memcached://127.0.0.1:11211"]).build()?;
/// let three = MemcachedBackend::at(["10.0.0.1", "10.0.0.2", "10.0.0.3:11212"])
///     .key_prefix("shop")
///     .build()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemcachedBackend(Arc<Store>);

impl MemcachedBackend {
    /// Servers by `host[:port]`, `memcached://host[:port]`, or several in one text with
    /// commas between. All clients have to name them in the same way.
    pub fn at<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> MemcachedBuilder {
        MemcachedBuilder::new(servers)
    }

    pub(crate) fn new(store: Store) -> Self {
        Self(Arc::new(store))
    }

    /// Removes everything on all servers, whoever stored it, in one step.
    ///
    /// # Errors
    ///
    /// If a server cannot be reached; the others are flushed.
    pub async fn flush_all(&self) -> Result<()> {
        let mut outcome = Ok(());
        for node in &self.0.pool.nodes {
            let flushed = node.lines("flush_all", node.deadline()).await;
            outcome = outcome.and(flushed.map(drop));
        }
        outcome
    }

    /// All live keys of this cache that match.
    async fn live_keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let store = &*self.0;
        if !store.settings.key_index {
            return Err(Error::unsupported(Capability::Keys));
        }
        let now = store.now();
        let mut keys = Vec::new();
        for node in &store.pool.nodes {
            let listed = node.list(&store.settings.prefix).await?.into_iter();
            let alive = listed.filter(|item| !item.marks.is_over(now));
            let own = alive.filter_map(|item| {
                let key = item.key?;
                Some(key.strip_prefix(&*store.settings.prefix)?.to_owned())
            });
            keys.extend(own.filter(|key| pattern.is_none_or(|p| p.matches(key))));
        }
        Ok(keys)
    }
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for MemcachedBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let store = &*self.0;
        let full = store.full(key);
        let name = Name::of(&full);
        let found = store.look(&full, &name).await?;
        Ok(store
            .seen(&full, &name, found)
            .map(|(content, _)| content.value))
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let store = &*self.0;
        let full = store.full(key);
        if options.condition == Condition::Always {
            return store.in_time(store.set(&full, value, &options)).await;
        }
        store.in_time(store.set_if(&full, value, &options)).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let deleted = self.delete_many(&[key]).await?;
        Ok(deleted == 1)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let store = &*self.0;
        let name = Name::of(&store.full(key));
        Ok(store.marks_of(&name).await?.is_some())
    }

    async fn clear(&self) -> Result<u64> {
        let store = &*self.0;
        let mut cleared = 0;
        for (server, node) in store.pool.nodes.iter().enumerate() {
            let listed = node.list(&store.settings.prefix).await?;
            let names = listed.into_iter().map(|item| (server, item.name));
            cleared += store.remove(names.collect()).await?;
        }
        Ok(cleared)
    }

    async fn stats(&self) -> Result<CacheStats> {
        let store = &*self.0;
        let (entries, bytes) = store.census().await?;
        let mut stats = store.stats.snapshot();
        (stats.current_entries, stats.current_size_bytes) = (entries, bytes);
        Ok(stats)
    }

    fn name(&self) -> &'static str {
        "memcached"
    }

    fn capabilities(&self) -> Capabilities {
        let all = Capabilities::new()
            .with(Capability::Counters)
            .with(Capability::Touch)
            .with(Capability::Entries)
            .with(Capability::Metadata)
            .with(Capability::Conditions)
            .with(Capability::Shared)
            .with_max_value_bytes(self.0.settings.max_value_bytes);
        if !self.0.settings.key_index {
            return all;
        }
        all.with(Capability::Keys)
            .with(Capability::RegexPatterns)
            .with(Capability::LikePatterns)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let store = &*self.0;
        let full = store.full(key);
        let name = Name::of(&full);
        let found = store.look(&full, &name).await?;
        let entry = store.seen(&full, &name, found).map(|(content, rest)| {
            let end = rest.and_then(|rest| store.now().checked_add(rest));
            content.into_entry(key, end)
        });
        Ok(entry)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let found = self.0.look_at_all(keys, "vf").await?.into_iter();
        Ok(found
            .map(|(key, (content, _))| (key.to_owned(), content.value))
            .collect())
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let store = &*self.0;
        let found = store.look_at_all(keys, "vft").await?.into_iter();
        let entries = found.map(|(key, (content, rest))| {
            let end = rest.and_then(|rest| store.now().checked_add(rest));
            content.into_entry(key, end)
        });
        Ok(entries.collect())
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let store = &*self.0;
        let mut report = BatchReport::new();
        if options.condition != Condition::Always {
            for (key, value) in items {
                let outcome = self.set(&key, value, options.clone()).await;
                report.record(&key, outcome);
            }
            return Ok(report);
        }
        let mut requests = Vec::with_capacity(items.len());
        for (key, value) in &items {
            let full = store.full(key);
            let made = store.set_command(&full, value.clone(), &options).await;
            match made {
                Ok((name, command)) => {
                    requests.push((key, (store.pool.server_of(&name), vec![command])));
                }
                Err(error) => report.record(key, Err(error)),
            }
        }
        let (keys, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let answers = store.pool.send_all(requests, Retry::MaybeApplied).await;
        for (key, answer) in keys.into_iter().zip(answers) {
            let answer = answer.and_then(last);
            report.record(key, store.was_set(answer));
        }
        Ok(report)
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let store = &*self.0;
        let names = keys.iter().map(|key| {
            let name = Name::of(&store.full(key));
            (store.pool.server_of(&name), name)
        });
        let deleted = store.remove(names.collect()).await?;
        store.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        self.live_keys(pattern).await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        Ok(ScanPage::cut(self.live_keys(pattern).await?, after, limit))
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let keys = self.live_keys(Some(pattern)).await?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.delete_many(&keys).await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let store = &*self.0;
        let full = store.full(key);
        let sum = store.in_time(store.count(&full, delta, ttl)).await?;
        store.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let store = &*self.0;
        store.in_time(store.touch(&store.full(key), ttl)).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let store = &*self.0;
        let name = Name::of(&store.full(key));
        let marks = store.marks_of(&name).await?;
        Ok(marks.map(|(marks, seconds)| {
            let rest: Option<Duration> = marks.rest(store.now(), seconds);
            rest.map_or(TtlState::Never, TtlState::Remaining)
        }))
    }

    async fn invalidate_tags(&self, _tags: &[&str], _which: TagMatch) -> Result<Option<u64>> {
        Err(Error::unsupported(Capability::Tags))
    }
}
