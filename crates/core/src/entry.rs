//! A cached item with everything known about it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What the application wants to remember about an entry: a JSON object.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// A cached item: key, value, times, size, metadata and tags.
///
/// Cloning is cheap as far as the value goes. Times are Unix seconds with a
/// fraction when serialised.
///
/// ```
/// use larder_core::CacheEntry;
/// use std::time::{Duration, SystemTime};
///
/// let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let entry = CacheEntry::new("user:123", "user data", created)
///     .with_expires_at(created + Duration::from_secs(3600))
///     .with_metadata([("endpoint", "/api/users".into())]);
///
/// assert_eq!(entry.size_bytes, 9);
/// assert!(!entry.is_expired(created));
/// assert_eq!(entry.ttl_remaining(created), Some(Duration::from_secs(3600)));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CacheEntry {
    /// The key.
    pub key: String,
    /// The cached bytes.
    pub value: Bytes,
    /// When the value was stored.
    #[serde(with = "unix_seconds")]
    pub created_at: SystemTime,
    /// When it expires; `None` is never.
    #[serde(with = "unix_seconds::optional", default)]
    pub expires_at: Option<SystemTime>,
    /// Size of the value in bytes.
    pub size_bytes: u64,
    /// What the application wants to remember about it.
    #[serde(default)]
    pub metadata: Metadata,
    /// Names under which it can be invalidated together with others.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl CacheEntry {
    /// An entry that does not expire, with the size of its value.
    pub fn new(key: impl Into<String>, value: impl Into<Bytes>, created_at: SystemTime) -> Self {
        let value = value.into();
        Self {
            key: key.into(),
            size_bytes: value.len() as u64,
            value,
            created_at,
            expires_at: None,
            metadata: Metadata::new(),
            tags: Vec::new(),
        }
    }

    /// The same entry with an end.
    #[must_use]
    pub fn with_expires_at(mut self, at: SystemTime) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The same entry with a size other than its value's length.
    #[must_use]
    pub fn with_size_bytes(mut self, size_bytes: u64) -> Self {
        self.size_bytes = size_bytes;
        self
    }

    /// The same entry with metadata.
    #[must_use]
    pub fn with_metadata<K: Into<String>>(
        mut self,
        metadata: impl IntoIterator<Item = (K, serde_json::Value)>,
    ) -> Self {
        self.metadata = metadata.into_iter().map(|(k, v)| (k.into(), v)).collect();
        self
    }

    /// The same entry with tags.
    #[must_use]
    pub fn with_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the entry has expired at `now`; at its very end it has.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }

    /// Time left at `now`: zero once expired, `None` without expiry.
    pub fn ttl_remaining(&self, now: SystemTime) -> Option<Duration> {
        self.expires_at
            .map(|end| end.duration_since(now).unwrap_or_default())
    }

    /// [`created_at`](Self::created_at) as Unix seconds with a fraction.
    pub fn created_at_unix(&self) -> f64 {
        unix_seconds::to_f64(self.created_at)
    }

    /// [`expires_at`](Self::expires_at) as Unix seconds with a fraction.
    pub fn expires_at_unix(&self) -> Option<f64> {
        self.expires_at.map(unix_seconds::to_f64)
    }
}

/// Times as Unix seconds with a fraction, for serde.
mod unix_seconds {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn to_f64(time: SystemTime) -> f64 {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        }
    }

    fn from_f64<E: Error>(seconds: f64) -> Result<SystemTime, E> {
        Duration::try_from_secs_f64(seconds.abs())
            .ok()
            .and_then(|distance| {
                if seconds < 0.0 {
                    SystemTime::UNIX_EPOCH.checked_sub(distance)
                } else {
                    SystemTime::UNIX_EPOCH.checked_add(distance)
                }
            })
            .ok_or_else(|| E::custom(format!("{seconds} is not a Unix time")))
    }

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(to_f64(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        from_f64(f64::deserialize(from)?)
    }

    pub(super) mod optional {
        use super::{Deserialize, Deserializer, Serializer, SystemTime, from_f64, to_f64};

        #[expect(clippy::ref_option, reason = "serde dictates the signature")]
        pub(in super::super) fn serialize<S: Serializer>(
            time: &Option<SystemTime>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => to.serialize_some(&to_f64(*time)),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<SystemTime>, D::Error> {
            Option::<f64>::deserialize(from)?.map(from_f64).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    // covers: A1, A2, A5, A6, A7, A10
    #[test]
    fn an_entry_is_built_by_hand_with_defaults_for_what_is_omitted() {
        let entry = CacheEntry::new("user:123", &b"user data"[..], at(100));
        assert_eq!(entry.key, "user:123");
        assert_eq!(&entry.value[..], b"user data");
        assert_eq!(entry.size_bytes, 9);
        assert_eq!(entry.expires_at, None);
        assert!(entry.metadata.is_empty());
        let copy = entry.clone();
        assert_eq!(copy.value.as_ptr(), entry.value.as_ptr(), "no bytes copied");
        assert_eq!(entry.with_size_bytes(64).size_bytes, 64);
    }

    // covers: A4, A8, A9
    #[test]
    fn an_entry_is_expired_at_its_very_end_and_never_without_one() {
        let forever = CacheEntry::new("k", "v", at(100));
        assert!(!forever.is_expired(at(u64::from(u32::MAX))));
        assert_eq!(forever.ttl_remaining(at(100)), None);

        let entry = forever.with_expires_at(at(101));
        assert!(!entry.is_expired(at(101) - Duration::from_nanos(1)));
        assert!(entry.is_expired(at(101)));
        assert_eq!(entry.ttl_remaining(at(100)), Some(Duration::from_secs(1)));
        assert_eq!(entry.ttl_remaining(at(101)), Some(Duration::ZERO));
        assert_eq!(entry.ttl_remaining(at(500)), Some(Duration::ZERO));
    }

    // covers: A3, A10
    #[test]
    fn an_entry_survives_serialisation_with_times_as_float_seconds() {
        let entry = CacheEntry::new("k", "v", at(100) + Duration::from_millis(500))
            .with_expires_at(at(200))
            .with_tags(["a", "b"])
            .with_metadata([("n", 1.into())]);
        let json = serde_json::to_value(&entry).unwrap();
        assert_eq!(json["created_at"], 100.5);
        assert_eq!(json["expires_at"], 200.0);
        assert!((entry.created_at_unix() - 100.5).abs() < f64::EPSILON);
        assert_eq!(entry.expires_at_unix(), Some(200.0));
        let back: CacheEntry = serde_json::from_value(json).unwrap();
        assert_eq!(back, entry);

        let forever = CacheEntry::new("k", "v", at(100));
        let json = serde_json::to_string(&forever).unwrap();
        assert_eq!(serde_json::from_str::<CacheEntry>(&json).unwrap(), forever);
    }

    #[test]
    fn impossible_times_are_refused() {
        let json = r#"{"key":"k","value":[],"created_at":1e300,"size_bytes":0}"#;
        assert!(serde_json::from_str::<CacheEntry>(json).is_err());
    }
}
