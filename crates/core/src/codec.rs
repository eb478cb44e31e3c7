//! Values into bytes and back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// Turns typed values into bytes and back.
///
/// ```
/// use larder_core::{Codec, JsonCodec};
///
/// let bytes = JsonCodec.encode(&vec![1, 2, 3])?;
/// assert_eq!(&bytes[..], b"[1,2,3]");
/// assert_eq!(JsonCodec.decode::<Vec<u8>>(&bytes)?, [1, 2, 3]);
/// # Ok::<(), larder_core::Error>(())
/// ```
pub trait Codec: std::fmt::Debug + Send + Sync + 'static {
    /// The name by which configuration and stored entries know it.
    fn name(&self) -> &'static str;

    /// `value` as bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Serialize`] if the value has no such form.
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes>;

    /// The value in `bytes`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Serialize`] if the bytes are not such a value.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T>;
}

/// Human-readable, readable by every language: JSON.
///
/// Integers are stored as bare decimals, which is what counters need.
///
/// ```
/// use larder_core::{Codec, JsonCodec};
///
/// assert_eq!(&JsonCodec.encode(&42)?[..], b"42");
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    fn name(&self) -> &'static str {
        "json"
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
            Error::new(ErrorKind::Serialize, "the value has no JSON form").with_source(error)
        })
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| {
            Error::new(ErrorKind::Serialize, "the bytes are not the expected JSON")
                .with_source(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn what_has_no_json_form_is_a_typed_error() {
        let keyed_by_pairs = HashMap::from([((1, 2), 3)]);
        let error = JsonCodec.encode(&keyed_by_pairs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serialize);
        let error = JsonCodec.decode::<u32>(b"\"text\"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serialize);
    }
}
