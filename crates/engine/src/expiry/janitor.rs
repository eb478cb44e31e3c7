//! The thread that gives back the memory of expired entries that nobody touches.
//!
//! One thread serves all caches of the process. It starts when the first cache on
//! the system clock stores something with an end, and ends with the last such
//! cache. It holds no cache alive.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often the thread looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// A cache that can drop what has expired.
pub(crate) trait Sweep: Send + Sync {
    /// Removes everything that has expired, in bounded steps.
    fn sweep(&self);
}

struct Janitor {
    watched: Mutex<Watched>,
    /// Never signalled: a wait that lasts one interval.
    interval: Condvar,
}

struct Watched {
    caches: Vec<Weak<dyn Sweep>>,
    running: bool,
}

static JANITOR: Janitor = Janitor {
    watched: Mutex::new(Watched {
        caches: Vec::new(),
        running: false,
    }),
    interval: Condvar::new(),
};

/// Has `cache` swept until it is dropped.
///
/// If the system gives no thread, entries still expire on time; their memory
/// comes back through the cache's own operations.
pub(crate) fn watch(cache: Weak<dyn Sweep>) {
    let mut watched = JANITOR.watched.lock();
    watched.caches.push(cache);
    if !watched.running {
        watched.running = std::thread::Builder::new()
            .name("larder-janitor".to_owned())
            .spawn(run)
            .is_ok();
    }
}

fn run() {
    loop {
        for cache in next_round() {
            cache.sweep();
        }
        let mut watched = JANITOR.watched.lock();
        watched.caches.retain(|cache| cache.strong_count() > 0);
        if watched.caches.is_empty() {
            watched.running = false;
            return;
        }
    }
}

/// The caches alive one interval from now.
fn next_round() -> Vec<Arc<dyn Sweep>> {
    let mut watched = JANITOR.watched.lock();
    JANITOR.interval.wait_for(&mut watched, INTERVAL);
    watched.caches.iter().filter_map(Weak::upgrade).collect()
}
