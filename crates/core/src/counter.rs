//! Numbers in stored values: plain decimals, as Redis and Memcached keep them.
//!
//! For backends that count by themselves.

use crate::error::{Error, ErrorKind, Result};
use crate::options::Ttl;

/// The sum of a stored decimal and `delta`; nothing stored counts as 0.
///
/// # Errors
///
/// [`ErrorKind::NotANumber`] for anything but a plain decimal of 64 bits,
/// [`ErrorKind::Overflow`] for a sum that is none.
///
/// # Examples
///
/// ```
/// use larder_core::counter::add;
///
/// assert_eq!(add(Some(b"40"), 2)?, 42);
/// assert!(add(Some(b"forty"), 2).is_err());
/// # Ok::<(), larder_core::Error>(())
/// ```
pub fn add(stored: Option<&[u8]>, delta: i64) -> Result<i64> {
    let number = stored.map_or(Ok(0), parse)?;
    number.checked_add(delta).ok_or_else(|| {
        Error::new(
            ErrorKind::Overflow,
            format!("{number} and {delta} together leave the range of 64 bits"),
        )
    })
}

/// What has to be added to subtract `delta`.
///
/// # Errors
///
/// [`ErrorKind::Overflow`] for the one number without a negative.
///
/// # Examples
///
/// ```
/// assert_eq!(larder_core::counter::negated(5)?, -5);
/// assert!(larder_core::counter::negated(i64::MIN).is_err());
/// # Ok::<(), larder_core::Error>(())
/// ```
pub fn negated(delta: i64) -> Result<i64> {
    delta.checked_neg().ok_or_else(|| {
        Error::new(
            ErrorKind::Overflow,
            format!("cannot subtract {delta}, the sum leaves the range of 64 bits"),
        )
    })
}

/// Refuses a counter that is gone before it can be read: a mistake, not a wish.
///
/// # Errors
///
/// [`ErrorKind::InvalidTtl`] for a time of zero.
///
/// # Examples
///
/// ```
/// use larder_core::Ttl;
///
/// assert!(larder_core::counter::check_ttl(Ttl::Never).is_ok());
/// assert!(larder_core::counter::check_ttl(Ttl::After(std::time::Duration::ZERO)).is_err());
/// ```
pub fn check_ttl(ttl: Ttl) -> Result<()> {
    if ttl.is_zero() {
        return Err(Error::new(
            ErrorKind::InvalidTtl,
            "a counter with a ttl of 0 would never count; use more than 0, or no expiry",
        ));
    }
    Ok(())
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
