//! Redis under the contract of all backends.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::backplane::{self, Backplane, Boxed};
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Counter, Error,
    Pattern, Result, Retry, ScanPage, SetOptions, TagMatch, Ttl, TtlState, counter,
};

use crate::builder::{RedisBuilder, Settings};
use crate::census::Census;
use crate::errors::read;
use crate::fleet::Fleet;
use crate::listen::{Ears, Listener, Topic};
use crate::send::Request;
use crate::store::{Store, is_one, ttl_of, two};
use crate::value::value_of;

/// Counts, and gives a counter that it makes a lifetime; in one step. The sum comes back
/// as text, because numbers of scripts are not exact.
const COUNT: &str = "if redis.call('EXISTS', KEYS[1]) == 0 then \
    redis.call('SET', KEYS[1], '0', 'PX', ARGV[2]) end \
    redis.call('INCRBY', KEYS[1], ARGV[1]) \
    return redis.call('GET', KEYS[1])";

/// Keeps entries in Redis; clones share connections.
///
/// Needs a tokio runtime. Connections are opened when they are needed.
///
/// ```no_run
/// use larder_redis::RedisBackend;
///
/// let single = RedisBackend::single("redis://127.0.0.1:6379/0").build()?;
/// let cluster = RedisBackend::cluster(["redis://10.0.0.1:7000", "redis://10.0.0.2:7000"])
///     .key_prefix("shop")
///     .build()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RedisBackend(Arc<Store>);

impl RedisBackend {
    /// One server: `redis://[user:password@]host[:port][/database]`, `rediss://` with
    /// TLS, or `unix:///path`.
    pub fn single(url: impl AsRef<str>) -> RedisBuilder {
        RedisBuilder::single(url.as_ref())
    }

    /// The master that Sentinels know by this name; the URLs are the Sentinels'.
    pub fn sentinel<U: AsRef<str>>(
        master: impl Into<String>,
        sentinels: impl IntoIterator<Item = U>,
    ) -> RedisBuilder {
        RedisBuilder::sentinel(master.into(), sentinels)
    }

    /// A cluster, of which some nodes are given.
    pub fn cluster<U: AsRef<str>>(nodes: impl IntoIterator<Item = U>) -> RedisBuilder {
        RedisBuilder::cluster(nodes)
    }

    pub(crate) fn new(fleet: Fleet, settings: Settings) -> Self {
        Self(Arc::new(Store {
            fleet: Arc::new(fleet),
            settings,
            stats: Arc::default(),
            census: Census::default(),
        }))
    }

