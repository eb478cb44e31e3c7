//! The stored form: how a value and what is known of it become bytes, outside memory.
//!
//! An [`Envelope`] is a header with the fields that somebody filled in, and a payload.
//! Bytes that do not begin with its first byte are a bare value, so that what other
//! programs wrote can be read and numbers stay numbers for the server. Layers and
//! backends each put on an envelope of their own if they have something to say.
//! `docs/format.md` describes every byte.

mod form;

use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};

use crate::entry::Metadata;
use form::{Reader, checksum, put_number, put_text};

/// The first byte: never in `MessagePack`, and never in UTF-8, so never in JSON.
const MAGIC: u8 = 0xC1;
/// The only version so far.
const VERSION: u8 = 1;
/// Bytes before the first field.
const PREAMBLE: usize = 4;

/// How a payload was compressed.
///
/// ```
/// use larder_core::stored::{Compressed, Compression};
///
/// let said = Compressed { method: Compression::Lz4, raw_len: 1_000 };
/// assert_eq!(said.method.name(), "lz4");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// With which method.
    pub method: Compression,
    /// How long it was before, in bytes.
    pub raw_len: u64,
}

/// A method of compression that the stored form knows.
///
/// ```
/// use larder_core::stored::Compression;
///
/// assert_eq!(Compression::ALL.map(Compression::name), ["lz4", "zstd"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// LZ4 blocks: fast.
    Lz4,
    /// Zstandard: small.
    Zstd,
}

impl Compression {
    /// Every method.
    pub const ALL: [Self; 2] = [Self::Lz4, Self::Zstd];

    /// What settings and messages call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }
}

/// With which key a payload was encrypted.
///
/// ```
/// use larder_core::stored::Sealed;
///
/// let said = Sealed { key_id: 7, nonce: [0; 12] };
/// assert_eq!(said.nonce.len(), Sealed::NONCE_BYTES);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The number of the key.
    pub key_id: u32,
    /// What makes this use of the key unique.
    pub nonce: [u8; Self::NONCE_BYTES],
}

impl Sealed {
    /// Length of a nonce.
    pub const NONCE_BYTES: usize = 12;
}

/// A moment in whole milliseconds since the Unix epoch.
///
/// ```
/// use larder_core::stored::Moment;
/// use std::time::{Duration, SystemTime};
///
/// let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_500);
/// assert_eq!(Moment::of(time), Moment(1));
/// assert_eq!(Moment::at_least(time), Moment(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// The millisecond that a time is in; the first for times before the epoch.
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        Self(u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX))
    }

    /// The first moment that is not before a time.
    pub fn at_least(time: SystemTime) -> Self {
        let moment = Self::of(time);
        match moment.time() {
            Some(start) if start < time => Self(moment.0.saturating_add(1)),
            _ => moment,
        }
    }

    /// The time, `None` if this machine cannot represent it.
    pub fn time(self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.0))
    }
}

/// A value on its way into a store, with what is said along with it.
///
/// ```
/// use larder_core::stored::{Envelope, Moment};
///
/// let mut envelope = Envelope::new("value");
/// envelope.expires = Some(Moment(1_700_000_000_000));
/// envelope.tags = vec!["users".to_owned()];
/// let stored = envelope.to_bytes();
/// assert_eq!(Envelope::read(stored).ok(), Some(envelope));
///
/// // A value alone stays as it is, and so does what others wrote.
/// assert_eq!(Envelope::new("42").to_bytes(), "42");
/// assert_eq!(Envelope::read("42".into()).ok(), Some(Envelope::new("42")));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Envelope {
    /// How the value became bytes.
    pub codec: Option<u8>,
    /// How the payload was compressed.
    pub compressed: Option<Compressed>,
    /// With which key the payload was encrypted.
    pub sealed: Option<Sealed>,
    /// When the value was stored.
    pub created: Option<Moment>,
    /// When it expires.
    pub expires: Option<Moment>,
    /// Until when it may be served after that, if nothing better is to be had.
    pub stale_until: Option<Moment>,
    /// Of which generation of its key or tags it is.
    pub generation: Option<u64>,
    /// Names under which it can be invalidated together with others.
    pub tags: Vec<String>,
    /// What the application wants to remember about it.
    pub metadata: Metadata,
    /// Whether a checksum goes along, for stores that may tear or flip bytes.
    pub is_checked: bool,
    /// The value, perhaps compressed or encrypted.
    pub payload: Bytes,
}

