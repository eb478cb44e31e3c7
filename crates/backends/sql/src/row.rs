//! How an entry is a row of the table.
//!
//! A plain decimal number is in a column of its own, so that the database can add to it.
//! Any other value is in the column `content`, as it is.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::stored::Moment;
use larder_core::{CacheEntry, Metadata, TtlState, counter};

use crate::statement::Param;

/// An entry as the table has it; times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) created: i64,
    pub(crate) expires: Option<i64>,
    pub(crate) number: Option<i64>,
    pub(crate) metadata: Option<String>,
    pub(crate) content: Option<Bytes>,
}

/// The columns in the order of [`Row::params`] and of [`Row::read`].
pub(crate) const COLUMNS: [&str; 6] = [
    "cache_key",
    "created_ms",
    "expires_ms",
    "number",
    "metadata",
    "content",
];

/// What a database has in the columns of a row, by their places.
pub(crate) trait Columns {
    fn text(&self, place: usize) -> Option<String>;
    fn bytes(&self, place: usize) -> Option<Bytes>;
    fn number(&self, place: usize) -> Option<i64>;
}

impl Row {
    pub(crate) fn new(key: String, value: Bytes, metadata: &Metadata, now: SystemTime) -> Self {
        let number = counter::add(Some(&value), 0).ok();
        let metadata = (!metadata.is_empty()).then(|| serde_json::Value::from(metadata.clone()));
        Self {
            key,
            created: millis(Moment::of(now)).unwrap_or(i64::MAX),
            expires: None,
            number,
            metadata: metadata.map(|map| map.to_string()),
            content: number.is_none().then_some(value),
        }
    }

    /// The same with an end after this lifetime.
    pub(crate) fn ending(mut self, now: SystemTime, lifetime: Option<Duration>) -> Self {
        self.expires = end_of(now, lifetime);
        self
    }

    /// A row whose key cannot be read is nobody's.
    pub(crate) fn read(columns: &dyn Columns) -> Option<Self> {
        Some(Self {
            key: columns.text(0)?,
            created: columns.number(1)?,
            expires: columns.number(2),
            number: columns.number(3),
            metadata: columns.text(4),
            content: columns.bytes(5),
        })
    }

    pub(crate) fn params(self) -> [Param; COLUMNS.len()] {
        [
            Param::Key(self.key),
            Param::Number(Some(self.created)),
            Param::Number(self.expires),
            Param::Number(self.number),
            Param::Text(self.metadata),
            Param::Bytes(self.content),
        ]
    }

    /// `None` if another program left nothing in it.
    pub(crate) fn value(&self) -> Option<Bytes> {
        value_of(self.number, || self.content.clone())
    }

    /// The entry under the key that callers know; `None` if it cannot be read.
    pub(crate) fn entry(&self, key: &str) -> Option<CacheEntry> {
        let created = time(self.created).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut entry = CacheEntry::new(key, self.value()?, created);
        entry.expires_at = self.expires.and_then(time);
        if let Some(text) = &self.metadata {
            entry.metadata = serde_json::from_str(text).ok()?;
        }
        Some(entry)
    }
}

/// A value and its key; no value if another program left nothing in the row.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) key: String,
    pub(crate) value: Option<Bytes>,
}

impl Value {
    /// A row whose key cannot be read is nobody's.
    pub(crate) fn read(columns: &dyn Columns) -> Option<Self> {
        Some(Self {
            key: columns.text(0)?,
            value: value_of(columns.number(1), || columns.bytes(2)),
        })
    }
}

fn value_of(number: Option<i64>, content: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
    match number {
        Some(number) => Some(number.to_string().into()),
        None => content(),
    }
}

/// How much longer something with this end lives.
pub(crate) fn ttl_of(end: Option<i64>, now: SystemTime) -> TtlState {
    match end.and_then(time) {
        Some(end) => TtlState::Remaining(end.duration_since(now).unwrap_or_default()),
        None => TtlState::Never,
    }
}

/// When what is stored at `now` ends. What a column cannot hold has no end.
pub(crate) fn end_of(now: SystemTime, lifetime: Option<Duration>) -> Option<i64> {
    millis(Moment::at_least(now.checked_add(lifetime?)?))
}

/// This moment as columns have it.
pub(crate) fn millis(moment: Moment) -> Option<i64> {
    i64::try_from(moment.0).ok()
}

fn time(millis: i64) -> Option<SystemTime> {
    Moment(u64::try_from(millis).unwrap_or_default()).time()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &'static str) -> Row {
        let metadata = [("n".to_owned(), 1.into())].into_iter().collect();
        Row::new(
            "key".into(),
            value.into(),
            &metadata,
            SystemTime::UNIX_EPOCH,
        )
    }

    #[test]
    fn numbers_have_a_column_of_their_own_and_values_come_back() {
        for number in ["0", "-7", "9223372036854775807"] {
            assert_eq!(
                (row(number).content.clone(), row(number).value()),
                (None, Some(number.into()))
            );
        }
        for other in ["", "+1", "007", "1.5", "9223372036854775808"] {
            assert_eq!(
                (row(other).number, row(other).value()),
                (None, Some(other.into()))
            );
        }
        let entry = row("text").entry("key").expect("just made");
        assert_eq!(
            (&entry.value[..], &entry.metadata["n"]),
            (&b"text"[..], &1.into())
        );
    }

    #[test]
    fn what_others_left_cannot_be_read() {
        let empty = Row {
            content: None,
            ..row("text")
        };
        assert_eq!(empty.entry("key"), None);
        let torn = Row {
            metadata: Some("{".to_owned()),
            ..row("text")
        };
        assert_eq!(torn.entry("key"), None);
    }

    #[test]
    fn ends_are_whole_milliseconds_and_never_too_early() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(end_of(now, Some(Duration::from_micros(1))), Some(1));
        assert_eq!(end_of(now, Some(Duration::from_millis(1))), Some(1));
        assert_eq!(end_of(now, None), None);
        assert_eq!(end_of(now, Some(Duration::MAX)), None);
    }
}
