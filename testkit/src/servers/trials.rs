//! What every backend with a server has to bear: kills, pauses and bad connections.
//!
//! A backend is given a time budget; whatever happens, no operation takes longer, none
//! tells a lie, and once the fault is over the next one succeeds.

use std::fmt::Debug;
use std::time::Duration;

use larder_core::{Blocking, Clock, ErrorKind, Result, SetOptions, SystemClock, Ttl};

use super::{Fault, FaultProxy, Server};

/// How much longer than its budget an operation may take.
const GRACE: Duration = Duration::from_millis(100);

const VALUE: &[u8] = b"value";

/// Puts a cache through what its servers may suffer.
///
/// ```no_run
/// use larder_testkit::servers::{FaultProxy, Server, Trial};
/// use larder_testkit::{SixMethods, Subject};
/// use std::time::Duration;
///
/// let server = Server::redis();
/// let proxy = FaultProxy::before(server.address());
/// # let cache = Subject::new(SixMethods::with_clock).cache;
/// // … a cache whose server is at proxy.address() …
/// Trial::of(&cache, Duration::from_millis(300)).bears_faults(&proxy);
/// ```
#[derive(Debug)]
pub struct Trial<'a> {
    cache: &'a Blocking,
    budget: Duration,
}

impl<'a> Trial<'a> {
    /// A trial of a cache whose operations may take so long.
    pub fn of(cache: &'a Blocking, budget: Duration) -> Self {
        Self { cache, budget }
    }

    /// Does something within the budget, whatever comes of it.
    ///
    /// # Panics
    ///
    /// If it takes more than 100 ms longer.
    pub fn in_time<T>(&self, what: impl Debug, work: impl FnOnce() -> T) -> T {
        let clock = SystemClock::new();
        let done = work();
        let took = clock.elapsed();
        assert!(took < self.budget + GRACE, "{what:?} took {took:?}");
        done
    }

    /// A server that is killed is an error at once, and none when it is back.
    ///
    /// # Panics
    ///
    /// If that is not so.
    pub fn bears_kills(&self, server: &Server) {
        for _ in 0..3 {
            self.store();
            server.kill();
            self.fails_as(ErrorKind::Unavailable, "get", || self.cache.get("key"));
            self.fails_as(ErrorKind::Unavailable, "set", || {
                self.cache.set("key", "new", SetOptions::new())
            });
            server.start();
            // The very first operation works again.
            let value = self.cache.get("key").expect("the server is back");
            assert!(value.is_none_or(|value| value == VALUE));
        }
    }

    /// A server that restarts while nobody asks is not noticed.
    ///
    /// # Panics
    ///
    /// If it is.
    pub fn bears_a_restart_unseen(&self, server: &Server) {
        let count = || self.cache.increment("counted", 1, Ttl::Default);
        assert_eq!(count().expect("the server is there"), 1);
        server.kill();
        server.start();
        assert!(count().expect("the server is back") <= 2);
    }

    /// A server that is paused costs no more than the budget.
    ///
    /// # Panics
    ///
    /// If it does.
    pub fn bears_a_pause(&self, server: &Server) {
        self.store();
        server.pause();
        for _ in 0..3 {
            self.fails_as(ErrorKind::Timeout, "get", || self.cache.get("key"));
        }
        self.fails_as(ErrorKind::Timeout, "count", || {
            self.cache.increment("n", 1, Ttl::Default)
        });
        server.resume();
        assert_eq!(
            self.cache.get("key").expect("it runs again").as_deref(),
            Some(VALUE)
        );
    }

