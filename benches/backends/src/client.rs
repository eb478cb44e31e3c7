//! What is compared: four operations, by Larder or by the client that a backend is made of.

use std::future::Future;

use bytes::Bytes;
use larder_core::{CacheBackend, SetOptions, SharedBackend};

/// Bytes of a value.
const VALUE: usize = 256;

/// Gets, sets and deletes; tells how many keys were there.
pub(crate) trait Client: Send + Sync + 'static {
    fn get(&self, key: &str) -> impl Future<Output = usize> + Send;
    fn set(&self, key: &str, value: Bytes) -> impl Future<Output = usize> + Send;
    fn delete(&self, key: &str) -> impl Future<Output = usize> + Send;
    fn get_many(&self, keys: &[&str]) -> impl Future<Output = usize> + Send;
}

/// The value of a key: bytes that begin with it and do not compress well.
pub(crate) fn value_of(key: &str) -> Bytes {
    let mut state = key.bytes().fold(0x9E37_79B9_7F4A_7C15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x1000_0000_01B3)
    });
    let mut value = key.as_bytes().to_vec();
    while value.len() < VALUE {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        value.push(state.to_be_bytes()[0]);
    }
    value.into()
}

/// Larder, as callers have it.
pub(crate) struct Larder(pub(crate) SharedBackend);

impl Client for Larder {
    async fn get(&self, key: &str) -> usize {
        self.0
            .get(key)
            .await
            .expect("the server answers")
            .map_or(0, |_| 1)
    }

    async fn set(&self, key: &str, value: Bytes) -> usize {
        let set = self.0.set(key, value, SetOptions::new()).await;
        usize::from(set.expect("the server answers"))
    }

    async fn delete(&self, key: &str) -> usize {
        usize::from(self.0.delete(key).await.expect("the server answers"))
    }

    async fn get_many(&self, keys: &[&str]) -> usize {
        self.0
            .get_many(keys)
            .await
            .expect("the server answers")
            .len()
    }
}
