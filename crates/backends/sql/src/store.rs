//! The operations of a backend, as statements and their answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::stored::Moment;
use larder_core::{
    BatchReport, CacheEntry, Condition, Counter, Error, ErrorKind, Metadata, Result, Retry,
    SetOptions, StatsRecorder, Ttl, TtlState, counter,
};
use tokio::sync::Mutex;

use crate::builder::Settings;
use crate::database::Database;
use crate::row::{Row, Value, end_of, millis, ttl_of};
use crate::statement::{Outcome, Statement};
use crate::table::Table;
use crate::upkeep::Census;

/// Most rows that one statement writes.
const WRITTEN_AT_ONCE: usize = 64;
/// Most keys of one statement that reads or removes.
const READ_AT_ONCE: usize = 256;
/// How often a change is tried when others change the same key meanwhile.
const MOST_TRIES: u32 = 100;

/// A table with what is known of it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) table: Table,
    pub(crate) settings: Settings,
    pub(crate) stats: Arc<StatsRecorder>,
    /// Whether the table is there, as far as anybody knows.
    is_ready: AtomicBool,
    preparing: Mutex<()>,
    pub(crate) census: Mutex<Option<(Duration, Census)>>,
}

impl Store {
    pub(crate) fn new(database: Database, table: Table, settings: Settings) -> Self {
        Self {
            database,
            table,
            settings,
            stats: Arc::default(),
            is_ready: AtomicBool::new(false),
            preparing: Mutex::default(),
            census: Mutex::default(),
        }
    }

    pub(crate) fn full(&self, key: &str) -> String {
        [&self.settings.prefix, key].concat()
    }

    fn now(&self) -> SystemTime {
        self.settings.clock.now()
    }

    pub(crate) fn now_millis(&self) -> i64 {
        millis(Moment::of(self.now())).unwrap_or(i64::MAX)
    }

    /// Makes sure that the table is there.
    async fn prepare(&self) -> Result<()> {
        // Ordering: relaxed, because it publishes nothing; at worst one looks once more.
        if self.is_ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _one_at_a_time = self.preparing.lock().await;
        if self.is_ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        let prepare = self
            .table
            .prepare(&self.database, self.settings.create_table);
        // It is large and rare.
        Box::pin(prepare).await?;
        self.is_ready.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Does something in the time allowed for an operation, or a part of a long one.
    pub(crate) async fn in_time<T>(
        &self,
        if_late: Retry,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let done = tokio::time::timeout(self.settings.timeout, work).await;
        done.unwrap_or_else(|_| {
            let message = "no answer from the database in the time allowed";
            Err(Error::new(ErrorKind::Timeout, message).with_retry(if_late))
        })
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        statement: Statement,
        read: crate::database::Read<T>,
    ) -> Result<Vec<T>> {
        let reading = async {
            self.prepare().await?;
            self.database.read(statement, read).await
        };
        let found = self.in_time(Retry::Safe, reading).await;
        found.map_err(|error| self.noticed(error))
    }

    pub(crate) async fn write(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>> {
        let writing = async {
            self.prepare().await?;
            self.database.write(statements).await
        };
        let done = self.in_time(Retry::MaybeApplied, writing).await;
        done.map_err(|error| self.noticed(error))
    }

    /// A database that was away may come back without the table.
    fn noticed(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Unavailable {
            self.is_ready.store(false, Ordering::Relaxed);
        }
        error
    }

    /// Makes a change, with its line in the audit trail. The change itself comes first.
    async fn change(&self, change: Statement, operation: &str, key: &str) -> Result<Outcome> {
        let now = self.now_millis();
        let statements = self.table.audited(change, operation, Some(key), now);
        let outcomes = self.write(statements).await?;
        Ok(outcomes.first().copied().unwrap_or_default())
    }

    /// What is stored under these full keys, of each at most one.
    async fn values(&self, keys: &[String]) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(keys.len());
        for part in keys.chunks(READ_AT_ONCE) {
            let select = self.table.select_values(padded(part), self.now_millis());
            values.extend(self.read(select, Value::read).await?);
        }
        Ok(values)
    }

    /// The rows of these full keys, of each at most one.
    async fn rows(&self, keys: &[String]) -> Result<Vec<Row>> {
        let mut rows = Vec::with_capacity(keys.len());
        for part in keys.chunks(READ_AT_ONCE) {
            let select = self.table.select(padded(part), self.now_millis());
            rows.extend(self.read(select, Row::read).await?);
        }
        Ok(rows)
    }

    /// The row of a key, which is no use of it.
    pub(crate) async fn peek(&self, key: &str) -> Result<Option<Row>> {
        let mut rows = self.rows(&[self.full(key)]).await?;
        Ok(rows.pop())
    }

    /// The entries of distinct keys that are there, in their order.
    pub(crate) async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let full: Vec<String> = keys.iter().map(|key| self.full(key)).collect();
        let rows = self.rows(&full).await?.into_iter();
        let rows: HashMap<String, Row> = rows.map(|row| (row.key.clone(), row)).collect();
        let found = keys
            .iter()
            .zip(&full)
            .filter_map(|(key, full)| self.seen(rows.get(full), |row| row.entry(key)));
        Ok(found.collect())
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let found = self.values(&[self.full(key)]).await?;
        Ok(self.seen(found.first(), |found| found.value.clone()))
    }

