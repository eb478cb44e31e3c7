//! Smaller values.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;
use larder_core::stored::{Compressed, Compression as Method, Envelope};
use larder_core::{Capabilities, ConfigError, Layer, Result, SharedBackend};

use zstd::bulk::{Compressor, Decompressor};

use crate::transform::{Transform, Transformed};

/// Below this nothing is ever compressed, so that counters stay numbers.
const LEAST: usize = 64;

/// Compresses values on their way in and reads both, compressed and not, on their way
/// out, whatever it would do itself.
///
/// A value that does not become smaller is stored as it is.
///
/// ```
/// use larder_core::{Layer, SetOptions, SharedBackend};
/// use larder_layers::Compression;
/// # use larder_core::ManualClock;
/// # let store = SharedBackend::new(larder_testkit::ModelBackend::with_clock(ManualClock::new()));
///
/// let cache = Compression::zstd(3)?.threshold(256).layer(store.clone()).blocking();
/// cache.set("zeros", vec![0; 10_000], SetOptions::new())?;
/// assert_eq!(cache.get("zeros")?.map(|value| value.len()), Some(10_000));
/// assert!(store.blocking().get("zeros")?.is_some_and(|stored| stored.len() < 100));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Compression {
    method: Method,
    level: i32,
    threshold: usize,
    max_value_bytes: usize,
}

impl Compression {
    /// LZ4: some microseconds for 8 KiB.
    pub fn lz4() -> Self {
        Self {
            method: Method::Lz4,
            level: 0,
            threshold: 1024,
            max_value_bytes: 64 << 20,
        }
    }

    /// Zstandard at a level from 1, fast, to 19, small.
    ///
    /// # Errors
    ///
    /// For any other level.
    pub fn zstd(level: i32) -> Result<Self, ConfigError> {
        if !(1..=19).contains(&level) {
            return Err(ConfigError::new("level", level, "1 to 19"));
        }
        Ok(Self {
            method: Method::Zstd,
            level,
            ..Self::lz4()
        })
    }

    /// Values of fewer bytes are stored as they are; 1024 without this, and at least 64.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes.max(LEAST);
        self
    }

    /// Values of more bytes are refused, and what says that it would become larger is
    /// not decompressed; 64 MiB without this.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    fn compress(&self, value: &[u8]) -> Option<Vec<u8>> {
        match self.method {
            Method::Lz4 => Some(lz4_flex::block::compress(value)),
            // A value that cannot be compressed is stored as it is.
            Method::Zstd => zstd_compress(value, self.level).ok(),
            _ => None,
        }
    }

    fn decompress(&self, envelope: &Envelope, compressed: Compressed) -> Option<Bytes> {
        let len = usize::try_from(compressed.raw_len).ok()?;
        if len > self.max_value_bytes {
            return None;
        }
        let value = match compressed.method {
            Method::Lz4 => lz4_flex::block::decompress(&envelope.payload, len).ok()?,
            Method::Zstd => zstd_decompress(&envelope.payload, len).ok()?,
            _ => return None,
        };
        (value.len() == len).then(|| value.into())
    }
}

thread_local! {
    // Making one takes longer than compressing some KiB.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn zstd_compress(value: &[u8], level: i32) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(other, _)| *other != level) {
            *kept = Some((level, Compressor::new(level)?));
        }
        let (_, compressor) = kept.as_mut().expect("it was just made");
        compressor.compress(value)
    })
}

fn zstd_decompress(compressed: &[u8], len: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Some(Decompressor::new()?);
        }
        let decompressor = kept.as_mut().expect("it was just made");
        decompressor.decompress(compressed, len)
    })
}

impl Layer for Compression {
    fn layer(&self, inner: SharedBackend) -> SharedBackend {
        Transformed::around(inner, *self)
    }
}

impl Transform for Compression {
    fn encode(&self, _key: &str, value: Bytes) -> Result<Bytes> {
        if value.len() >= self.threshold
            && let Some(smaller) = self.compress(&value)
        {
            let mut envelope = Envelope::new(smaller);
            envelope.compressed = Some(Compressed {
                method: self.method,
                raw_len: value.len() as u64,
            });
            let stored = envelope.to_bytes();
            if stored.len() < value.len() {
                return Ok(stored);
            }
        }
        Ok(Envelope::new(value).to_bytes())
    }

    fn decode(&self, _key: &str, stored: Bytes) -> Option<Bytes> {
        let envelope = Envelope::read(stored.clone()).ok()?;
        match envelope.compressed {
            Some(compressed) => self.decompress(&envelope, compressed),
            // Bare, or in an envelope because it begins like one.
            None if envelope == Envelope::new(envelope.payload.clone()) => Some(envelope.payload),
            // Somebody else's envelope.
            None => Some(stored),
        }
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner.with_max_value_bytes(self.max_value_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lz4() -> Compression {
        Compression::lz4().threshold(0)
    }

    fn zstd() -> Compression {
        let level = Compression::zstd(3).expect("a legal level");
        level.threshold(0)
    }

    #[test]
    fn either_reads_what_the_other_wrote_and_what_nobody_compressed() {
        let value = Bytes::from(vec![b'a'; 5_000]);
        for (writes, reads) in [(lz4(), zstd()), (zstd(), lz4())] {
            let stored = writes.encode("k", value.clone()).unwrap();
            assert!(stored.len() < 100, "{}", stored.len());
            assert_eq!(reads.decode("k", stored), Some(value.clone()));
        }
        assert_eq!(lz4().decode("k", value.clone()), Some(value));
    }

    #[test]
    fn numbers_and_what_does_not_shrink_stay_as_they_are() {
        for value in ["18446744073709551615", "", "short"] {
            assert_eq!(zstd().encode("k", value.into()).unwrap(), value);
        }
        let noise: Bytes = (0..2_000_u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        assert!(lz4().encode("k", noise.clone()).unwrap().len() <= noise.len());
    }

    #[test]
    fn a_value_that_looks_like_an_envelope_comes_back_whole() {
        let mut envelope = Envelope::new("inner");
        envelope.generation = Some(1);
        for value in [
            envelope.to_bytes(),
            Bytes::from_static(b"\xC1"),
            lz4().encode("k", vec![0; 999].into()).unwrap(),
        ] {
            let stored = lz4().encode("k", value.clone()).unwrap();
            assert_eq!(lz4().decode("k", stored), Some(value));
        }
    }

    #[test]
    fn a_bomb_is_a_miss() {
        let large = vec![0; 1 << 20];
        for layer in [lz4(), zstd()] {
            let stored = layer.encode("k", large.clone().into()).unwrap();
            let careful = layer.max_value_bytes(1 << 19);
            assert_eq!(careful.decode("k", stored.clone()), None);
            // It says that it is small.
            let mut lie = Envelope::read(stored).unwrap();
            lie.compressed = lie.compressed.map(|said| Compressed {
                raw_len: 1_000,
                ..said
            });
            assert_eq!(careful.decode("k", lie.to_bytes()), None);
        }
    }
}
