//! Leases: of the programs that miss a key, one loads it.
//!
//! A lease is an entry that only one can make, and that ends soon unless its holder
//! renews it. If the holder dies, somebody else gets it; if it was only slow, two load,
//! and the fences see to it that neither stores something older than a removal.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use larder_core::{CacheBackend, Capability, Clock, Condition, SetOptions, SharedBackend, Ttl};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use super::tokens::{RESERVED, new_token};

/// How long a lease lives that nobody renews.
const LEASE_TTL: Duration = Duration::from_secs(2);
/// After so long it is renewed.
const RENEWAL: Duration = Duration::from_millis(500);

/// Whose turn it is to load a key.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The caller's, as long as it holds this.
    Mine(Lease),
    /// Somebody else's.
    Theirs,
    /// Everybody's: there is nothing to agree by.
    Everybodys,
}

/// The right to load a key, of one program among those that share the farthest tier.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Held>);

#[derive(Debug)]
struct Held {
    store: SharedBackend,
    clock: Arc<dyn Clock>,
    name: String,
    token: Bytes,
    /// When it was renewed last; `None` if it has been given back.
    renewed: Mutex<Option<Duration>>,
}

pub(super) async fn ask(store: &SharedBackend, clock: &Arc<dyn Clock>, key: &str) -> Turn {
    if !store.capabilities().has(Capability::Conditions) {
        return Turn::Everybodys;
    }
    let name = name_of(key);
    let token = new_token();
    let renewed = clock.elapsed();
    let options = SetOptions::from(LEASE_TTL).with_condition(Condition::IfAbsent);
    match store.set(&name, token.clone(), options).await {
        Ok(true) => Turn::Mine(Lease(Arc::new(Held {
            store: store.clone(),
            clock: Arc::clone(clock),
            name,
            token,
            renewed: Mutex::new(Some(renewed)),
        }))),
        Ok(false) => Turn::Theirs,
        Err(_) => Turn::Everybodys,
    }
}

/// Where the lease of a key is.
pub(super) fn name_of(key: &str) -> String {
    format!("{RESERVED}lease:{:032x}", xxh3_128(key.as_bytes()))
}

impl Lease {
    /// Does some work and renews the lease meanwhile.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let renewal = async {
            let mut ticks = tokio::time::interval(RENEWAL);
            // The first one comes at once.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                self.0.renew().await;
            }
        };
        match select(pin!(work), pin!(renewal)).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => never,
        }
    }

    /// Gives the lease back.
    pub(crate) async fn release(self) {
        self.0.release().await;
    }
}

impl Held {
    async fn renew(&self) {
        let now = self.clock.elapsed();
        let ttl = Ttl::After(LEASE_TTL);
        // If it has ended, somebody else may have it.
        if let Ok(true) = self.store.touch(&self.name, ttl).await {
            *self.renewed.lock() = Some(now);
        }
    }

    async fn release(&self) {
        let Some(renewed) = self.renewed.lock().take() else {
            return;
        };
        let age = self.clock.elapsed().saturating_sub(renewed);
        if age >= LEASE_TTL / 2 {
            // It may be somebody else's by now.
            let there = self.store.get(&self.name).await;
            if !there.is_ok_and(|there| there.as_ref() == Some(&self.token)) {
                return;
            }
        }
        // If that fails, it ends by itself.
        let _ = self.store.delete(&self.name).await;
    }
}

/// A load that was given up gives its lease back too, so that nobody waits for it.
impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.renewed.lock().is_none() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let held = Arc::clone(&self.0);
            runtime.spawn(async move { held.release().await });
        }
    }
}
