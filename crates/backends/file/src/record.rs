//! What is in a file: the stored form of an entry, with its key before the value.

use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use larder_core::stored::{Envelope, Moment};
use larder_core::{CacheEntry, Metadata, TtlState};

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) value: Bytes,
    pub(crate) created: Moment,
    pub(crate) expires: Option<Moment>,
    pub(crate) metadata: Metadata,
}

impl Record {
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut payload = BytesMut::with_capacity(4 + self.key.len() + self.value.len());
        let key_len = u32::try_from(self.key.len()).expect("keys are short");
        payload.put_u32_le(key_len);
        payload.put_slice(self.key.as_bytes());
        payload.put_slice(&self.value);
        let mut envelope = Envelope::new(payload);
        envelope.created = Some(self.created);
        envelope.expires = self.expires;
        envelope.metadata.clone_from(&self.metadata);
        envelope.is_checked = true;
        envelope.to_bytes()
    }

    /// `None` if these bytes are no entry: cut off, flipped, or of somebody else.
    pub(crate) fn read(bytes: Bytes) -> Option<Self> {
        let envelope = Envelope::read(bytes).ok().filter(|read| read.is_checked)?;
        let mut value = envelope.payload;
        if value.len() < 4 {
            return None;
        }
        let key_len = u32::from_le_bytes(value.split_to(4)[..].try_into().expect("four bytes"));
        let key_len = usize::try_from(key_len).ok()?;
        if value.len() < key_len {
            return None;
        }
        let key = String::from_utf8(value.split_to(key_len).into()).ok()?;
        Some(Self {
            key,
            value,
            created: envelope.created?,
            expires: envelope.expires,
            metadata: envelope.metadata,
        })
    }

    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        is_over(self.expires, now)
    }

    pub(crate) fn ttl(&self, now: SystemTime) -> TtlState {
        match self.expires.and_then(Moment::time) {
            Some(end) => TtlState::Remaining(end.duration_since(now).unwrap_or_default()),
            None => TtlState::Never,
        }
    }

    pub(crate) fn into_entry(self) -> CacheEntry {
        let created = self.created.time().unwrap_or(SystemTime::UNIX_EPOCH);
        let mut entry = CacheEntry::new(self.key, self.value, created);
        entry.expires_at = self.expires.and_then(Moment::time);
        entry.metadata = self.metadata;
        entry
    }
}

/// When what is stored at `now` expires.
pub(crate) fn end_of(now: SystemTime, lifetime: Option<Duration>) -> Option<Moment> {
    // A lifetime beyond what the machine's time can represent has no end.
    let end = now.checked_add(lifetime?)?;
    Some(Moment::at_least(end))
}

/// Whether this end has come.
pub(crate) fn is_over(end: Option<Moment>, now: SystemTime) -> bool {
    end.and_then(Moment::time).is_some_and(|end| end <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            key: "../ключ".to_owned(),
            value: Bytes::from_static(b"\xC1value"),
            created: Moment(1),
            expires: Some(Moment(2)),
            metadata: [("n".to_owned(), 1.into())].into_iter().collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let bytes = record().to_bytes();
        assert_eq!(Record::read(bytes.clone()), Some(record()));
        for len in 0..bytes.len() {
            assert_eq!(Record::read(bytes.slice(..len)), None, "cut at {len}");
        }
        assert_eq!(Record::read(Envelope::new("bare").to_bytes()), None);
        let mut short = Envelope::new(vec![9, 0, 0, 0, b'k']);
        (short.is_checked, short.created) = (true, Some(Moment(1)));
        assert_eq!(Record::read(short.to_bytes()), None);
    }
}
