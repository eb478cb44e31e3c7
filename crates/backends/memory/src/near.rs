//! Memory as the copy of something else: values that are decoded once, and that may have to
//! be looked at again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_core::Result;
use larder_engine::Change;

use crate::memory::InMemoryBackend;
use crate::stored::Stored;

/// # Near copies
impl InMemoryBackend {
    /// The value as what `decode` makes of it. That is kept beside the bytes, so the next
    /// who asks for the same type gets a clone of it.
    ///
    /// The limit in bytes does not count it.
    ///
    /// # Errors
    ///
    /// Those of `decode`, and if the key is not allowed.
    ///
    /// ```
    /// use larder_core::{Bytes, Codec, JsonCodec, SetOptions};
    /// use larder_memory::InMemoryBackend;
    /// use std::sync::Arc;
    ///
    /// let cache = InMemoryBackend::default();
    /// cache.set("primes", "[2,3,5]", SetOptions::new())?;
    /// let decode = |bytes: &Bytes| JsonCodec.decode::<Vec<u32>>(bytes).map(Arc::new);
    /// let once = cache.get_as("primes", decode)?.unwrap();
    /// let again = cache.get_as("primes", decode)?.unwrap();
    /// assert!(Arc::ptr_eq(&once, &again));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    #[inline]
    pub fn get_as<T: Clone + Send + Sync + 'static>(
        &self,
        key: &str,
        decode: impl FnOnce(&Bytes) -> Result<T>,
    ) -> Result<Option<T>> {
        let look = |stored: &Stored| {
            let decoded = || stored.decoded().ok_or_else(|| stored.value.clone());
            self.trusted(stored).then(decoded)
        };
        match self.cache.get_map(key, look).flatten() {
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(bytes)) => self.decode(key, &bytes, decode).map(Some),
            None => self.found(key, None),
        }
    }

    /// Decodes a value for the first time.
    #[cold]
    fn decode<T: Clone + Send + Sync + 'static>(
        &self,
        key: &str,
        bytes: &Bytes,
        decode: impl FnOnce(&Bytes) -> Result<T>,
    ) -> Result<T> {
        let value = decode(bytes)?;
        self.keep_decoded(key, bytes, value.clone());
        Ok(value)
    }

    /// Keeps what was made of these very bytes beside them, for [`get_as`](Self::get_as).
    ///
    /// Does nothing if other bytes are there now, or something is kept already.
    pub fn keep_decoded<T: Send + Sync + 'static>(&self, key: &str, bytes: &Bytes, value: T) {
        let beside = Arc::new(value);
        let _ = self.cache.compute(key.into(), |present| {
            if let Some(stored) = present {
                stored.keep_decoded(bytes, &beside);
            }
            Change::Keep
        });
    }

    /// Whoever reads finds nothing of what was stored until now, unless it is
    /// [found to be right](Self::revalidate): for copies of something that may have
    /// changed unseen.
    ///
    /// Listings, counters and lifetimes do not notice.
    ///
    /// ```
    /// use larder_core::SetOptions;
    /// use larder_memory::InMemoryBackend;
    ///
    /// let copies = InMemoryBackend::default();
    /// copies.set("key", "value", SetOptions::new())?;
    /// copies.distrust();
    /// assert_eq!(copies.get("key")?, None);
    /// assert!(copies.revalidate("key", b"value"));
    /// assert_eq!(copies.get("key")?.as_deref(), Some(&b"value"[..]));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn distrust(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this is what is stored under a key; then it can be read again.
    pub fn revalidate(&self, key: &str, value: &[u8]) -> bool {
        let mut is_right = false;
        let epoch = self.epoch();
        let _ = self.cache.compute(key.into(), |present| {
            is_right = present.is_some_and(|stored| *stored.value == *value);
            if let Some(stored) = present.filter(|_| is_right) {
                stored.renew(epoch);
            }
            Change::Keep
        });
        is_right
    }
}