    /// Hears of every change of this cache's keys, whoever makes it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn track(&self) -> Listener {
        let prefix = self.0.settings.prefix.clone();
        Listener::start(Arc::clone(&self.0.fleet), Topic::Changes(prefix))
    }

    /// Hears the messages on a channel of this cache.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn subscribe(&self, channel: &str) -> Listener {
        let topic = Topic::Channel(self.0.full(channel));
        Listener::start(Arc::clone(&self.0.fleet), topic)
    }

    /// Sends a message to all who listen on a channel of this cache now.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached; then some may have heard it.
    pub async fn publish(&self, channel: &str, message: Bytes) -> Result<()> {
        let store = &*self.0;
        let mut request = store.request(Retry::MaybeApplied, "PUBLISH", channel);
        request.cmd.arg(&message[..]);
        store.fleet.send_one(request).await.map(drop)
    }

    /// Removes everything in the database, whoever stored it, in one step.
    ///
    /// # Errors
    ///
    /// If a server cannot be reached or does not allow it.
    pub async fn flush_all(&self) -> Result<()> {
        self.0.fleet.flush().await
    }
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for RedisBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let store = &*self.0;
        let request = store.request(Retry::Safe, "GET", key);
        store.seen(store.fleet.send_one(request).await, value_of)
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let store = &*self.0;
        let request = store.set_request(key, value, &options);
        store.was_set(store.fleet.send_one(request).await)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let store = &*self.0;
        let request = store.request(Retry::MaybeApplied, "UNLINK", key);
        let was_there = is_one(store.fleet.send_one(request).await)?;
        store.stats.add(Counter::Delete, u64::from(was_there));
        Ok(was_there)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let store = &*self.0;
        is_one(
            store
                .fleet
                .send_one(store.request(Retry::Safe, "EXISTS", key))
                .await,
        )
    }

    async fn clear(&self) -> Result<u64> {
        let store = &*self.0;
        let mut walk = store.fleet.walk(&store.settings.prefix).await?;
        let mut cleared = 0;
        while let Some(found) = walk.next().await? {
            cleared += store.unlink(found.iter().map(Vec::as_slice)).await?;
        }
        Ok(cleared)
    }

    async fn stats(&self) -> Result<CacheStats> {
        let store = &*self.0;
        let clock = &*store.settings.clock;
        let counted = store
            .census
            .take(&store.fleet, &store.settings.prefix, clock)
            .await?;
        let mut stats = store.stats.snapshot();
        (stats.current_entries, stats.current_size_bytes) = (counted.entries, counted.bytes);
        Ok(stats)
    }

    fn name(&self) -> &'static str {
        "redis"
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
            .with_max_value_bytes(self.0.settings.max_value_bytes)
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let store = &*self.0;
        let requests = ["GET", "PTTL"].map(|name| store.request(Retry::Safe, name, key));
        let (value, ttl) = two(store.fleet.send(&requests).await)?;
        store.entry(key, value, ttl)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let keys: Vec<&str> = distinct(keys).collect();
        self.0.get_many(&keys).await
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let keys: Vec<&str> = distinct(keys).collect();
        self.0.get_entries(&keys).await
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let store = &*self.0;
        let requests: Vec<Request> = items
            .iter()
            .map(|(key, value)| store.set_request(key, value.clone(), &options))
            .collect();
        let mut report = BatchReport::new();
        for ((key, _), answer) in items.iter().zip(store.fleet.send(&requests).await) {
            report.record(key, store.was_set(answer));
        }
        Ok(report)
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let store = &*self.0;
        let full: Vec<String> = keys.iter().map(|key| store.full(key)).collect();
        let deleted = store.unlink(full.iter().map(String::as_bytes)).await?;
        store.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let store = &*self.0;
        let prefix = &store.settings.prefix;
        let beginning = pattern.map(Pattern::beginning).unwrap_or_default();
        let mut walk = store.fleet.walk(&[&**prefix, &beginning].concat()).await?;
        let mut keys = HashSet::new();
        while let Some(found) = walk.next().await? {
            // What is no text is not ours.
            let texts = found
                .into_iter()
                .filter_map(|key| String::from_utf8(key).ok());
            let own = texts.filter_map(|key| Some(key.strip_prefix(&**prefix)?.to_owned()));
            keys.extend(own.filter(|key| pattern.is_none_or(|p| p.matches(key))));
        }
        Ok(keys.into_iter().collect())
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
        let keys = self.keys(Some(pattern)).await?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.delete_many(&keys).await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let store = &*self.0;
        let request = if let Some(millis) = store.lifetime(ttl) {
            let full = store.full(key);
            let mut cmd = redis::cmd("EVAL");
            cmd.arg(COUNT).arg(1).arg(&full).arg(delta).arg(millis);
            store.request_of(Retry::MaybeApplied, cmd, full.as_bytes())
        } else {
            let mut request = store.request(Retry::MaybeApplied, "INCRBY", key);
            request.cmd.arg(delta);
            request
        };
        let answer = store.fleet.send_one(request).await?;
        let sum = read(answer, "INCRBY")?;
        store.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let store = &*self.0;
        let Some(millis) = store.lifetime(ttl) else {
            let requests = [
                store.request(Retry::MaybeApplied, "PERSIST", key),
                store.request(Retry::Safe, "EXISTS", key),
            ];
            let (persisted, exists) = two(store.fleet.send(&requests).await)?;
            persisted?;
            return is_one(exists);
        };
        let mut request = store.request(Retry::MaybeApplied, "PEXPIRE", key);
        request.cmd.arg(millis);
        is_one(store.fleet.send_one(request).await)
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let store = &*self.0;
        let request = store.request(Retry::Safe, "PTTL", key);
        ttl_of(store.fleet.send_one(request).await)
    }

    async fn invalidate_tags(&self, _tags: &[&str], _which: TagMatch) -> Result<Option<u64>> {
        Err(Error::unsupported(Capability::Tags))
    }
}

impl Backplane for RedisBackend {
    fn publish<'a>(&'a self, channel: &'a str, message: String) -> Boxed<'a, Result<()>> {
        Box::pin(self.publish(channel, message.into()))
    }

    fn listen(&self, channel: &str) -> Box<dyn backplane::Listener> {
        Box::new(Ears(self.subscribe(channel)))
    }
}
