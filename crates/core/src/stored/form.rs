//! The pieces that the stored form is made of: numbers, texts, checksum.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

use super::{Compressed, Compression, Unreadable};
use crate::tags::MAX_TAGS;

/// The checksum of a header and a payload.
pub(super) fn checksum(header: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.digest()
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
pub(super) fn put_number(out: &mut BytesMut, mut number: u64) {
    loop {
        let [lowest, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.put_u8(lowest);
            return;
        }
        out.put_u8(lowest | 0x80);
    }
}

pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    put_number(out, text.len() as u64);
    out.put_slice(text.as_bytes());
}

/// What is left to read.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn take(&mut self, len: usize) -> Result<Bytes, Unreadable> {
        if len > self.0.len() {
            return Err(Unreadable::Torn);
        }
        Ok(self.0.split_to(len))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Unreadable> {
        self.0.try_get_u8().map_err(|_too_short| Unreadable::Torn)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let bytes = self.take(N)?;
        Ok(bytes[..].try_into().expect("so many were taken"))
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(Unreadable::Torn);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable::Torn)
    }

    pub(super) fn text(&mut self) -> Result<String, Unreadable> {
        let len = usize::try_from(self.number()?).map_err(|_too_long| Unreadable::Torn)?;
        let bytes = self.take(len)?;
        String::from_utf8(bytes.into()).map_err(|_no_text| Unreadable::Torn)
    }

    pub(super) fn compressed(&mut self) -> Result<Compressed, Unreadable> {
        let number = self.byte()?;
        let mut methods = Compression::ALL.into_iter();
        let method = methods.find(|method| method.number() == number);
        Ok(Compressed {
            method: method.ok_or(Unreadable::Unknown)?,
            raw_len: self.number()?,
        })
    }

    pub(super) fn tags(&mut self) -> Result<Vec<String>, Unreadable> {
        let count = self.number()?;
        if count > MAX_TAGS as u64 {
            return Err(Unreadable::Torn);
        }
        (0..count).map(|_| self.text()).collect()
    }
}