/// Why bytes are no stored form.
///
/// ```
/// use larder_core::stored::{Envelope, Unreadable};
///
/// let torn = Envelope::read(vec![0xC1, 1, 16].into());
/// assert_eq!(torn.unwrap_err(), Unreadable::Torn);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// A version or a field of a later Larder.
    Unknown,
    /// It ends too early, or a field holds what it may not.
    Torn,
    /// The checksum does not fit.
    Checksum,
}

/// The fields, in the order in which they are written.
mod field {
    pub(super) const CODEC: u16 = 1;
    pub(super) const COMPRESSED: u16 = 1 << 1;
    pub(super) const SEALED: u16 = 1 << 2;
    pub(super) const CREATED: u16 = 1 << 3;
    pub(super) const EXPIRES: u16 = 1 << 4;
    pub(super) const STALE_UNTIL: u16 = 1 << 5;
    pub(super) const GENERATION: u16 = 1 << 6;
    pub(super) const TAGS: u16 = 1 << 7;
    pub(super) const METADATA: u16 = 1 << 8;
    pub(super) const CHECKSUM: u16 = 1 << 9;
    pub(super) const ALL: u16 = (1 << 10) - 1;
}

impl Envelope {
    /// A value of which nothing is said.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// The stored form; a bare value if nothing is said of it and it could not be taken
    /// for an envelope.
    pub fn to_bytes(&self) -> Bytes {
        if self.fields() == 0 && self.payload.first() != Some(&MAGIC) {
            return self.payload.clone();
        }
        let mut out = self.header();
        if self.is_checked {
            out.put_u64_le(checksum(&out, &self.payload));
        }
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// The header without the checksum: what encryption binds to the payload.
    pub fn header(&self) -> BytesMut {
        let fields = self.fields();
        let mut out = BytesMut::with_capacity(PREAMBLE + 64 + self.payload.len());
        out.put_slice(&[MAGIC, VERSION]);
        out.put_u16_le(fields);
        if let Some(codec) = self.codec {
            out.put_u8(codec);
        }
        if let Some(compressed) = self.compressed {
            out.put_u8(compressed.method.number());
            put_number(&mut out, compressed.raw_len);
        }
        if let Some(sealed) = self.sealed {
            out.put_u32_le(sealed.key_id);
            out.put_slice(&sealed.nonce);
        }
        let moments = [self.created, self.expires, self.stale_until];
        for Moment(millis) in moments.into_iter().flatten() {
            out.put_u64_le(millis);
        }
        if let Some(generation) = self.generation {
            out.put_u64_le(generation);
        }
        if fields & field::TAGS != 0 {
            put_number(&mut out, self.tags.len() as u64);
            self.tags.iter().for_each(|tag| put_text(&mut out, tag));
        }
        if fields & field::METADATA != 0 {
            let text = serde_json::to_string(&self.metadata);
            put_text(
                &mut out,
                &text.expect("an object with text for keys is JSON"),
            );
        }
        out
    }

    fn fields(&self) -> u16 {
        let said = [
            (self.codec.is_some(), field::CODEC),
            (self.compressed.is_some(), field::COMPRESSED),
            (self.sealed.is_some(), field::SEALED),
            (self.created.is_some(), field::CREATED),
            (self.expires.is_some(), field::EXPIRES),
            (self.stale_until.is_some(), field::STALE_UNTIL),
            (self.generation.is_some(), field::GENERATION),
            (!self.tags.is_empty(), field::TAGS),
            (!self.metadata.is_empty(), field::METADATA),
            (self.is_checked, field::CHECKSUM),
        ];
        let there = said.into_iter().filter(|(is_there, _)| *is_there);
        there.fold(0, |fields, (_, field)| fields | field)
    }

    /// Reads a stored form.
    ///
    /// Takes no more memory than the bytes themselves have, whatever they say.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], which a cache counts and takes for a miss.
    pub fn read(stored: Bytes) -> Result<Self, Unreadable> {
        if stored.first() != Some(&MAGIC) {
            return Ok(Self::new(stored));
        }
        let mut rest = Reader(stored.clone());
        rest.take(1)?;
        if rest.byte()? != VERSION {
            return Err(Unreadable::Unknown);
        }
        let fields = u16::from_le_bytes(rest.array()?);
        if fields & !field::ALL != 0 {
            return Err(Unreadable::Unknown);
        }
        let has = |field| fields & field != 0;
        let mut envelope = Self::default();
        if has(field::CODEC) {
            envelope.codec = Some(rest.byte()?);
        }
        if has(field::COMPRESSED) {
            envelope.compressed = Some(rest.compressed()?);
        }
        if has(field::SEALED) {
            envelope.sealed = Some(Sealed {
                key_id: u32::from_le_bytes(rest.array()?),
                nonce: rest.array()?,
            });
        }
        for (field, moment) in [
            (field::CREATED, &mut envelope.created),
            (field::EXPIRES, &mut envelope.expires),
            (field::STALE_UNTIL, &mut envelope.stale_until),
        ] {
            if has(field) {
                *moment = Some(Moment(u64::from_le_bytes(rest.array()?)));
            }
        }
        if has(field::GENERATION) {
            envelope.generation = Some(u64::from_le_bytes(rest.array()?));
        }
        if has(field::TAGS) {
            envelope.tags = rest.tags()?;
        }
        if has(field::METADATA) {
            let metadata = serde_json::from_str(&rest.text()?);
            envelope.metadata = metadata.map_err(|_not_an_object| Unreadable::Torn)?;
        }
        if has(field::CHECKSUM) {
            let header = &stored[..stored.len() - rest.0.len()];
            let said = u64::from_le_bytes(rest.array()?);
            if checksum(header, &rest.0) != said {
                return Err(Unreadable::Checksum);
            }
            envelope.is_checked = true;
        }
        envelope.payload = rest.0;
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Envelope {
        Envelope {
            codec: Some(2),
            compressed: Some(Compressed {
                method: Compression::Zstd,
                raw_len: u64::MAX,
            }),
            sealed: Some(Sealed {
                key_id: 9,
                nonce: *b"twelve bytes",
            }),
            created: Some(Moment(1)),
            expires: Some(Moment(2)),
            stale_until: Some(Moment(u64::MAX)),
            generation: Some(4),
            tags: vec![String::new(), "ключ".to_owned()],
            metadata: [("a".to_owned(), serde_json::json!([null, 1.5]))]
                .into_iter()
                .collect(),
            is_checked: true,
            payload: Bytes::from_static(b"\xC1payload"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for envelope in [full(), Envelope::default(), Envelope::new("\u{0}")] {
            assert_eq!(Envelope::read(envelope.to_bytes()), Ok(envelope));
        }
        let like_one = Envelope::new(full().to_bytes());
        assert_eq!(Envelope::read(like_one.to_bytes()), Ok(like_one));
    }

    #[test]
    fn no_flip_and_no_cut_passes_the_checksum() {
        let stored = full().to_bytes();
        for len in 1..stored.len() {
            assert!(Envelope::read(stored.slice(..len)).is_err(), "cut at {len}");
        }
        for at in 8..stored.len() * 8 {
            let mut flipped = stored.to_vec();
            flipped[at / 8] ^= 1 << (at % 8);
            let read = Envelope::read(flipped.into());
            assert_ne!(read, Ok(full()), "bit {at}");
            assert!(
                read.is_err() || !read.is_ok_and(|read| read.is_checked),
                "bit {at}"
            );
        }
    }

    #[test]
    fn the_vectors_of_the_format_hold() {
        let text = include_str!("../../../../docs/format.md");
        let (_, vectors) = text.split_once("```text\n").expect("there are vectors");
        let mut count = 0;
        for line in vectors.lines().take_while(|line| *line != "```") {
            let said_at = line.find("  ").expect("what it says stands apart");
            let (stored, said) = line.split_at(said_at);
            assert_eq!(told(Envelope::read(unhex(stored))), said.trim(), "{stored}");
            count += 1;
        }
        assert!(count > 10, "{count}");
    }

    fn unhex(text: &str) -> Bytes {
        let digits: String = text.split_whitespace().collect();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write;

        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes all");
            text
        })
    }

    /// A reading in the words of the document.
    fn told(read: Result<Envelope, Unreadable>) -> String {
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(error) => return format!("unreadable: {error:?}").to_lowercase(),
        };
        let mut said = Vec::new();
        if let Some(Compressed { method, raw_len }) = envelope.compressed {
            said.push(format!("{} of {raw_len} bytes", method.name()));
        }
        if let Some(Sealed { key_id, nonce }) = envelope.sealed {
            said.push(format!("key {key_id}, nonce {}", hex(&nonce)));
        }
        for (name, moment) in [("created", envelope.created), ("expires", envelope.expires)] {
            said.extend(moment.map(|moment| format!("{name} {}", moment.0)));
        }
        said.extend(
            envelope
                .generation
                .map(|number| format!("generation {number}")),
        );
        if !envelope.tags.is_empty() {
            said.push(format!("tags {}", envelope.tags.join(" ")));
        }
        if !envelope.metadata.is_empty() {
            let text = serde_json::to_string(&envelope.metadata).expect("JSON");
            said.push(format!("metadata {text}"));
        }
        let payload = format!("payload {}", hex(&envelope.payload));
        said.push(payload.trim_end().to_owned());
        said.join(", ")
    }
}
