//! Rules for tags, the same for every backend.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{MAX_KEY_BYTES, check_key};

/// Most tags of one entry, and of one invalidation.
pub const MAX_TAGS: usize = 256;

/// Checks tags: not too many, and each would be a legal key.
///
/// # Errors
///
/// [`ErrorKind::TooLarge`] for more than [`MAX_TAGS`], else as
/// [`check_key`].
///
/// ```
/// use larder_core::{check_tags, ErrorKind};
///
/// assert!(check_tags(&["users", "user:7"]).is_ok());
/// assert_eq!(check_tags(&[""]).unwrap_err().kind(), ErrorKind::InvalidKey);
/// ```
pub fn check_tags<T: AsRef<str>>(tags: &[T]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        let message = format!("{} tags, at most {MAX_TAGS} are allowed", tags.len());
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    tags.iter().try_for_each(|tag| {
        check_key(tag.as_ref(), MAX_KEY_BYTES)
            .map_err(|error| Error::new(error.kind(), format!("as a tag: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_as_long_as_keys_and_not_too_many() {
        assert!(check_tags(&vec!["t"; MAX_TAGS]).is_ok());
        let kind = |tags: &[String]| check_tags(tags).unwrap_err().kind();
        assert_eq!(kind(&vec!["t".to_owned(); 257]), ErrorKind::TooLarge);
        assert_eq!(kind(&["t".repeat(251)]), ErrorKind::KeyTooLong);
        assert_eq!(kind(&["a\nb".to_owned()]), ErrorKind::InvalidKey);
    }
}