    /// Bad connections cost no more than the budget, and bring no wrong value.
    ///
    /// # Panics
    ///
    /// If they do.
    pub fn bears_faults(&self, proxy: &FaultProxy) {
        for fault in [
            Fault::Delay(Duration::from_millis(20)),
            Fault::Delay(Duration::from_secs(2)),
            Fault::Cut,
            Fault::Swallow,
            Fault::Scramble,
            Fault::Drip(Duration::from_millis(50)),
        ] {
            self.store();
            proxy.set(fault);
            for _ in 0..2 {
                self.ask_everything(fault);
            }
            proxy.set(Fault::None);
            let value = self.in_time(fault, || self.cache.get("key"));
            let value = value.expect("the connection is good again");
            assert_eq!(value.as_deref(), Some(VALUE), "after {fault:?}");
        }
    }

    /// Asks for everything under a fault: an error or the truth, in time.
    ///
    /// # Panics
    ///
    /// If an answer is late or wrong.
    pub fn ask_everything(&self, fault: Fault) {
        let cache = self.cache;
        if let Ok(value) = self.in_time(fault, || cache.get("key")) {
            assert!(
                value.as_deref().is_none_or(|value| value == VALUE),
                "{fault:?}: {value:?}"
            );
        }
        if let Ok(found) = self.in_time(fault, || cache.get_many(&["key", "none"])) {
            for (key, value) in found {
                assert_eq!((&*key, &value[..]), ("key", VALUE), "{fault:?}");
            }
        }
        if let Ok(found) = self.in_time(fault, || cache.get_entries(&["key", "none"])) {
            for entry in found {
                assert_eq!((&*entry.key, &entry.value[..]), ("key", VALUE), "{fault:?}");
            }
        }
        if let Ok(Some(entry)) = self.in_time(fault, || cache.get_entry("key")) {
            assert_eq!(&entry.value[..], VALUE, "{fault:?}");
        }
        // Whether these were done nobody can say; but they come to an end.
        let _ = self.in_time(fault, || cache.set("other", "1", SetOptions::new()));
        let _ = self.in_time(fault, || cache.exists("key"));
        let _ = self.in_time(fault, || cache.touch("key", Ttl::Never));
        let _ = self.in_time(fault, || cache.ttl("key"));
        let _ = self.in_time(fault, || cache.delete("other"));
        let _ = self.in_time(fault, || cache.increment("count", 1, Ttl::Default));
        let _ = self.in_time(fault, || cache.decrement("count", 1, Ttl::Default));
        let _ = self.in_time(fault, || cache.delete_many(&["a", "b"]));
        let _ = self.in_time(fault, || {
            cache.set_many(vec![("a".to_owned(), "1".into())], SetOptions::new())
        });
    }

    /// What only reads is asked again when its connection is cut; what changes something
    /// is not, and says that it may have been done.
    ///
    /// # Panics
    ///
    /// If that is not so. The budget has to be some seconds.
    pub fn repeats_only_reads(&self, proxy: &FaultProxy) {
        self.store();
        let read = || self.cache.get("key").map(|value| value.is_some());
        assert!(cut_off(proxy, read).expect("it is asked again"));
        let count = || self.cache.increment("n", 1, Ttl::Default).map(|_| true);
        let error = cut_off(proxy, count).expect_err("it is not sent again");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(error.retry(), larder_core::Retry::MaybeApplied);
    }

    fn store(&self) {
        let stored = self.cache.set("key", VALUE, SetOptions::new());
        assert!(stored.expect("the server is there"));
    }

    fn fails_as<T: Debug>(&self, kind: ErrorKind, what: &str, work: impl FnOnce() -> Result<T>) {
        let error = self.in_time(what, work).expect_err(what);
        assert_eq!(error.kind(), kind, "{error}");
    }
}

/// Does something whose connection is cut when the request has been sent.
fn cut_off(proxy: &FaultProxy, work: impl Fn() -> Result<bool> + Send + Sync) -> Result<bool> {
    let turns = proxy.turns();
    proxy.set(Fault::Swallow);
    std::thread::scope(|scope| {
        let asking = scope.spawn(&work);
        while proxy.turns() == turns {
            std::thread::yield_now();
        }
        proxy.cut();
        asking.join().expect("it comes to an end")
    })
}
