//! Numbers in stored values: plain decimals, as Redis and Memcached keep them.

use larder_core::{Error, ErrorKind, Result};

/// The sum of a stored decimal and `delta`; nothing stored counts as 0.
pub(crate) fn add(stored: Option<&[u8]>, delta: i64) -> Result<i64> {
    let number = stored.map_or(Ok(0), parse)?;
    number.checked_add(delta).ok_or_else(|| {
        Error::new(
            ErrorKind::Overflow,
            format!("{number} and {delta} together leave the range of 64 bits"),
        )
    })
}

/// Reads a decimal exactly as it would be written: no `+`, spaces or leading zeros.
fn parse(bytes: &[u8]) -> Result<i64> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| {
            let number: i64 = text.parse().ok()?;
            (number.to_string() == text).then_some(number)
        })
        .ok_or_else(|| {
            Error::new(
                ErrorKind::NotANumber,
                "the stored value is no decimal number of 64 bits",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: H8
    #[test]
    fn only_plain_decimals_count() {
        assert_eq!(add(None, -3).unwrap(), -3);
        assert_eq!(add(Some(b"40"), 2).unwrap(), 42);
        assert_eq!(add(Some(b"-9223372036854775808"), 1).unwrap(), i64::MIN + 1);
        for bad in [
            "",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "1.0",
            "9223372036854775808",
            "x",
        ] {
            let error = add(Some(bad.as_bytes()), 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotANumber, "{bad:?}");
        }
        let error = add(Some(b"9223372036854775807"), 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overflow);
    }
}
