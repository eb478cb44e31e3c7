//! A client of a server under test.

#![allow(dead_code, unreachable_pub, reason = "not every test needs all of it")]
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use larder_core::{Blocking, Clock, SharedBackend, SystemClock};
use larder_redis::RedisBuilder;
use larder_testkit::servers::until;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Arc<Runtime>> = LazyLock::new(|| Arc::new(Runtime::new().unwrap()));

pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// The backend, for callers without a runtime of their own.
pub fn open(builder: RedisBuilder) -> Blocking {
    let backend = SharedBackend::new(builder.build().unwrap());
    Blocking::run_by(backend, move |future| RUNTIME.block_on(future))
}

/// Does something again until it succeeds, and tells how long that took; a minute at
/// most.
pub fn until_ok<T, E: std::fmt::Debug>(mut work: impl FnMut() -> Result<T, E>) -> (T, Duration) {
    let clock = SystemClock::new();
    let mut last = None;
    let succeeded = until(Duration::from_secs(60), || {
        last = Some(work());
        matches!(last, Some(Ok(_)))
    });
    let took = clock.elapsed();
    assert!(succeeded, "{:?}", last.unwrap().err());
    (last.unwrap().unwrap(), took)
}
