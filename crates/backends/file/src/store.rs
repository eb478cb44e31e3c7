//! The operations, as they block: files, index and counters brought together.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::stored::Moment;
use larder_core::{
    CacheStats, Clock, Condition, Counter, Error, ErrorKind, Pattern, Result, Retry, SetOptions,
    StatsRecorder, Ttl, counter,
};
use parking_lot::Mutex;

use crate::folder::{Folder, Locked, Name};
use crate::index::Index;
use crate::record::{Record, end_of, is_over};

/// Expired files removed in one go.
const SWEPT_AT_ONCE: usize = 64;

/// What the settings say.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) max_size_bytes: u64,
    pub(crate) default_ttl: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A folder full of entries.
#[derive(Debug)]
pub(crate) struct Store {
    folder: Folder,
    index: Mutex<Index>,
    rules: Rules,
    stats: Arc<StatsRecorder>,
    /// Whether the index has seen all files that were there at the start.
    is_complete: AtomicBool,
}

/// What a look at a file found.
enum Found {
    Nothing,
    /// An entry whose time is over.
    Expired,
    /// Bytes that are no entry, or that of another key with the same hash.
    Strange,
    Alive(Record),
}

impl Store {
    pub(crate) fn new(folder: Folder, rules: Rules) -> Self {
        Self {
            folder,
            index: Mutex::default(),
            rules,
            stats: Arc::default(),
            is_complete: AtomicBool::new(false),
        }
    }

    pub(crate) fn max_size_bytes(&self) -> u64 {
        self.rules.max_size_bytes
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.rules.clock.now()
    }

    fn look(&self, name: Name, key: &str) -> Result<Found> {
        let Some(bytes) = self.folder.read(name).map_err(failed("read"))? else {
            return Ok(Found::Nothing);
        };
        Ok(match Record::read(bytes) {
            Some(record) if record.key != key => Found::Strange,
            Some(record) if record.is_expired(self.now()) => Found::Expired,
            Some(record) => Found::Alive(record),
            None => Found::Strange,
        })
    }

