//! The name of a key at a server: at most 250 bytes, and nothing that ends a command.
//!
//! Most keys are their own names. One with spaces or other odd bytes is sent as base64,
//! which the server decodes. One that is too long is named after its hash, and the whole
//! key is kept with the value, so that two keys of one hash are told apart.

use xxhash_rust::xxh3::xxh3_128;

/// What a server takes.
const MOST_BYTES: usize = 250;
/// Of a name sent as base64 the text must not be longer either.
const MOST_ODD_BYTES: usize = MOST_BYTES / 4 * 3;
/// Bytes of a long key that are kept before its hash, for people who look.
const KEPT: usize = 64;

/// A name with how to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// As the server knows it.
    pub(crate) bytes: Vec<u8>,
    /// It has to be sent as base64.
    pub(crate) is_odd: bool,
    /// It is only the hash of the key.
    pub(crate) is_hash: bool,
}

impl Name {
    /// The name of a key, prefix and all.
    pub(crate) fn of(key: &str) -> Self {
        let bytes = key.as_bytes();
        let is_odd = !bytes.iter().all(u8::is_ascii_graphic);
        let most = if is_odd { MOST_ODD_BYTES } else { MOST_BYTES };
        if bytes.len() <= most {
            return Self {
                bytes: bytes.to_vec(),
                is_odd,
                is_hash: false,
            };
        }
        let beginning = bytes
            .iter()
            .take(KEPT)
            .take_while(|byte| byte.is_ascii_graphic());
        let mut name: Vec<u8> = beginning.copied().collect();
        name.extend(format!("#{:032x}", xxh3_128(bytes)).into_bytes());
        Self {
            bytes: name,
            is_odd: false,
            is_hash: true,
        }
    }

    /// The name that a server knows under these bytes.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self {
            is_odd: !bytes.iter().all(u8::is_ascii_graphic),
            bytes,
            is_hash: false,
        }
    }

    /// Puts the name into a command, without the flag for odd ones.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if self.is_odd {
            put_base64(out, &self.bytes);
        } else {
            out.extend_from_slice(&self.bytes);
        }
    }
}

fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digit = |n: usize| DIGITS[(bits >> (18 - 6 * n)) as usize & 63];
        let digits = [0, 1, 2, 3].map(|n| if n <= three.len() { digit(n) } else { b'=' });
        out.extend_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(key: &str) -> (String, Name) {
        let name = Name::of(key);
        let mut out = Vec::new();
        name.put(&mut out);
        (String::from_utf8(out).expect("text"), name)
    }

    // covers: M7
    #[test]
    fn names_are_short_and_have_no_odd_bytes() {
        assert_eq!(sent("user:1").0, "user:1");
        for (odd, base64) in [
            ("a b", "YSBi"),
            ("é", "w6k="),
            ("ab cd", "YWIgY2Q="),
            ("new\nline", "bmV3CmxpbmU="),
        ] {
            let (text, name) = sent(odd);
            assert_eq!(text, base64);
            assert!(name.is_odd && !name.is_hash);
        }
        assert_eq!(sent(&"x".repeat(250)).0, "x".repeat(250));
        for long in ["x".repeat(251), "é".repeat(94), "x ".repeat(500)] {
            let (text, name) = sent(&long);
            assert!(name.is_hash && !name.is_odd && text.len() <= 97, "{text}");
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            assert_eq!(sent(&long).0, text, "always the same");
        }
        assert_ne!(sent(&"x".repeat(251)).0, sent(&"x".repeat(252)).0);
    }
}
