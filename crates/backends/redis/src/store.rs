//! What requests and answers of a backend look like.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{
    CacheEntry, Condition, Counter, ErrorKind, Result, Retry, SetOptions, StatsRecorder, Ttl,
    TtlState,
};
use redis::{Cmd, Value};

use crate::builder::Settings;
use crate::census::Census;
use crate::errors::unexpected;
use crate::fleet::Fleet;
use crate::send::Request;
use crate::value::{entry_of, to_stored, value_of};

/// Keys that one command asks for at most: meanwhile the server does nothing else.
const MOST_IN_ONE: usize = 1_000;
/// Beyond that the server's time overflows; nobody will notice that there is no end.
const LONGEST: Duration = Duration::from_millis(1 << 60);

/// The servers, and how this cache uses them.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) settings: Settings,
    pub(crate) stats: Arc<StatsRecorder>,
    pub(crate) census: Census,
}

impl Store {
    pub(crate) fn full(&self, key: &str) -> String {
        [&self.settings.prefix, key].concat()
    }

    /// A command about one key.
    pub(crate) fn request(&self, if_lost: Retry, name: &str, key: &str) -> Request {
        self.request_full(if_lost, name, self.full(key).as_bytes())
    }

    pub(crate) fn request_full(&self, if_lost: Retry, name: &str, full: &[u8]) -> Request {
        let mut cmd = Cmd::new();
        cmd.arg(name).arg(full);
        self.request_of(if_lost, cmd, full)
    }

    pub(crate) fn request_of(&self, if_lost: Retry, cmd: Cmd, full: &[u8]) -> Request {
        Request {
            cmd,
            slot: self.fleet.slot(full),
            if_lost,
        }
    }

    /// How long what is stored lives, in whole milliseconds of the server.
    pub(crate) fn lifetime(&self, ttl: Ttl) -> Option<u64> {
        let lifetime = ttl.resolve(self.settings.default_ttl)?;
        let millis = u64::try_from(lifetime.as_nanos().div_ceil(1_000_000)).ok()?;
        (lifetime < LONGEST).then_some(millis.max(1))
    }

    pub(crate) fn set_request(&self, key: &str, value: Bytes, options: &SetOptions) -> Request {
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

    /// Commands that read these keys in their order, so many keys each.
    fn gets(&self, keys: &[&str], at_once: usize) -> Vec<Request> {
        let command = |some: &[&str]| {
            let full: Vec<String> = some.iter().map(|key| self.full(key)).collect();
            let mut cmd = Cmd::new();
            cmd.arg("MGET").arg(&full);
            self.request_of(Retry::Safe, cmd, full[0].as_bytes())
        };
        keys.chunks(at_once).map(command).collect()
    }

    pub(crate) fn was_set(&self, answer: Result<Value>) -> Result<bool> {
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
    pub(crate) fn seen<T, E>(
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
    pub(crate) async fn unlink(&self, keys: impl IntoIterator<Item = &[u8]>) -> Result<u64> {
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

    /// What two answers about a key say together.
    pub(crate) fn entry(
        &self,
        key: &str,
        value: Result<Value>,
        ttl: Result<Value>,
    ) -> Result<Option<CacheEntry>> {
        let ttl = ttl_of(ttl)?;
        let now = self.settings.clock.now();
        let rest = ttl.and_then(TtlState::remaining);
        let expires_at = rest.and_then(|rest| now.checked_add(rest));
        // It may have ended between the two.
        let value = if ttl.is_none() { Ok(Value::Nil) } else { value };
        self.seen(value, |stored| entry_of(key, stored, expires_at))
    }

    /// The entries of distinct keys that are there, in their order.
    pub(crate) async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let two = |key: &&str| ["GET", "PTTL"].map(|name| self.request(Retry::Safe, name, key));
        let requests: Vec<Request> = keys.iter().flat_map(two).collect();
        let mut answers = self.fleet.send(&requests).await.into_iter();
        let mut found = Vec::with_capacity(keys.len());
        let (mut answered, mut failed) = (false, None);
        for key in keys {
            let (Some(value), Some(ttl)) = (answers.next(), answers.next()) else {
                return Err(unexpected("a batch"));
            };
            match self.entry(key, value, ttl) {
                Ok(entry) => {
                    answered = true;
                    found.extend(entry);
                }
                Err(error) => {
                    self.stats.add(Counter::Miss, 1);
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if !answered => Err(error),
            _ => Ok(found),
        }
    }

    /// The values of distinct keys that are there, in their order.
    pub(crate) async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        // In a cluster keys are in many slots; of one that moves, no command may ask for two.
        let at_once = if self.fleet.is_cluster() {
            1
        } else {
            MOST_IN_ONE
        };
        let answers = self.fleet.send(&self.gets(keys, at_once)).await;
        let mut found = Vec::with_capacity(keys.len());
        let (mut answered, mut failed) = (false, None);
        for (some, answer) in keys.chunks(at_once).zip(answers) {
            match answer.and_then(|answer| list(answer, some.len())) {
                Ok(values) => {
                    answered = true;
                    for (key, value) in some.iter().zip(values) {
                        let value = self.seen(Ok(value), value_of)?;
                        found.extend(value.map(|value| ((*key).to_owned(), value)));
                    }
                }
                Err(error) => {
                    self.stats.add(Counter::Miss, some.len() as u64);
                    failed = Some(error);
                }
            }
        }
        match failed {
            // A node that is gone is no reason not to use the others.
            Some(error) if !answered => Err(error),
            _ => Ok(found),
        }
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
pub(crate) fn is_one(answer: Result<Value>) -> Result<bool> {
    match answer? {
        Value::Int(number) => Ok(number == 1),
        _ => Err(unexpected("a yes-or-no question")),
    }
}

pub(crate) fn ttl_of(answer: Result<Value>) -> Result<Option<TtlState>> {
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
pub(crate) fn two(answers: Vec<Result<Value>>) -> Result<(Result<Value>, Result<Value>)> {
    let Ok([first, second]) = <[Result<Value>; 2]>::try_from(answers) else {
        return Err(unexpected("two commands"));
    };
    Ok((first, second))
}
