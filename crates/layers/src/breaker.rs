//! Rest for a backend that fails.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    CacheStats, Circuit, Clock, ConfigError, Error, ErrorKind, Layer, Result, Retry, SharedBackend,
    SystemClock,
};
use parking_lot::Mutex;

use crate::guard::{Call, Guard, Guarded};

/// Stops asking a backend that cannot be reached or does not answer, and asks again
/// after a while, with one operation first.
///
/// While it is *open* every operation fails at once; after the pause it is *half open*
/// and lets a single one through, whose outcome closes or opens it. Only failures to
/// reach the backend count, not refusals. [`CacheStats::circuit`] shows the state.
///
/// ```
/// use larder_core::{Circuit, Layer, SharedBackend};
/// use larder_layers::Breaker;
/// # use larder_core::ManualClock;
/// # let store = SharedBackend::new(larder_testkit::ModelBackend::with_clock(ManualClock::new()));
///
/// let cache = Breaker::new().failures(3)?.layer(store).blocking();
/// assert_eq!(cache.stats()?.circuit, Some(Circuit::Closed));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Breaker {
    failures: u32,
    pause: Duration,
    longest_pause: Duration,
    clock: Arc<dyn Clock>,
}

impl Breaker {
    /// Opens after 5 failures in a row, for 1 s at first and at most 30 s.
    pub fn new() -> Self {
        Self {
            failures: 5,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Opens after so many failures in a row.
    ///
    /// # Errors
    ///
    /// For 0.
    pub fn failures(mut self, failures: u32) -> Result<Self, ConfigError> {
        if failures == 0 {
            return Err(ConfigError::new("failures", 0, "at least 1"));
        }
        self.failures = failures;
        Ok(self)
    }

    /// How long it stays open: at first, and at most. Each failure of the operation that
    /// is let through doubles it.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.pause, self.longest_pause) = (first, longest);
        self
    }

    /// Where the time comes from; the system without this.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for Breaker {
    fn layer(&self, inner: SharedBackend) -> SharedBackend {
        let fuse = Fuse {
            settings: self.clone(),
            state: Mutex::new(State::Closed { failures: 0 }),
        };
        Guarded::around(inner, fuse)
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        /// In a row.
        failures: u32,
    },
    Open {
        until: Duration,
        pause: Duration,
    },
    /// One operation is on its way; if it is dropped, another may try after `until`.
    HalfOpen {
        until: Duration,
        pause: Duration,
    },
}

/// The breaker of one backend.
#[derive(Debug)]
struct Fuse {
    settings: Breaker,
    state: Mutex<State>,
}

impl Fuse {
    /// Whether an operation may pass.
    fn admit(&self) -> Result<()> {
        let now = self.settings.clock.elapsed();
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, pause } | State::HalfOpen { until, pause } if until <= now => {
                let until = now + pause;
                *state = State::HalfOpen { until, pause };
                Ok(())
            }
            State::Open { until, .. } | State::HalfOpen { until, .. } => {
                let left = until.saturating_sub(now);
                let message = format!("not asked: it failed, and is asked again in {left:.1?}");
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        }
    }

    /// Learns from an outcome; `failed` says that the backend was not reached.
    fn judge(&self, failed: bool) {
        let settings = &self.settings;
        let mut state = self.state.lock();
        let now = settings.clock.elapsed();
        let open_for = |pause: Duration| State::Open {
            until: now + pause,
            pause,
        };
        *state = match *state {
            // An operation that began earlier says nothing new.
            State::Open { .. } if failed => *state,
            State::HalfOpen { pause, .. } if failed => {
                open_for(pause.saturating_mul(2).min(settings.longest_pause))
            }
            State::Closed { failures } if failed => {
                let failures = failures + 1;
                if failures >= settings.failures {
                    open_for(settings.pause)
                } else {
                    State::Closed { failures }
                }
            }
            _ => State::Closed { failures: 0 },
        };
    }

    fn circuit(&self) -> Circuit {
        match *self.state.lock() {
            State::Closed { .. } => Circuit::Closed,
            State::Open { .. } => Circuit::Open,
            State::HalfOpen { .. } => Circuit::HalfOpen,
        }
    }
}

/// Whether an error says that the backend is not there.
fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
        || error.retry() != Retry::Never
}

impl Guard for Fuse {
    async fn run<T, F>(&self, call: Call, work: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        if call.operation == larder_core::Operation::Stats {
            // Looking must be possible at all times, and is no trial.
            return work().await;
        }
        self.admit()?;
        let outcome = work().await;
        self.judge(outcome.as_ref().is_err_and(is_outage));
        outcome
    }

    fn add_to(&self, mut stats: CacheStats) -> CacheStats {
        stats.circuit = Some(self.circuit());
        stats
    }
}
