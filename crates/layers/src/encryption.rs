//! Values that only holders of a key can read or make.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::stored::{Envelope, Sealed};
use larder_core::{
    Capabilities, Capability, ConfigError, Error, ErrorKind, Layer, Result, SharedBackend,
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::transform::{Transform, Transformed};

/// Length of a key.
const KEY_BYTES: usize = 32;
/// How much larger a value becomes, at most.
const OVERHEAD: usize = 32 + MAX_TAG_LEN;

/// A key of 32 bytes with a number; it is never printed.
///
/// ```
/// use larder_layers::SecretKey;
///
/// let key = SecretKey::from_hex(7, &"0f".repeat(32))?;
/// assert_eq!(format!("{key:?}"), "SecretKey(7)");
/// assert!(SecretKey::from_hex(7, "too short").is_err());
/// # Ok::<(), larder_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SecretKey {
    id: u32,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl SecretKey {
    /// A key with its number, which goes along with every value it encrypts.
    pub fn new(id: u32, bytes: [u8; KEY_BYTES]) -> Self {
        Self {
            id,
            bytes: Zeroizing::new(bytes),
        }
    }

    /// A key written in 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// For anything else; the message does not repeat it.
    pub fn from_hex(id: u32, text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::new("key", "no such text", "64 hexadecimal digits");
        let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() == 2 * KEY_BYTES);
        let digits = Zeroizing::new(digits.ok_or_else(wrong)?);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::try_from(pair[0] << 4 | pair[1]).expect("two digits are a byte");
        }
        Ok(Self { id, bytes })
    }

    /// A key that was thrown with the system's dice.
    ///
    /// # Errors
    ///
    /// If the system gives no random numbers.
    pub fn random(id: u32) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill(&mut *bytes)?;
        Ok(Self { id, bytes })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id)
    }
}

/// Encrypts values with AES-256-GCM and binds each to its key, so that it cannot be
/// passed off as another entry's.
///
/// The first key writes; all of them read, so keys can be replaced without losing what
/// is there. What cannot be read, or is not encrypted at all, is a miss and counted.
/// Keys, tags, metadata and lengths are not hidden, and counters are given up: the
/// server could not add to a number that it cannot read.
///
/// ```
/// use larder_core::{Layer, SetOptions, SharedBackend};
/// use larder_layers::{Encryption, SecretKey};
/// # use larder_core::ManualClock;
/// # let store = SharedBackend::new(larder_testkit::ModelBackend::with_clock(ManualClock::new()));
///
/// let cache = Encryption::new(&SecretKey::random(1)?).layer(store.clone()).blocking();
/// cache.set("patient:1", "healthy", SetOptions::new())?;
/// assert_eq!(cache.get("patient:1")?, Some("healthy".into()));
///
/// let with_another = Encryption::new(&SecretKey::random(2)?).layer(store).blocking();
/// assert_eq!(with_another.get("patient:1")?, None);
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Encryption {
    /// The first one writes.
    keys: Vec<(u32, Arc<LessSafeKey>)>,
    context: String,
}

impl Encryption {
    /// Encrypts with this key.
    pub fn new(key: &SecretKey) -> Self {
        Self {
            keys: vec![ready(key)],
            context: String::new(),
        }
    }

    /// Reads what an older key wrote, too.
    ///
    /// # Errors
    ///
    /// If there is a key of that number already.
    pub fn also_reading(mut self, key: &SecretKey) -> Result<Self, ConfigError> {
        if self.keys.iter().any(|(id, _)| *id == key.id) {
            return Err(ConfigError::new("key", key.id, "a number only once"));
        }
        self.keys.push(ready(key));
        Ok(self)
    }

    /// Binds values to this text as well: a namespace that is put on outside of this
    /// layer, and so is not a part of the keys seen here.
    pub fn context(mut self, text: impl Into<String>) -> Self {
        self.context = text.into();
        self
    }

    /// What is bound to the payload: header, context and key, none of which can pass
    /// for a part of another.
    fn bound(&self, envelope: &Envelope, key: &str) -> Vec<u8> {
        let mut bound = b"larder 1".to_vec();
        for part in [
            &envelope.header()[..],
            self.context.as_bytes(),
            key.as_bytes(),
        ] {
            bound.extend((part.len() as u64).to_le_bytes());
            bound.extend(part);
        }
        bound
    }
}