    /// How long a key lives, if it is there.
    pub(crate) async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let look = self.table.select_end(&self.full(key), self.now_millis());
        let ends = self.read(look, |columns| Some(columns.number(0))).await?;
        Ok(ends.first().map(|end| ttl_of(*end, self.now())))
    }

    /// What is made of a row that was asked for, counted.
    pub(crate) fn seen<R, T>(
        &self,
        row: Option<&R>,
        open: impl FnOnce(&R) -> Option<T>,
    ) -> Option<T> {
        let Some(row) = row else {
            self.stats.add(Counter::Miss, 1);
            return None;
        };
        let opened = open(row);
        self.stats.add(Counter::Hit, 1);
        if opened.is_none() {
            // That it is no hit is said by another counter.
            self.stats.add(Counter::Unreadable, 1);
        }
        opened
    }

    /// The values of distinct keys that are there, in their order.
    pub(crate) async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let full: Vec<String> = keys.iter().map(|key| self.full(key)).collect();
        let values = self.values(&full).await?.into_iter();
        let values: HashMap<String, Value> =
            values.map(|found| (found.key.clone(), found)).collect();
        let found = keys.iter().zip(&full).filter_map(|(key, full)| {
            let value = self.seen(values.get(full), |found| found.value.clone())?;
            Some(((*key).to_owned(), value))
        });
        Ok(found.collect())
    }

    fn row(&self, full: String, value: Bytes, metadata: &Metadata, ttl: Ttl) -> Row {
        let now = self.now();
        let lifetime = ttl.resolve(self.settings.default_ttl);
        Row::new(full, value, metadata, now).ending(now, lifetime)
    }

    pub(crate) async fn set(&self, key: &str, value: Bytes, options: &SetOptions) -> Result<bool> {
        let row = self.row(self.full(key), value, &options.metadata, options.ttl);
        let stored = match options.condition {
            Condition::IfAbsent => self.insert(key, row).await?,
            Condition::IfPresent => {
                let update = self.table.update(row, self.now_millis());
                self.change(update, "set", key).await?.changed > 0
            }
            _ => {
                self.change(self.table.upsert(vec![row]), "set", key)
                    .await?;
                true
            }
        };
        self.stats.add(Counter::Set, u64::from(stored));
        Ok(stored)
    }

    /// Stores a row if there is none that has not ended.
    async fn insert(&self, key: &str, row: Row) -> Result<bool> {
        for _ in 0..MOST_TRIES {
            let insert = self.table.insert_new(row.clone());
            if self.change(insert, "set", key).await?.changed > 0 {
                return Ok(true);
            }
            let remove = self.table.delete_ended(&row.key, self.now_millis());
            let removed = self.write(vec![remove]).await?[0].changed;
            self.stats.add(Counter::EvictedExpired, removed);
            if removed == 0 {
                break;
            }
        }
        Ok(false)
    }

    /// Stores many, each under a condition or none.
    pub(crate) async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: &SetOptions,
    ) -> BatchReport {
        let mut report = BatchReport::new();
        if options.condition != Condition::Always {
            for (key, value) in items {
                let outcome = self.set(&key, value, options).await;
                report.record(&key, outcome);
            }
            return report;
        }
        let mut gone: Option<Error> = None;
        for part in in_parts(&items) {
            let stored = match &gone {
                // Whoever is gone is not asked for each part again.
                Some(error) => Err(error.clone().with_retry(Retry::Safe)),
                None => self.write(self.upserts(part, options)).await,
            };
            match &stored {
                Ok(_) => self.stats.add(Counter::Set, part.len() as u64),
                Err(error) if is_gone(error) => gone = Some(error.clone()),
                Err(_) => {}
            }
            for (key, _) in part {
                report.record(key, stored.as_ref().map(|_| true).map_err(Clone::clone));
            }
        }
        report
    }

    /// All in one statement; with an audit trail one for each, to have a line for each.
    fn upserts(&self, items: &[(String, Bytes)], options: &SetOptions) -> Vec<Statement> {
        let row = |(key, value): &(String, Bytes)| {
            self.row(
                self.full(key),
                value.clone(),
                &options.metadata,
                options.ttl,
            )
        };
        if self.table.audit.is_some() {
            let now = self.now_millis();
            let audited = items.iter().map(|item| {
                let upsert = self.table.upsert(vec![row(item)]);
                self.table.audited(upsert, "set", Some(&item.0), now)
            });
            return audited.flatten().collect();
        }
        // Of a key that comes twice the last value stays. All programs write in the same
        // order, so that none waits for another that waits for it.
        let mut rows: Vec<Row> = items.iter().rev().map(row).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows.dedup_by(|later, kept| later.key == kept.key);
        vec![self.table.upsert(rows)]
    }

    /// Removes keys and tells how many were there.
    pub(crate) async fn delete(&self, keys: &[&str], operation: &str) -> Result<u64> {
        let mut deleted = 0;
        for part in keys.chunks(READ_AT_ONCE) {
            let now = self.now_millis();
            let statements = if self.table.audit.is_some() {
                let one = |key: &&str| {
                    let delete = self.table.delete(vec![self.full(key)], now);
                    self.table.audited(delete, operation, Some(key), now)
                };
                part.iter().flat_map(one).collect()
            } else {
                let mut full: Vec<String> = part.iter().map(|key| self.full(key)).collect();
                full.sort_unstable();
                vec![self.table.delete(padded(&full), now)]
            };
            // With lines of the trail every other outcome is that of a line.
            let step = if self.table.audit.is_some() { 2 } else { 1 };
            let outcomes = self.write(statements).await?;
            deleted += outcomes
                .iter()
                .step_by(step)
                .map(|outcome| outcome.changed)
                .sum::<u64>();
        }
        self.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    /// Adds to a number, or begins one.
    pub(crate) async fn count(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let full = self.full(key);
        for _ in 0..MOST_TRIES {
            let add = self.table.add(&full, delta, self.now_millis());
            if let Some(sum) = self.change(add, "count", key).await?.number {
                return Ok(sum);
            }
            if let Some(row) = self.peek(key).await? {
                // Why it was not added to: unless it was made just now, this fails.
                counter::add(row.value().as_deref().or(Some(b"")), delta)?;
                continue;
            }
            let first = delta.to_string().into();
            let row = self.row(full.clone(), first, &Metadata::new(), ttl);
            if self.insert(key, row).await? {
                return Ok(delta);
            }
        }
        let message = "the number came and went too often to be added to";
        Err(Error::new(ErrorKind::Timeout, message).with_retry(Retry::Safe))
    }

    pub(crate) async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let lifetime = ttl.resolve(self.settings.default_ttl);
        let end = end_of(self.now(), lifetime);
        let touch = self.table.touch(&self.full(key), end, self.now_millis());
        Ok(self.change(touch, "touch", key).await?.changed > 0)
    }
}

/// Whether the database cannot be had at the moment.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// The keys, and the last one again and again up to a power of two: so that there are few
/// different statements.
fn padded(keys: &[String]) -> Vec<String> {
    let last = keys.last().into_iter().cycle();
    let whole = keys.len().next_power_of_two();
    keys.iter().chain(last).take(whole).cloned().collect()
}

/// Parts with a power of two of items each, so that there are few different statements.
fn in_parts<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let largest = items.len().checked_ilog2()?;
        let (part, rest) = items.split_at((1 << largest).min(WRITTEN_AT_ONCE));
        items = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_powers_of_two_and_nothing_is_left_out() {
        let items: Vec<u32> = (0..203).collect();
        let sizes: Vec<usize> = in_parts(&items).map(<[u32]>::len).collect();
        assert_eq!(sizes, [64, 64, 64, 8, 2, 1]);
        assert_eq!(in_parts(&items).flatten().count(), 203);
        assert_eq!(in_parts::<u32>(&[]).count(), 0);
        let keys = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(padded(&keys), ["a", "b", "c", "c"]);
        assert_eq!(padded(&keys[..1]), ["a"]);
    }
}
