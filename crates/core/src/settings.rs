//! Checks of the settings that backends have in common.

use std::time::Duration;

use crate::error::ConfigError;

/// Longest prefix of keys, in bytes.
pub const MAX_PREFIX_BYTES: usize = 64;

/// Refuses times of zero.
///
/// # Errors
///
/// The first that is zero, by its name.
///
/// # Examples
///
/// ```
/// use larder_core::settings::check_times;
/// use std::time::Duration;
///
/// let error = check_times(&[("timeout", Some(Duration::ZERO))]).unwrap_err();
/// assert_eq!(error.to_string(), "timeout is 0, allowed is more than 0");
/// ```
pub fn check_times(times: &[(&'static str, Option<Duration>)]) -> Result<(), ConfigError> {
    for (name, time) in times {
        if *time == Some(Duration::ZERO) {
            return Err(ConfigError::new(name, "0", "more than 0"));
        }
    }
    Ok(())
}

/// Refuses a prefix that keys cannot have.
///
/// # Errors
///
/// If it is longer than [`MAX_PREFIX_BYTES`] or has control characters.
///
/// # Examples
///
/// ```
/// assert!(larder_core::settings::check_prefix("shop").is_ok());
/// assert!(larder_core::settings::check_prefix("two\nlines").is_err());
/// ```
pub fn check_prefix(prefix: &str) -> Result<(), ConfigError> {
    if prefix.len() <= MAX_PREFIX_BYTES && !prefix.chars().any(char::is_control) {
        return Ok(());
    }
    let allowed = format!("at most {MAX_PREFIX_BYTES} bytes without control characters");
    Err(ConfigError::new(
        "key_prefix",
        format!("{prefix:?}"),
        allowed,
    ))
}

/// The prefix with the `:` that tells it from the key, if there is one at all.
///
/// ```
/// use larder_core::settings::with_colon;
///
/// assert_eq!(with_colon("shop".to_owned()), "shop:");
/// assert_eq!(with_colon("shop:".to_owned()), "shop:");
/// assert_eq!(with_colon(String::new()), "");
/// ```
#[must_use]
pub fn with_colon(mut prefix: String) -> String {
    if !prefix.is_empty() && !prefix.ends_with(':') {
        prefix.push(':');
    }
    prefix
}