    fn lock(&self, name: Name) -> Result<Locked<'_>> {
        self.folder.lock(name).map_err(failed("lock"))
    }

    /// The entry, counted and used.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Record>> {
        let name = Name::of(key);
        let found = self.look(name, key)?;
        let counter = match &found {
            // That a strange one is no hit is said by another counter.
            Found::Alive(_) | Found::Strange => Counter::Hit,
            Found::Nothing | Found::Expired => Counter::Miss,
        };
        self.stats.add(counter, 1);
        match found {
            Found::Alive(record) => {
                self.index.lock().touch(name);
                return Ok(Some(record));
            }
            Found::Expired => self.remove_expired(name, key)?,
            Found::Strange => self.stats.add(Counter::Unreadable, 1),
            Found::Nothing => self.index.lock().forget(name),
        }
        Ok(None)
    }

    /// The entry as it is, which counts as no use.
    pub(crate) fn peek(&self, key: &str) -> Result<Option<Record>> {
        let name = Name::of(key);
        match self.look(name, key)? {
            Found::Alive(record) => return Ok(Some(record)),
            Found::Expired => self.remove_expired(name, key)?,
            Found::Nothing | Found::Strange => {}
        }
        Ok(None)
    }

    pub(crate) fn set(&self, key: &str, value: Bytes, options: &SetOptions) -> Result<bool> {
        let name = Name::of(key);
        let lock = self.lock(name)?;
        if options.condition != Condition::Always {
            let is_there = matches!(self.look(name, key)?, Found::Alive(_));
            if !options.condition.allows(is_there) {
                return Ok(false);
            }
        }
        let now = self.now();
        let record = Record {
            key: key.to_owned(),
            value,
            created: Moment::of(now),
            expires: end_of(now, options.ttl.resolve(self.rules.default_ttl)),
            metadata: options.metadata.clone(),
        };
        self.write(name, &record, lock)?;
        self.stats.add(Counter::Set, 1);
        Ok(true)
    }

    /// Writes, lets go of the lock, and makes room for what was written.
    fn write(&self, name: Name, record: &Record, lock: Locked<'_>) -> Result<()> {
        let bytes = record.to_bytes();
        let written = self.folder.write(name, &bytes, &lock);
        written.map_err(failed("write"))?;
        let replaced_expired = {
            let mut index = self.index.lock();
            let is_over = index.is_over(name, self.now());
            index.put(name, bytes.len() as u64, record.expires);
            is_over
        };
        drop(lock);
        self.stats
            .add(Counter::EvictedExpired, u64::from(replaced_expired));
        self.make_room()
    }

    /// Removes what was used least recently until the limit holds.
    fn make_room(&self) -> Result<()> {
        loop {
            let (victim, counter) = {
                let index = self.index.lock();
                if index.bytes() <= self.rules.max_size_bytes {
                    return Ok(());
                }
                match index.expired(self.now(), 1).pop() {
                    Some(over) => (Some(over), Counter::EvictedExpired),
                    None => (index.least_recent(), Counter::EvictedCapacity),
                }
            };
            let Some(name) = victim else { return Ok(()) };
            let lock = self.lock(name)?;
            let removed = self.folder.remove(name, &lock).map_err(failed("remove"))?;
            self.index.lock().forget(name);
            self.stats.add(counter, u64::from(removed));
        }
    }

    /// Removes an entry; whether it was there and not over.
    pub(crate) fn delete(&self, key: &str) -> Result<bool> {
        let name = Name::of(key);
        let lock = self.lock(name)?;
        let found = self.look(name, key)?;
        let counter = match found {
            Found::Alive(_) => Counter::Delete,
            Found::Expired => Counter::EvictedExpired,
            Found::Nothing | Found::Strange => return Ok(false),
        };
        self.folder.remove(name, &lock).map_err(failed("remove"))?;
        self.index.lock().forget(name);
        self.stats.add(counter, 1);
        Ok(matches!(found, Found::Alive(_)))
    }

    /// Removes an entry that was seen to be over, if it still is.
    fn remove_expired(&self, name: Name, key: &str) -> Result<()> {
        let lock = self.lock(name)?;
        if matches!(self.look(name, key)?, Found::Expired) {
            self.folder.remove(name, &lock).map_err(failed("remove"))?;
            self.index.lock().forget(name);
            self.stats.add(Counter::EvictedExpired, 1);
        }
        Ok(())
    }

    /// Removes all files, and tells how many entries there were.
    pub(crate) fn clear(&self) -> Result<u64> {
        let (mut cleared, now) = (0, self.now());
        for folder in 0..=u8::MAX {
            for (name, _) in self.folder.list(folder, now).map_err(failed("list"))? {
                let lock = self.lock(name)?;
                let bytes = self.folder.read(name).map_err(failed("read"))?;
                match bytes.and_then(Record::read) {
                    Some(record) if record.is_expired(now) => {
                        self.stats.add(Counter::EvictedExpired, 1);
                    }
                    Some(_) => cleared += 1,
                    None => {}
                }
                self.folder.remove(name, &lock).map_err(failed("remove"))?;
                self.index.lock().forget(name);
            }
        }
        Ok(cleared)
    }

    /// All live keys that match.
    pub(crate) fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let now = self.now();
        for folder in 0..=u8::MAX {
            for (name, _) in self.folder.list(folder, now).map_err(failed("list"))? {
                let bytes = self.folder.read(name).map_err(failed("read"))?;
                let record = bytes.and_then(Record::read);
                keys.extend(
                    record
                        .filter(|record| {
                            !record.is_expired(now)
                                && pattern.is_none_or(|p| p.matches(&record.key))
                        })
                        .map(|record| record.key),
                );
            }
        }
        Ok(keys)
    }

    pub(crate) fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let name = Name::of(key);
        let lock = self.lock(name)?;
        let now = self.now();
        let present = match self.look(name, key)? {
            Found::Alive(record) => Some(record),
            _ => None,
        };
        let sum = counter::add(present.as_ref().map(|record| &record.value[..]), delta)?;
        let mut record = present.unwrap_or_else(|| Record {
            key: key.to_owned(),
            value: Bytes::new(),
            created: Moment::of(now),
            expires: end_of(now, ttl.resolve(self.rules.default_ttl)),
            metadata: larder_core::Metadata::new(),
        });
        record.value = sum.to_string().into();
        self.write(name, &record, lock)?;
        self.stats.add(Counter::Set, 1);
        Ok(sum)
    }

    pub(crate) fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let name = Name::of(key);
        let lock = self.lock(name)?;
        let Found::Alive(mut record) = self.look(name, key)? else {
            return Ok(false);
        };
        record.expires = end_of(self.now(), ttl.resolve(self.rules.default_ttl));
        self.write(name, &record, lock)?;
        Ok(true)
    }

    /// The statistics, once what is over has gone.
    pub(crate) fn stats(&self) -> Result<CacheStats> {
        while self.sweep_some()? {}
        let mut stats = self.stats.snapshot();
        let alive = self.index.lock().alive(self.now());
        (stats.current_entries, stats.current_size_bytes) = alive;
        stats.max_size_bytes = Some(self.rules.max_size_bytes);
        Ok(stats)
    }

    /// Removes some of what is over; whether there may be more.
    pub(crate) fn sweep_some(&self) -> Result<bool> {
        let expired = self.index.lock().expired(self.now(), SWEPT_AT_ONCE);
        for name in &expired {
            let lock = self.lock(*name)?;
            let bytes = self.folder.read(*name).map_err(failed("read"))?;
            let record = bytes.and_then(Record::read);
            if let Some(record) = record.filter(|record| !is_over(record.expires, self.now())) {
                // Another process has replaced it.
                let bytes = record.to_bytes().len() as u64;
                self.index.lock().put(*name, bytes, record.expires);
                continue;
            }
            let removed = self.folder.remove(*name, &lock).map_err(failed("remove"))?;
            self.index.lock().forget(*name);
            self.stats.add(Counter::EvictedExpired, u64::from(removed));
        }
        Ok(expired.len() == SWEPT_AT_ONCE)
    }

    /// Brings the index up to date with one folder.
    pub(crate) fn survey(&self, folder: u8) -> Result<()> {
        let listed = self
            .folder
            .list(folder, self.now())
            .map_err(failed("list"))?;
        let there: std::collections::HashSet<Name> = listed.iter().map(|(name, _)| *name).collect();
        let known = self.index.lock().names_in(folder);
        for name in known.into_iter().filter(|name| !there.contains(name)) {
            self.index.lock().forget(name);
        }
        for (name, size) in listed {
            if self.index.lock().knows(name) {
                continue;
            }
            let bytes = self.folder.read(name).map_err(failed("read"))?;
            let expires = bytes
                .and_then(Record::read)
                .and_then(|record| record.expires);
            self.index.lock().put(name, size, expires);
        }
        if folder == u8::MAX {
            // Ordering: relaxed, nothing else is told by it.
            self.is_complete.store(true, Ordering::Relaxed);
        }
        self.make_room()
    }

    /// Whether all files that were there at the start are known.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed)
    }
}

/// An error of the file system in the words of a backend.
fn failed(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::Denied
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::TooLarge,
            _ => ErrorKind::Unavailable,
        };
        let retry = match kind {
            ErrorKind::Unavailable => Retry::Safe,
            _ => Retry::Never,
        };
        let message = format!("cannot {what} a file: {error}");
        Error::new(kind, message)
            .with_retry(retry)
            .with_source(error)
    }
}
