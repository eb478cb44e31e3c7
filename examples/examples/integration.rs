//! A service that does not know its backend: cache-aside, swapping, tracking.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::cell::Cell;
use std::time::Duration;

use larder::{
    Blocking, Codec, InMemoryBackend, JsonCodec, Policy, Result, SharedBackend, SystemClock,
};

/// Finds users in a slow database, behind a cache of any kind.
struct UserService {
    cache: Blocking,
    queries: Cell<u32>,
}

impl UserService {
    fn new(backend: &SharedBackend) -> Self {
        Self {
            cache: backend.blocking(),
            queries: Cell::new(0),
        }
    }

    /// Cache-aside: look, else load and remember.
    fn user(&self, id: u32) -> Result<String> {
        let key = format!("user:{id}");
        if let Some(bytes) = self.cache.get(&key)? {
            return JsonCodec.decode(&bytes);
        }
        let name = self.query(id);
        let bytes = JsonCodec.encode(&name)?;
        self.cache.set(&key, bytes, Duration::from_secs(300))?;
        Ok(name)
    }

    /// A change makes the cached copy wrong, so it goes.
    fn rename(&self, id: u32) -> Result<bool> {
        self.cache.delete(&format!("user:{id}"))
    }

    fn query(&self, id: u32) -> String {
        self.queries.set(self.queries.get() + 1);
        format!("User {id}")
    }
}

// covers: AA4, C14, C15, C22, B12
fn main() -> Result<()> {
    // The same service over two backends: nothing in it changes.
    let backends = [
        SharedBackend::new(InMemoryBackend::default()),
        SharedBackend::new(
            InMemoryBackend::builder()
                .max_entries(100)
                .policy(Policy::Lfu)
                .clock(std::sync::Arc::new(SystemClock::new()))
                .build()?,
        ),
    ];
    for backend in backends {
        let service = UserService::new(&backend);
        for round in 0..10 {
            for id in 0..20 {
                assert_eq!(service.user(id)?, format!("User {id}"), "round {round}");
            }
        }
        assert_eq!(service.queries.get(), 20, "each user was loaded once");
        assert!(service.rename(7)?);
        service.user(7)?;
        assert_eq!(service.queries.get(), 21);

        let stats = service.cache.stats()?;
        println!("{}: {stats}", service.cache.capabilities());
        println!("{}", serde_json::Value::Object(stats.to_map()));
        assert!(stats.hit_rate() > 0.89);
    }
    Ok(())
}
