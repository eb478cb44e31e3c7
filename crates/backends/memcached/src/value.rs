//! How an entry is an item of Memcached.
//!
//! A plain decimal number is stored as it is, so that the server can add to it and other
//! programs can read it. Everything else is in an envelope. A server counts seconds; the
//! flags of an item say more exactly when it ends, if that is needed. What the name does
//! not say of a long key is kept before the value.

use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use larder_core::stored::{Envelope, Moment};
use larder_core::{CacheEntry, Metadata, counter};

/// The key comes before the value.
const WITH_KEY: u32 = 1;
/// The rest of the flags is the end, in milliseconds, without the higher bits.
const WITH_END: u32 = 1 << 1;
const END_SHIFT: u32 = 2;
const END_MASK: u64 = (1 << (u32::BITS - END_SHIFT)) - 1;
/// Ends are said exactly of lifetimes up to this: far from where the bits repeat.
const LONGEST_EXACT: Duration = Duration::from_hours(24);

/// The flags of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks(pub(crate) u32);

impl Marks {
    /// For an item that ends after this lifetime, if whole seconds do not say it.
    pub(crate) fn ending(now: SystemTime, lifetime: Option<Duration>) -> Self {
        let exact = lifetime.filter(|time| time.subsec_nanos() != 0 && *time < LONGEST_EXACT);
        let end = exact.and_then(|lifetime| now.checked_add(lifetime));
        Self(end.map_or(0, |end| {
            let bits = Moment::at_least(end).0 & END_MASK;
            WITH_END | u32::try_from(bits).expect("30 bits") << END_SHIFT
        }))
    }

    pub(crate) fn has_key(self) -> bool {
        self.0 & WITH_KEY != 0
    }

    pub(crate) fn has_end(self) -> bool {
        self.0 & WITH_END != 0
    }

    /// The end, if it is said here: of all moments with these bits the one nearest to now.
    fn end(self, now: SystemTime) -> Option<SystemTime> {
        if !self.has_end() {
            return None;
        }
        let now = Moment::of(now).0;
        let ahead = u64::from(self.0 >> END_SHIFT).wrapping_sub(now) & END_MASK;
        let end = if ahead <= END_MASK / 2 {
            now + ahead
        } else {
            now.saturating_sub(END_MASK + 1 - ahead)
        };
        Moment(end).time()
    }

    /// Whether it is over, though the server does not know yet.
    pub(crate) fn is_over(self, now: SystemTime) -> bool {
        self.end(now).is_some_and(|end| end <= now)
    }

    /// How much longer it lives, given the seconds that the server says.
    pub(crate) fn rest(self, now: SystemTime, seconds: Option<u64>) -> Option<Duration> {
        match self.end(now) {
            Some(end) => Some(end.duration_since(now).unwrap_or_default()),
            None => seconds.map(Duration::from_secs),
        }
    }
}

/// What a server stores.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) marks: Marks,
    pub(crate) bytes: Bytes,
}

/// What is in an item.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) value: Bytes,
    pub(crate) created: Option<Moment>,
    pub(crate) metadata: Metadata,
}

impl Content {
    /// The item for it. A key whose name is only its hash is given.
    pub(crate) fn into_item(self, mut marks: Marks, long_key: Option<&str>) -> Item {
        let is_plain = self.metadata.is_empty() && long_key.is_none();
        if is_plain && counter::add(Some(&self.value), 0).is_ok() {
            return Item {
                marks,
                bytes: self.value,
            };
        }
        let mut payload = self.value;
        if let Some(key) = long_key {
            marks.0 |= WITH_KEY;
            let mut keyed = BytesMut::with_capacity(4 + key.len() + payload.len());
            keyed.put_u32_le(u32::try_from(key.len()).expect("keys are short"));
            keyed.put_slice(key.as_bytes());
            keyed.put_slice(&payload);
            payload = keyed.freeze();
        }
        let mut envelope = Envelope::new(payload);
        envelope.created = self.created;
        envelope.metadata = self.metadata;
        Item {
            marks,
            bytes: envelope.to_bytes(),
        }
    }

