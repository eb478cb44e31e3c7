//! Typed values as bytes.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::stored::{Envelope, Moment};
use larder_core::{Codec, ConfigError, Error, ErrorKind, JsonCodec, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How typed values become bytes. What was stored says which it was, so a cache whose
/// setting changes reads both.
///
/// ```
/// use larder_manager::SerializerType;
///
/// assert_eq!("msgpack".parse(), Ok(SerializerType::MsgPack));
/// assert!("xml".parse::<SerializerType>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SerializerType {
    /// Readable by people and by every language. Numbers are what counters need.
    #[default]
    Json,
    /// `MessagePack`: smaller and faster, for many languages.
    MsgPack,
    /// The smallest, for Rust alone: fields are told apart by their order, so a type
    /// that changes is another type. `pickle` is taken for this.
    Native,
}

impl SerializerType {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Json, Self::MsgPack, Self::Native];

    /// What settings call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MsgPack => "msgpack",
            Self::Native => "native",
        }
    }

    /// Its number in the stored form; JSON goes without.
    const fn number(self) -> Option<u8> {
        match self {
            Self::Json => None,
            Self::MsgPack => Some(2),
            Self::Native => Some(3),
        }
    }

    fn of_number(number: Option<u8>) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// The stored form of a value.
    pub(crate) fn encode<T: Serialize + ?Sized>(
        self,
        value: &T,
        freshness: Option<Freshness>,
    ) -> Result<Bytes> {
        let payload = match self {
            Self::Json => JsonCodec.encode(value)?,
            Self::MsgPack => rmp_serde::to_vec_named(value)
                .map_err(|error| no_form("MessagePack", error))?
                .into(),
            Self::Native => postcard::to_stdvec(value)
                .map_err(|error| no_form("native", error))?
                .into(),
        };
        let mut envelope = Envelope::new(payload);
        envelope.codec = self.number();
        if let Some(freshness) = freshness {
            envelope.expires = Some(freshness.until);
            envelope.stale_until = Some(freshness.stale_until);
        }
        Ok(envelope.to_bytes())
    }
}

/// Until when a stored value is fresh, if it says so.
pub(crate) fn fresh_until(stored: Bytes) -> Option<SystemTime> {
    Envelope::read(stored).ok()?.expires?.time()
}

fn no_form(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        ErrorKind::Serialize,
        format!("the value has no {what} form"),
    )
    .with_source(error)
}

fn unreadable(what: &'static str) -> Error {
    Error::new(ErrorKind::Serialize, what)
}

impl fmt::Display for SerializerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SerializerType {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let lower = text.to_ascii_lowercase();
        if lower == "pickle" {
            tracing::warn!("pickle belongs to Python; values are stored in the native form");
            return Ok(Self::Native);
        }
        let known = Self::ALL.into_iter().find(|one| one.name() == lower);
        known.ok_or_else(|| ConfigError::new("serializer", text, "json, msgpack or native"))
    }
}

/// Until when a value is as good as new, and until when it is better than nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freshness {
    until: Moment,
    stale_until: Moment,
}

impl Freshness {
    pub(crate) fn new(now: SystemTime, fresh: Duration, stale: Duration) -> Option<Self> {
        let until = now.checked_add(fresh)?;
        Some(Self {
            until: Moment::at_least(until),
            stale_until: Moment::at_least(until.checked_add(stale)?),
        })
    }
}

/// A typed value, and until when it is fresh.
#[derive(Debug, Clone)]
pub(crate) struct Decoded<T> {
    pub(crate) value: T,
    until: Option<Moment>,
}

impl<T: DeserializeOwned> Decoded<T> {
    /// Reads a stored form, whoever wrote it with which setting.
    pub(crate) fn read(stored: &Bytes) -> Result<Self> {
        let envelope = Envelope::read(stored.clone());
        let Ok(envelope) = envelope else {
            return Err(unreadable("the stored form cannot be read"));
        };
        let payload = &envelope.payload[..];
        let value = match SerializerType::of_number(envelope.codec) {
            Some(SerializerType::Json) => JsonCodec.decode(payload)?,
            Some(SerializerType::MsgPack) => rmp_serde::from_slice(payload).map_err(|error| {
                unreadable("the bytes are not the expected MessagePack").with_source(error)
            })?,
            Some(SerializerType::Native) => postcard::from_bytes(payload).map_err(|error| {
                unreadable("the bytes are not the expected type").with_source(error)
            })?,
            None => return Err(unreadable("a serializer of a later version")),
        };
        Ok(Self {
            value,
            until: envelope.expires,
        })
    }
}

impl<T> Decoded<T> {
    pub(crate) fn new(value: T, freshness: Option<Freshness>) -> Self {
        Self {
            value,
            until: freshness.map(|freshness| freshness.until),
        }
    }

    pub(crate) fn is_fresh(&self, now: impl FnOnce() -> SystemTime) -> bool {
        self.until.is_none_or(|until| Moment::of(now()) < until)
    }

    /// How much longer it is fresh; `None` if nothing is said of it.
    pub(crate) fn fresh_for(&self, now: SystemTime) -> Option<Duration> {
        let until = self.until?.time()?;
        Some(until.duration_since(now).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct User {
        name: String,
        tags: Vec<Option<u32>>,
        nested: BTreeMap<String, f64>,
    }

    fn user() -> User {
        User {
            name: "Алиса".to_owned(),
            tags: vec![Some(1), None],
            nested: [("π".to_owned(), 3.25)].into(),
        }
    }

    // covers: E10, Q1, Q2, Q3, Q7
    #[test]
    fn whoever_wrote_it_is_read() {
        for serializer in SerializerType::ALL {
            let stored = serializer.encode(&user(), None).unwrap();
            assert_eq!(Decoded::<User>::read(&stored).unwrap().value, user());
            let null = serializer.encode(&None::<User>, None).unwrap();
            assert_eq!(Decoded::<Option<User>>::read(&null).unwrap().value, None);
        }
        assert_eq!(SerializerType::Json.encode(&42, None).unwrap(), "42");
    }

    // covers: Q8
    #[test]
    fn what_cannot_be_read_is_an_error_and_no_panic() {
        let stored = SerializerType::Native.encode(&user(), None).unwrap();
        for len in 0..stored.len() {
            assert!(
                Decoded::<User>::read(&stored.slice(..len)).is_err(),
                "{len} bytes"
            );
        }
        let of_later = Bytes::from_static(b"\xC1\x01\x01\x00M{}");
        assert!(Decoded::<User>::read(&of_later).is_err());
    }

    // covers: Q4
    #[test]
    fn settings_name_it_in_any_case() {
        assert_eq!("JSON".parse(), Ok(SerializerType::Json));
        assert_eq!("Pickle".parse(), Ok(SerializerType::Native));
        let error = "yaml".parse::<SerializerType>().unwrap_err();
        assert!(
            error.to_string().contains("json, msgpack or native"),
            "{error}"
        );
    }
}
