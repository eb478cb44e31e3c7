//! A client of servers under test.

#![allow(unreachable_pub, reason = "not every test needs all of it")]
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::LazyLock;

use larder_core::{Blocking, SharedBackend};
use larder_memcached::MemcachedBuilder;
use tokio::runtime::Runtime;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The backend, for callers without a runtime of their own.
pub fn open(builder: MemcachedBuilder) -> Blocking {
    let backend = SharedBackend::new(builder.build().unwrap());
    Blocking::run_by(backend, |future| RUNTIME.block_on(future))
}
