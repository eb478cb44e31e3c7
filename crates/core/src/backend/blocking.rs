//! The contract for callers that cannot await.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;

use super::{CacheBackend, SharedBackend};
use crate::batch::{BatchReport, ScanPage};
use crate::capability::Capabilities;
use crate::entry::CacheEntry;
use crate::error::Result;
use crate::options::{SetOptions, TagMatch, Ttl, TtlState};
use crate::pattern::Pattern;
use crate::stats::CacheStats;

/// Any backend with methods that wait: same names, same meaning.
///
/// Each call runs its future on the calling thread, which sleeps while the
/// backend waits. Do not call it from inside an async runtime.
///
/// ```
/// use larder_core::{Blocking, Result, SetOptions};
///
/// fn remember(cache: &Blocking) -> Result<Option<larder_core::Bytes>> {
///     cache.set("greeting", "hello", SetOptions::new())?;
///     cache.get("greeting")
/// }
/// ```
#[derive(Clone)]
pub struct Blocking {
    backend: SharedBackend,
    run: Option<Arc<Run>>,
}

/// Runs a future to its end.
type Run = dyn for<'a> Fn(Pin<&'a mut (dyn Future<Output = ()> + Send + 'a)>) + Send + Sync;

/// Methods that only wait for the method of the same name.
macro_rules! wait_for {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// As the method of the same name of [`CacheBackend`].
            pub fn $name(&self, $($arg: $type),*) -> Result<$out> {
                self.wait(self.backend.$name($($arg),*))
            }
        )*
    };
}

impl Blocking {
    /// A blocking view of `backend`.
    pub fn new(backend: SharedBackend) -> Self {
        Self { backend, run: None }
    }

    /// The same, with `run` to run each future: for backends and layers that need a
    /// runtime around them.
    ///
    /// ```
    /// use larder_core::{Blocking, SharedBackend};
    ///
    /// fn with_tokio(cache: SharedBackend, runtime: tokio::runtime::Handle) -> Blocking {
    ///     Blocking::run_by(cache, move |future| runtime.block_on(future))
    /// }
    /// ```
    pub fn run_by(
        backend: SharedBackend,
        run: impl for<'a> Fn(Pin<&'a mut (dyn Future<Output = ()> + Send + 'a)>) + Send + Sync + 'static,
    ) -> Self {
        let run: Option<Arc<Run>> = Some(Arc::new(run));
        Self { backend, run }
    }

    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let Some(run) = &self.run else {
            return wait(future);
        };
        let mut out = None;
        run(pin!(async { out = Some(future.await) }));
        out.expect("a future is run to its end")
    }

    /// The backend behind it.
    pub fn backend(&self) -> &SharedBackend {
        &self.backend
    }

    /// What works beyond the six required methods, and the limits.
    pub fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// Stores a value and everything said along with it; `true` if stored.
    ///
    /// # Errors
    ///
    /// As the method of the same name of [`CacheBackend`].
    pub fn set(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        options: impl Into<SetOptions>,
    ) -> Result<bool> {
        self.wait(self.backend.set(key, value.into(), options.into()))
    }

    wait_for! {
        /// The value, `None` if missing or expired.
        get(key: &str) -> Option<Bytes>;
        /// Removes a key; `true` if it was there and not expired.
        delete(key: &str) -> bool;
        /// Whether a key is there and not expired.
        exists(key: &str) -> bool;
        /// Removes every entry and tells how many.
        clear() -> u64;
        /// Current statistics.
        stats() -> CacheStats;
        /// The value with everything known about it.
        get_entry(key: &str) -> Option<CacheEntry>;
        /// The values that are there, in the order of `keys`, each key once.
        get_many(keys: &[&str]) -> Vec<(String, Bytes)>;
        /// The entries that are there, in the order of `keys`, each key once.
        get_entries(keys: &[&str]) -> Vec<CacheEntry>;
        /// Stores many values with the same options.
        set_many(items: Vec<(String, Bytes)>, options: SetOptions) -> BatchReport;
        /// Removes many keys and tells how many were there.
        delete_many(keys: &[&str]) -> u64;
        /// All live keys that match.
        keys(pattern: Option<&Pattern>) -> Vec<String>;
        /// At most `limit` matching keys after `after`, in order.
        scan(pattern: Option<&Pattern>, after: Option<&str>, limit: usize) -> ScanPage;
        /// Removes all keys that match and tells how many.
        delete_pattern(pattern: &Pattern) -> u64;
        /// Adds `delta` to a number and returns the sum, in one step.
        increment(key: &str, delta: i64, ttl: Ttl) -> i64;
        /// Subtracts `delta` from a number and returns the result, in one step.
        decrement(key: &str, delta: i64, ttl: Ttl) -> i64;
        /// Gives a present key a new lifetime.
        touch(key: &str, ttl: Ttl) -> bool;
        /// How much longer a key lives.
        ttl(key: &str) -> Option<TtlState>;
        /// Removes the entries with any or all of the tags.
        invalidate_tags(tags: &[&str], which: TagMatch) -> Option<u64>;
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Blocking").field(&self.backend).finish()
    }
}

/// Runs a future to its end on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(out) => return out,
            // A wake-up between poll and park is not lost: it makes park return at once.
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C22, D17
    #[test]
    fn waiting_ends_when_another_thread_wakes_the_future() {
        let mut polls = 0;
        let out = wait(std::future::poll_fn(|context| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready("done");
            }
            let waker = context.waker().clone();
            std::thread::spawn(move || waker.wake());
            Poll::Pending
        }));
        assert_eq!((out, polls), ("done", 3));
    }
}
