//! Redis under the contract of all backends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Capability, Condition,
    Counter, Error, ErrorKind, Pattern, Result, Retry, ScanPage, SetOptions, StatsRecorder,
    TagMatch, Ttl, TtlState, counter,
};
use redis::{Cmd, Value};

use crate::builder::{RedisBuilder, Settings};
use crate::census::Census;
use crate::errors::{read, unexpected};
use crate::fleet::Fleet;
use crate::listen::{Listener, Topic};
use crate::send::Request;
use crate::value::{entry_of, to_stored, value_of};

/// Counts, and gives a counter that it makes a lifetime; in one step. The sum comes back
/// as text, because numbers of scripts are not exact.
const COUNT: &str = "if redis.call('EXISTS', KEYS[1]) == 0 then \
    redis.call('SET', KEYS[1], '0', 'PX', ARGV[2]) end \
    redis.call('INCRBY', KEYS[1], ARGV[1]) \
    return redis.call('GET', KEYS[1])";
/// Keys that one command asks for at most: meanwhile the server does nothing else.
const MOST_IN_ONE: usize = 1_000;
/// Beyond that the server's time overflows; nobody will notice that there is no end.
const LONGEST: Duration = Duration::from_millis(1 << 60);

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
pub struct RedisBackend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fleet: Arc<Fleet>,
    settings: Settings,
    stats: Arc<StatsRecorder>,
    census: Census,
}

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
        Self(Arc::new(Inner {
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
        let inner = &*self.0;
        let mut request = inner.request(Retry::MaybeApplied, "PUBLISH", channel);
        request.cmd.arg(&message[..]);
        inner.fleet.send_one(request).await.map(drop)
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

impl Inner {
    fn full(&self, key: &str) -> String {
        [&self.settings.prefix, key].concat()
    }

    /// A command about one key.
    fn request(&self, if_lost: Retry, name: &str, key: &str) -> Request {
        self.request_full(if_lost, name, self.full(key).as_bytes())
    }

    fn request_full(&self, if_lost: Retry, name: &str, full: &[u8]) -> Request {
        let mut cmd = Cmd::new();
        cmd.arg(name).arg(full);
        self.request_of(if_lost, cmd, full)
    }

    fn request_of(&self, if_lost: Retry, cmd: Cmd, full: &[u8]) -> Request {
        Request {
            cmd,
            slot: self.fleet.slot(full),
            if_lost,
        }
    }

    /// How long what is stored lives, in whole milliseconds of the server.
    fn lifetime(&self, ttl: Ttl) -> Option<u64> {
        let lifetime = ttl.resolve(self.settings.default_ttl)?;
        let millis = u64::try_from(lifetime.as_nanos().div_ceil(1_000_000)).ok()?;
        (lifetime < LONGEST).then_some(millis.max(1))
    }

    fn set_request(&self, key: &str, value: Bytes, options: &SetOptions) -> Request {
        let now = self.settings.clock.now();
        let stored = to_stored(value, options.metadata.clone(), now);
        let mut request = self.request(Retry::MaybeApplied, "SET", key);
        request.cmd.arg(&stored[..]);
        if let Some(millis) = self.lifetime(options.ttl) {
            request.cmd.arg("PX").arg(millis);
        }
        match options.condition {
            Condition::IfAbsent => request.cmd.arg("NX"),
            Condition::IfPresent => request.cmd.arg("XX"),
            _ => &mut request.cmd,
        };
        request
    }

    /// Commands that read these keys, one for each slot, and the places of their keys.
    fn gets(&self, keys: &[&str]) -> (Vec<Vec<usize>>, Vec<Request>) {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut requests: Vec<Request> = Vec::new();
        let mut by_slot: HashMap<u16, usize> = HashMap::new();
        for (place, key) in keys.iter().enumerate() {
            let full = self.full(key);
            let slot = self.fleet.slot(full.as_bytes());
            match by_slot.get(&slot) {
                Some(group) if groups[*group].len() < MOST_IN_ONE => {
                    groups[*group].push(place);
                    requests[*group].cmd.arg(full);
                }
                _ => {
                    by_slot.insert(slot, groups.len());
                    groups.push(vec![place]);
                    requests.push(self.request_full(Retry::Safe, "MGET", full.as_bytes()));
                }
            }
        }
        (groups, requests)
    }

    fn was_set(&self, answer: Result<Value>) -> Result<bool> {
        match answer? {
            Value::Okay => {
                self.stats.add(Counter::Set, 1);
                Ok(true)
            }
            Value::Nil => Ok(false),
            _ => Err(unexpected("SET")),
        }
    }

    /// The value that `open` makes of what the server had, counted.
    fn seen<T, E>(
        &self,
        answer: Result<Value>,
        open: impl FnOnce(Bytes) -> Result<T, E>,
    ) -> Result<Option<T>> {
        let stored = match answer {
            Ok(Value::Nil) => {
                self.stats.add(Counter::Miss, 1);
                return Ok(None);
            }
            Ok(Value::BulkString(stored)) => open(stored.into()).ok(),
            // A list or the like, of another program.
            Err(error) if error.kind() == ErrorKind::NotANumber => None,
            Ok(_) => return Err(unexpected("GET")),
            Err(error) => return Err(error),
        };
        self.stats.add(Counter::Hit, 1);
        if stored.is_none() {
            // That it is no hit is said by another counter.
            self.stats.add(Counter::Unreadable, 1);
        }
        Ok(stored)
    }

    /// Removes keys as the server has them and tells how many were there.
    async fn unlink(&self, keys: impl IntoIterator<Item = &[u8]>) -> Result<u64> {
        let requests: Vec<Request> = keys
            .into_iter()
            .map(|key| self.request_full(Retry::MaybeApplied, "UNLINK", key))
            .collect();
        let mut removed = 0;
        for answer in self.fleet.send(&requests).await {
            removed += u64::from(is_one(answer)?);
        }
        Ok(removed)
    }
}

/// The values that one command asked for.
fn list(answer: Value, count: usize) -> Result<Vec<Value>> {
    match answer {
        Value::Array(values) if values.len() == count => Ok(values),
        _ => Err(unexpected("MGET")),
    }
}

/// Whether the server did it, or has it: 1 and not 0.
fn is_one(answer: Result<Value>) -> Result<bool> {
    match answer? {
        Value::Int(number) => Ok(number == 1),
        _ => Err(unexpected("a yes-or-no question")),
    }
}

fn ttl_of(answer: Result<Value>) -> Result<Option<TtlState>> {
    match answer? {
        Value::Int(-2) => Ok(None),
        Value::Int(-1) => Ok(Some(TtlState::Never)),
        Value::Int(millis) => {
            let millis = u64::try_from(millis).unwrap_or_default();
            Ok(Some(TtlState::Remaining(Duration::from_millis(millis))))
        }
        _ => Err(unexpected("PTTL")),
    }
}

/// Two answers to two requests.
fn two(answers: Vec<Result<Value>>) -> Result<(Result<Value>, Result<Value>)> {
    let Ok([first, second]) = <[Result<Value>; 2]>::try_from(answers) else {
        return Err(unexpected("two commands"));
    };
    Ok((first, second))
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for RedisBackend {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let inner = &*self.0;
        let request = inner.request(Retry::Safe, "GET", key);
        inner.seen(inner.fleet.send_one(request).await, value_of)
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let inner = &*self.0;
        let request = inner.set_request(key, value, &options);
        inner.was_set(inner.fleet.send_one(request).await)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let inner = &*self.0;
        let request = inner.request(Retry::MaybeApplied, "UNLINK", key);
        let was_there = is_one(inner.fleet.send_one(request).await)?;
        inner.stats.add(Counter::Delete, u64::from(was_there));
        Ok(was_there)
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let inner = &*self.0;
        is_one(
            inner
                .fleet
                .send_one(inner.request(Retry::Safe, "EXISTS", key))
                .await,
        )
    }

    async fn clear(&self) -> Result<u64> {
        let inner = &*self.0;
        let mut walk = inner.fleet.walk(&inner.settings.prefix).await?;
        let mut cleared = 0;
        while let Some(found) = walk.next().await? {
            cleared += inner.unlink(found.iter().map(Vec::as_slice)).await?;
        }
        Ok(cleared)
    }

    async fn stats(&self) -> Result<CacheStats> {
        let inner = &*self.0;
        let clock = &*inner.settings.clock;
        let counted = inner
            .census
            .take(&inner.fleet, &inner.settings.prefix, clock)
            .await?;
        let mut stats = inner.stats.snapshot();
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
        let inner = &*self.0;
        let requests = ["GET", "PTTL"].map(|name| inner.request(Retry::Safe, name, key));
        let (value, ttl) = two(inner.fleet.send(&requests).await)?;
        let ttl = ttl_of(ttl)?;
        let now = inner.settings.clock.now();
        let rest = ttl.and_then(TtlState::remaining);
        let expires_at = rest.and_then(|rest| now.checked_add(rest));
        // It may have ended between the two.
        let value = if ttl.is_none() { Ok(Value::Nil) } else { value };
        inner.seen(value, |stored| entry_of(key, stored, expires_at))
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let inner = &*self.0;
        let keys: Vec<&str> = distinct(keys).collect();
        let (groups, requests) = inner.gets(&keys);
        let mut values: Vec<Option<Bytes>> = vec![None; keys.len()];
        let (mut answered, mut failed) = (false, None);
        for (group, answer) in groups.into_iter().zip(inner.fleet.send(&requests).await) {
            match answer.and_then(|answer| list(answer, group.len())) {
                Ok(found) => {
                    answered = true;
                    for (place, value) in group.into_iter().zip(found) {
                        values[place] = inner.seen(Ok(value), value_of)?;
                    }
                }
                Err(error) => {
                    inner.stats.add(Counter::Miss, group.len() as u64);
                    failed = Some(error);
                }
            }
        }
        match failed {
            // A node that is gone is no reason not to use the others.
            Some(error) if !answered => Err(error),
            _ => {
                let found = keys.into_iter().zip(values);
                Ok(found
                    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                    .collect())
            }
        }
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let inner = &*self.0;
        let requests: Vec<Request> = items
            .iter()
            .map(|(key, value)| inner.set_request(key, value.clone(), &options))
            .collect();
        let mut report = BatchReport::new();
        for ((key, _), answer) in items.iter().zip(inner.fleet.send(&requests).await) {
            report.record(key, inner.was_set(answer));
        }
        Ok(report)
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let inner = &*self.0;
        let full: Vec<String> = keys.iter().map(|key| inner.full(key)).collect();
        let deleted = inner.unlink(full.iter().map(String::as_bytes)).await?;
        inner.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let inner = &*self.0;
        let prefix = &inner.settings.prefix;
        let beginning = pattern.map(Pattern::beginning).unwrap_or_default();
        let mut walk = inner.fleet.walk(&[&**prefix, &beginning].concat()).await?;
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
        let inner = &*self.0;
        let request = if let Some(millis) = inner.lifetime(ttl) {
            let full = inner.full(key);
            let mut cmd = redis::cmd("EVAL");
            cmd.arg(COUNT).arg(1).arg(&full).arg(delta).arg(millis);
            inner.request_of(Retry::MaybeApplied, cmd, full.as_bytes())
        } else {
            let mut request = inner.request(Retry::MaybeApplied, "INCRBY", key);
            request.cmd.arg(delta);
            request
        };
        let answer = inner.fleet.send_one(request).await?;
        let sum = read(answer, "INCRBY")?;
        inner.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        self.increment(key, counter::negated(delta)?, ttl).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let inner = &*self.0;
        let Some(millis) = inner.lifetime(ttl) else {
            let requests = [
                inner.request(Retry::MaybeApplied, "PERSIST", key),
                inner.request(Retry::Safe, "EXISTS", key),
            ];
            let (persisted, exists) = two(inner.fleet.send(&requests).await)?;
            persisted?;
            return is_one(exists);
        };
        let mut request = inner.request(Retry::MaybeApplied, "PEXPIRE", key);
        request.cmd.arg(millis);
        is_one(inner.fleet.send_one(request).await)
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let inner = &*self.0;
        let request = inner.request(Retry::Safe, "PTTL", key);
        ttl_of(inner.fleet.send_one(request).await)
    }

    async fn invalidate_tags(&self, _tags: &[&str], _which: TagMatch) -> Result<u64> {
        Err(Error::unsupported(Capability::Tags))
    }
}