fn ready(key: &SecretKey) -> (u32, Arc<LessSafeKey>) {
    let unbound = UnboundKey::new(&AES_256_GCM, &*key.bytes);
    let unbound = unbound.expect("a key has the length that the algorithm wants");
    (key.id, Arc::new(LessSafeKey::new(unbound)))
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(bytes).map_err(|error| {
        Error::new(ErrorKind::Other, "the system gives no random numbers").with_source(error)
    })
}

impl Layer for Encryption {
    fn layer(&self, inner: SharedBackend) -> SharedBackend {
        Transformed::around(inner, self.clone())
    }
}

impl Transform for Encryption {
    fn encode(&self, key: &str, value: Bytes) -> Result<Bytes> {
        let (key_id, secret) = &self.keys[0];
        let mut nonce = [0; Sealed::NONCE_BYTES];
        fill(&mut nonce)?;
        let mut envelope = Envelope::default();
        envelope.sealed = Some(Sealed {
            key_id: *key_id,
            nonce,
        });
        let bound = Aad::from(self.bound(&envelope, key));
        let mut payload = Vec::with_capacity(value.len() + MAX_TAG_LEN);
        payload.extend_from_slice(&value);
        let nonce = Nonce::assume_unique_for_key(nonce);
        secret
            .seal_in_place_append_tag(nonce, bound, &mut payload)
            .map_err(|error| {
                Error::new(ErrorKind::TooLarge, "the value cannot be encrypted").with_source(error)
            })?;
        envelope.payload = payload.into();
        Ok(envelope.to_bytes())
    }

    fn decode(&self, key: &str, stored: Bytes) -> Option<Bytes> {
        let mut envelope = Envelope::read(stored).ok()?;
        let Sealed { key_id, nonce } = envelope.sealed?;
        let (_, secret) = self.keys.iter().find(|(id, _)| *id == key_id)?;
        let mut payload = Vec::from(std::mem::take(&mut envelope.payload));
        let bound = Aad::from(self.bound(&envelope, key));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let len = secret.open_in_place(nonce, bound, &mut payload).ok()?.len();
        payload.truncate(len);
        Some(payload.into())
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        let largest = inner.max_value_bytes().saturating_sub(OVERHEAD);
        inner
            .without(Capability::Counters)
            .with_max_value_bytes(largest)
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u32> = self.keys.iter().map(|(id, _)| *id).collect();
        f.debug_struct("Encryption")
            .field("keys", &ids)
            .field("context", &self.context)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32) -> SecretKey {
        SecretKey::new(id, [id.to_le_bytes()[0]; KEY_BYTES])
    }

    fn layer() -> Encryption {
        Encryption::new(&key(1))
    }

    #[test]
    fn a_value_is_bound_to_its_key_context_and_header() {
        let stored = layer().encode("user:1", "secret".into()).unwrap();
        let read = |layer: Encryption, key: &str| layer.decode(key, stored.clone());
        assert_eq!(read(layer(), "user:1").as_deref(), Some(&b"secret"[..]));
        assert_eq!(read(layer(), "user:2"), None);
        assert_eq!(read(layer().context("tenant"), "user:1"), None);
        assert_eq!(read(layer().context("user:"), "1"), None);
        for at in 0..stored.len() {
            let mut forged = stored.to_vec();
            forged[at] ^= 1;
            assert_eq!(layer().decode("user:1", forged.into()), None, "byte {at}");
        }
        assert!(!stored.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn what_is_not_encrypted_is_not_believed() {
        assert_eq!(layer().decode("k", "plain".into()), None);
        assert_eq!(layer().decode("k", Bytes::new()), None);
    }

    #[test]
    fn the_first_key_writes_and_all_read() {
        let old = layer().encode("k", "v".into()).unwrap();
        let rotated = Encryption::new(&key(2)).also_reading(&key(1)).unwrap();
        assert_eq!(rotated.decode("k", old.clone()).as_deref(), Some(&b"v"[..]));
        let new = rotated.encode("k", "v".into()).unwrap();
        assert_eq!(layer().decode("k", new), None);
        assert_eq!(Encryption::new(&key(2)).decode("k", old), None);
        assert!(rotated.also_reading(&key(1)).is_err());
    }

    #[test]
    fn the_same_value_looks_different_each_time() {
        let stored = || layer().encode("k", "v".into()).unwrap();
        assert_ne!(stored(), stored());
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(
            format!("{:?}", layer().also_reading(&key(77)).unwrap()),
            r#"Encryption { keys: [1, 77], context: "" }"#
        );
        let error = SecretKey::from_hex(1, "5ec2e7").unwrap_err().to_string();
        assert!(!error.contains("5ec2e7"), "{error}");
    }
}
