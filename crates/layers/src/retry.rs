//! Another try, where that is safe.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use larder_core::{ConfigError, Error, Layer, Result, Retry as Class, SharedBackend};

use crate::guard::{Call, Guard, Guarded};

/// Most tries.
const MOST: u32 = 20;

/// Repeats what failed and may succeed, after a pause that grows.
///
/// An operation that was not applied is repeated, and one that perhaps was if doing it
/// twice leaves the same behind: never an increment, never a `set` under a condition. A
/// repeated `delete` may tell that nothing was there. Put it outside of
/// [`Timeout`](crate::Timeout), so that each try has its own.
///
/// ```
/// use larder_layers::Retry;
/// use std::time::Duration;
///
/// let retry = Retry::new(3)?.pauses(Duration::from_millis(20), Duration::from_millis(500));
/// assert!(Retry::new(0).is_err());
/// # Ok::<(), larder_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Retry {
    tries: u32,
    first: Duration,
    longest: Duration,
}

impl Retry {
    /// So many tries in all, the first among them; from 1 to 20.
    ///
    /// # Errors
    ///
    /// For any other number.
    pub fn new(tries: u32) -> Result<Self, ConfigError> {
        if !(1..=MOST).contains(&tries) {
            return Err(ConfigError::new("tries", tries, "1 to 20"));
        }
        Ok(Self {
            tries,
            first: Duration::from_millis(10),
            longest: Duration::from_millis(200),
        })
    }

    /// How long to wait before the second try at most, and before any; each pause is
    /// drawn between zero and twice the one before. 10 and 200 ms without this.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// The pause before try number `next`, from 2 on.
    ///
    /// Drawn at random, so that many callers do not come back at one moment.
    fn pause(&self, next: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << (next - 2));
        let share = RandomState::new().hash_one(next) >> 32;
        let longest = doubled.min(self.longest).as_nanos();
        let nanos = longest.saturating_mul(u128::from(share)) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn may_repeat(error: &Error, call: Call) -> bool {
    match error.retry() {
        Class::Safe => true,
        Class::MaybeApplied => call.is_repeatable,
        _ => false,
    }
}

impl Layer for Retry {
    fn layer(&self, inner: SharedBackend) -> SharedBackend {
        Guarded::around(inner, *self)
    }
}

impl Guard for Retry {
    async fn run<T, F>(&self, call: Call, work: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let mut tries = 1;
        loop {
            match work().await {
                Err(error) if tries < self.tries && may_repeat(&error, call) => {}
                outcome => return outcome,
            }
            tries += 1;
            tokio::time::sleep(self.pause(tries)).await;
        }
    }
}
