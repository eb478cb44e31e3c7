//! Rules for keys, the same for every backend.
//!
//! A key is non-empty UTF-8 without control characters, at most
//! [`MAX_KEY_BYTES`] long unless the backend says otherwise. A key that is legal
//! in memory is therefore legal in Redis and Memcached too.

use crate::error::{Error, ErrorKind, Result};

/// Longest key in bytes, prefix included, unless a backend allows more or less.
pub const MAX_KEY_BYTES: usize = 250;

/// How much of a key appears in messages.
const SHOWN_CHARS: usize = 64;

/// Checks `key` against the rules and a limit in bytes.
///
/// # Errors
///
/// [`ErrorKind::InvalidKey`] for an empty key or a control character,
/// [`ErrorKind::KeyTooLong`] above `max_bytes`.
///
/// # Examples
///
/// ```
/// use larder_core::{check_key, ErrorKind, MAX_KEY_BYTES};
///
/// assert!(check_key("user:1", MAX_KEY_BYTES).is_ok());
/// let error = check_key("line\nbreak", MAX_KEY_BYTES).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidKey);
/// ```
pub fn check_key(key: &str, max_bytes: usize) -> Result<()> {
    if key.is_empty() {
        return Err(Error::new(ErrorKind::InvalidKey, "the key is empty"));
    }
    if key.len() > max_bytes {
        return Err(Error::new(
            ErrorKind::KeyTooLong,
            format!(
                "key of {} bytes exceeds the limit of {max_bytes}",
                key.len()
            ),
        ));
    }
    if let Some((position, found)) = key.char_indices().find(|(_, c)| c.is_control()) {
        return Err(Error::new(
            ErrorKind::InvalidKey,
            format!("control character {found:?} at byte {position} of the key"),
        ));
    }
    Ok(())
}

/// `key` without control characters and at most 64 characters long, for messages.
pub(crate) fn shorten(key: &str) -> String {
    let mut shown: String = key
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if key.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(key: &str) -> Option<ErrorKind> {
        check_key(key, MAX_KEY_BYTES).err().map(|e| e.kind())
    }

    // covers: D33
    #[test]
    fn the_limit_counts_bytes_not_characters() {
        assert_eq!(kind(&"k".repeat(250)), None);
        assert_eq!(kind(&"k".repeat(251)), Some(ErrorKind::KeyTooLong));
        assert_eq!(kind(&"é".repeat(125)), None);
        assert_eq!(kind(&"é".repeat(126)), Some(ErrorKind::KeyTooLong));
    }

    #[test]
    fn empty_keys_and_control_characters_are_refused() {
        assert_eq!(kind(""), Some(ErrorKind::InvalidKey));
        for bad in ["a\0b", "a\r\n", "\u{7f}", "\u{85}"] {
            assert_eq!(kind(bad), Some(ErrorKind::InvalidKey), "{bad:?}");
        }
        for good in [" ", "a b", "ключ", "a/b?c=d#e", "../../etc"] {
            assert_eq!(kind(good), None, "{good:?}");
        }
    }
}
