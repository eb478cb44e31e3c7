//! How an entry is a Redis string.
//!
//! A plain decimal number is stored as it is, so that the server can count with it and
//! other programs can read it. Everything else is in an envelope that says when it was
//! stored. The lifetime is the server's business.

use std::time::SystemTime;

use bytes::Bytes;
use larder_core::stored::{Envelope, Moment, Unreadable};
use larder_core::{CacheEntry, Metadata, counter};

/// What the server gets.
pub(crate) fn to_stored(value: Bytes, metadata: Metadata, now: SystemTime) -> Bytes {
    if metadata.is_empty() && counter::add(Some(&value), 0).is_ok() {
        return value;
    }
    let mut envelope = Envelope::new(value);
    envelope.created = Some(Moment::of(now));
    envelope.metadata = metadata;
    envelope.to_bytes()
}

/// What the server had.
pub(crate) fn value_of(stored: Bytes) -> Result<Bytes, Unreadable> {
    Envelope::read(stored).map(|envelope| envelope.payload)
}

/// The same with all that is known of it. Nobody knows when a bare value was stored:
/// at the beginning of time, then.
pub(crate) fn entry_of(
    key: &str,
    stored: Bytes,
    expires_at: Option<SystemTime>,
) -> Result<CacheEntry, Unreadable> {
    let envelope = Envelope::read(stored)?;
    let created = envelope.created.and_then(Moment::time);
    let created = created.unwrap_or(SystemTime::UNIX_EPOCH);
    let mut entry = CacheEntry::new(key, envelope.payload, created);
    entry.expires_at = expires_at;
    entry.metadata = envelope.metadata;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: H3
    #[test]
    fn numbers_stay_numbers_and_nothing_else_does() {
        let now = SystemTime::UNIX_EPOCH;
        for number in ["0", "-7", "9223372036854775807"] {
            assert_eq!(to_stored(number.into(), Metadata::new(), now), number);
        }
        for other in ["", "+1", "007", "1.5", "text", "9223372036854775808"] {
            let stored = to_stored(other.into(), Metadata::new(), now);
            assert_ne!(stored, other);
            assert_eq!(value_of(stored).expect("just made"), other);
        }
    }

    #[test]
    fn what_other_programs_stored_can_be_read() {
        let json = Bytes::from_static(b"{\"name\":\"Alice\"}");
        let entry = entry_of("key", json.clone(), None).expect("a bare value");
        assert_eq!(
            (entry.value, entry.created_at),
            (json, SystemTime::UNIX_EPOCH)
        );
        assert!(value_of(Bytes::from_static(b"\xC1\xFFgarbage")).is_err());
    }
}
