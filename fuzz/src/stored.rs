//! Bytes that a store gives back: read without harm, and what was read is written so.

#![no_main]

use std::sync::LazyLock;

use larder_core::stored::Envelope;
use larder_core::{Blocking, Bytes, Layer, SetOptions, SharedBackend};
use larder_layers::{Compression, Encryption, SecretKey};
use libfuzzer_sys::fuzz_target;

/// A store with a way to read it: compressed, encrypted, or both.
static STORE: LazyLock<SharedBackend> =
    LazyLock::new(|| SharedBackend::new(store::OneValue::default()));
static READERS: LazyLock<Vec<Blocking>> = LazyLock::new(|| {
    let compression = Compression::lz4().max_value_bytes(1 << 20);
    let encryption = Encryption::new(&SecretKey::new(1, [7; 32]));
    let layers: [&dyn Layer; 2] = [&compression, &encryption];
    let mut readers: Vec<Blocking> = layers
        .iter()
        .map(|layer| layer.layer(STORE.clone()).blocking())
        .collect();
    readers.push(
        compression
            .layer(encryption.layer(STORE.clone()))
            .blocking(),
    );
    readers
});

fuzz_target!(|bytes: &[u8]| {
    let stored = Bytes::copy_from_slice(bytes);
    if let Ok(envelope) = Envelope::read(stored.clone()) {
        assert_eq!(Envelope::read(envelope.to_bytes()), Ok(envelope));
    }
    let whole = STORE.blocking();
    whole
        .set("key", stored, SetOptions::new())
        .expect("it keeps everything");
    for reader in READERS.iter() {
        if let Some(value) = reader.get("key").expect("unreadable is a miss") {
            assert!(value.len() <= 1 << 20);
            assert!(
                reader
                    .set("key", value.clone(), SetOptions::new())
                    .expect("it is small")
            );
            assert_eq!(reader.get("key").expect("just stored"), Some(value));
        }
        let stored = Bytes::copy_from_slice(bytes);
        whole
            .set("key", stored, SetOptions::new())
            .expect("it keeps everything");
    }
});

/// A backend of one value.
mod store {
    use std::sync::Mutex;

    use larder_core::{Bytes, CacheBackend, CacheStats, Result, SetOptions};

    #[derive(Default)]
    pub(super) struct OneValue(Mutex<Option<Bytes>>);

    impl CacheBackend for OneValue {
        async fn get(&self, _: &str) -> Result<Option<Bytes>> {
            Ok(self.0.lock().expect("nobody panics").clone())
        }
        async fn set(&self, _: &str, value: Bytes, _: SetOptions) -> Result<bool> {
            *self.0.lock().expect("nobody panics") = Some(value);
            Ok(true)
        }
        async fn delete(&self, _: &str) -> Result<bool> {
            Ok(self.0.lock().expect("nobody panics").take().is_some())
        }
        async fn exists(&self, _: &str) -> Result<bool> {
            Ok(self.0.lock().expect("nobody panics").is_some())
        }
        async fn clear(&self) -> Result<u64> {
            Ok(u64::from(self.delete("").await?))
        }
        async fn stats(&self) -> Result<CacheStats> {
            Ok(CacheStats::default())
        }
    }
}
