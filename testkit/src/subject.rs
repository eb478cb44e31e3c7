//! What a case works on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use larder_core::{Blocking, CacheBackend, Capability, ManualClock, SharedBackend};

/// A fresh, empty backend on a clock that the test moves.
///
/// ```
/// use larder_core::SetOptions;
/// use larder_testkit::{SixMethods, Subject};
///
/// let subject = Subject::new(SixMethods::with_clock);
/// subject.cache.set("key", "value", SetOptions::new())?;
/// assert!(subject.cache.exists("key")?);
/// # Ok::<(), larder_core::Error>(())
/// ```
pub struct Subject {
    /// The backend, for callers that cannot await.
    pub cache: Blocking,
    clock: ManualClock,
    max_size_bytes: Option<u64>,
    tells_sizes: bool,
    tells_expired: bool,
    tells_entries: bool,
    /// Tells a server that time passed, if its clock decides.
    server: Option<Box<dyn Fn(Duration)>>,
    check: Box<dyn Fn()>,
}

impl Subject {
    /// A subject around the backend that `make` makes of a clock.
    pub fn new<B: CacheBackend>(make: impl FnOnce(ManualClock) -> B) -> Self {
        let clock = ManualClock::new();
        let backend = SharedBackend::new(make(clock.clone()));
        Self {
            cache: backend.blocking(),
            clock,
            max_size_bytes: None,
            tells_sizes: true,
            tells_expired: true,
            tells_entries: true,
            server: None,
            check: Box::new(|| {}),
        }
    }

    /// The same subject with the promise that its values together have at most
    /// this many bytes, and that the least recently used entry makes room.
    ///
    /// Say it only of a limit that a test may fill: some cases do, and values of
    /// 1 MiB have to fit.
    #[must_use]
    pub fn with_max_size_bytes(mut self, bytes: u64) -> Self {
        self.max_size_bytes = Some(bytes);
        self
    }

    /// The same subject, whose statistics do not tell how large its values are: because
    /// they are stored in another form, or nobody counts.
    #[must_use]
    pub fn without_sizes(mut self) -> Self {
        self.tells_sizes = false;
        self
    }

    /// The same subject, whose statistics do not tell exactly how many entries expired:
    /// because nobody sees whether what is replaced was over.
    #[must_use]
    pub fn without_expired_counts(mut self) -> Self {
        self.tells_expired = false;
        self
    }

    /// The same subject, whose statistics count more than the entries that were stored, and
    /// their sizes: because it has some of its own in the same place.
    #[must_use]
    pub fn without_entry_counts(mut self) -> Self {
        self.tells_entries = false;
        self.without_sizes()
    }

    /// The same subject with `run` to run each operation, for what needs a runtime.
    #[must_use]
    pub fn run_by(
        mut self,
        run: impl for<'a> Fn(Pin<&'a mut (dyn Future<Output = ()> + Send + 'a)>) + Send + Sync + 'static,
    ) -> Self {
        self.cache = Blocking::run_by(self.cache.backend().clone(), run);
        self
    }

    /// The same subject with a check of the backend's invariants.
    #[must_use]
    pub fn with_check(mut self, check: impl Fn() + 'static) -> Self {
        self.check = Box::new(check);
        self
    }

    /// The same subject for a backend whose server decides by its own clock when an entry
    /// ends: `pass` has the server's entries end so much sooner.
    ///
    /// Cases then let minutes pass where they would let milliseconds pass, because the
    /// server's own time passes too, and do not ask what became of expired entries.
    #[must_use]
    pub fn with_server_time(mut self, pass: impl Fn(Duration) + 'static) -> Self {
        self.server = Some(Box::new(pass));
        self
    }

    /// Whether a server decides when an entry ends.
    pub fn is_server(&self) -> bool {
        self.server.is_some()
    }

    /// So much time as cases mean by so many milliseconds.
    pub fn millis(&self, millis: u64) -> Duration {
        match self.server {
            None => Duration::from_millis(millis),
            Some(_) => Duration::from_secs(60 * millis),
        }
    }

    /// So much time as cases mean by so many seconds.
    pub fn seconds(&self, seconds: u64) -> Duration {
        self.millis(seconds * 1_000)
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
        if let Some(pass) = &self.server {
            pass(time);
        }
    }

    /// How many entries expired, if the backend sees it happen; or else what is expected.
    pub fn expired_or(&self, expected: u64) -> u64 {
        if self.server.is_some() || !self.tells_expired {
            return expected;
        }
        let stats = self.cache.stats();
        stats.expect("statistics can be had").evicted_expired
    }

    /// How many entries there are, if the backend tells it; or else what is expected.
    pub fn entries_or(&self, expected: u64) -> u64 {
        if !self.tells_entries {
            return expected;
        }
        let stats = self.cache.stats();
        stats.expect("statistics can be had").current_entries
    }

    /// When an entry was stored, if the backend tells it; or else what is expected. A
    /// server's numbers have no date.
    pub fn created_or(&self, created: SystemTime, expected: SystemTime) -> SystemTime {
        if self.server.is_some() && created == SystemTime::UNIX_EPOCH {
            return expected;
        }
        created
    }

    /// Whether a time is the one expected, as exactly as the backend can tell it.
    pub fn is_about(&self, seen: Duration, expected: Duration) -> bool {
        let slack = match self.server {
            None => Duration::ZERO,
            Some(_) => Duration::from_secs(30),
        };
        seen.abs_diff(expected) <= slack
    }

    /// The clock of the backend.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// The limit in bytes of values, if there is one that a test may fill.
    pub fn max_size_bytes(&self) -> Option<u64> {
        self.max_size_bytes
    }

    /// The size of all values, as far as the backend tells it; or else what is expected.
    pub fn size_or(&self, expected: u64) -> u64 {
        if !self.tells_sizes {
            return expected;
        }
        let stats = self.cache.stats();
        stats.expect("statistics can be had").current_size_bytes
    }

    /// Whether the backend promises something.
    pub fn has(&self, capability: Capability) -> bool {
        self.cache.capabilities().has(capability)
    }

    /// Panics if an invariant of the backend does not hold.
    pub fn check(&self) {
        (self.check)();
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