    /// Nobody knows when a bare value was stored: at the beginning of time, then.
    pub(crate) fn into_entry(self, key: &str, expires_at: Option<SystemTime>) -> CacheEntry {
        let created = self.created.and_then(Moment::time);
        let mut entry = CacheEntry::new(key, self.value, created.unwrap_or(SystemTime::UNIX_EPOCH));
        entry.expires_at = expires_at;
        entry.metadata = self.metadata;
        entry
    }
}

impl Item {
    /// What is in it; `None` if nobody can read it, or it is another key's.
    pub(crate) fn open(self, long_key: Option<&str>) -> Option<Content> {
        let (key, content) = self.open_any()?;
        (key.as_deref() == long_key.map(str::as_bytes)).then_some(content)
    }

    /// What is in it, and its key if that is kept with it.
    pub(crate) fn open_any(self) -> Option<(Option<Bytes>, Content)> {
        let envelope = Envelope::read(self.bytes).ok()?;
        let mut value = envelope.payload;
        if envelope.created.is_none() {
            value = without_padding(value);
        }
        let mut key = None;
        if self.marks.has_key() {
            let length = value.split_to_checked(4)?;
            let length = u32::from_le_bytes(length[..].try_into().ok()?);
            key = Some(value.split_to_checked(usize::try_from(length).ok()?)?);
        }
        let content = Content {
            value,
            created: envelope.created,
            metadata: envelope.metadata,
        };
        Some((key, content))
    }
}

/// A server that counts down for others leaves spaces where digits were.
fn without_padding(value: Bytes) -> Bytes {
    let digits = value.trim_ascii_end();
    if digits.len() < value.len() && counter::add(Some(digits), 0).is_ok() {
        return value.slice(..digits.len());
    }
    value
}

/// Taking bytes off, if there are enough.
trait SplitChecked: Sized {
    fn split_to_checked(&mut self, length: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, length: usize) -> Option<Self> {
        (length <= self.len()).then(|| self.split_to(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(value: &'static str) -> Content {
        Content {
            value: value.into(),
            created: Some(Moment(5)),
            metadata: Metadata::new(),
        }
    }

    #[test]
    fn an_item_says_what_was_put_into_it() {
        for key in [None, Some("a long key")] {
            let item = content("value").into_item(Marks::default(), key);
            assert_eq!(item.marks.has_key(), key.is_some());
            let back = item.clone().open(key).expect("just made");
            assert_eq!(
                (&back.value[..], back.created),
                (&b"value"[..], Some(Moment(5)))
            );
            assert!(item.open(Some("another")).is_none());
        }
        let number = content("42").into_item(Marks::default(), None);
        assert_eq!((number.marks.0, &number.bytes[..]), (0, &b"42"[..]));
        for torn in [&b""[..], b"\x05\0\0\0ab", b"ab"] {
            let item = Item {
                marks: Marks(WITH_KEY),
                bytes: Bytes::copy_from_slice(torn),
            };
            assert!(item.open_any().is_none());
        }
    }

    #[test]
    fn an_end_between_seconds_is_said_exactly() {
        let second = Duration::from_secs(1);
        for start in [0, 1_000_000_000, (1 << 40) - 1] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(start);
            for lifetime in [second / 4, second * 3 / 2, second * 86_399 + second / 2] {
                let marks = Marks::ending(now, Some(lifetime));
                let before = now + lifetime - Duration::from_millis(1);
                assert!(
                    !marks.is_over(before) && marks.is_over(now + lifetime),
                    "{lifetime:?}"
                );
                assert!(marks.is_over(now + lifetime + second * 3_600));
                assert_eq!(marks.rest(now, Some(9)), Some(lifetime));
            }
            for lifetime in [None, Some(second), Some(LONGEST_EXACT + second / 2)] {
                let marks = Marks::ending(now, lifetime);
                assert!(!marks.has_end() && !marks.is_over(now));
                assert_eq!(marks.rest(now, Some(9)), Some(second * 9));
            }
        }
    }

    #[test]
    fn spaces_behind_numbers_are_the_servers_and_others_are_not() {
        for (stored, value) in [("9 ", "9"), ("-1  ", "-1"), ("nine ", "nine "), (" ", " ")] {
            let item = Item {
                marks: Marks::default(),
                bytes: stored.into(),
            };
            assert_eq!(item.open(None).expect("a bare value").value, value);
        }
    }
}
