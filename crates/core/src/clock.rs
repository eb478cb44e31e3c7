//! The only source of time.
//!
//! Everything that expires asks a [`Clock`], so tests move a [`ManualClock`]
//! instead of sleeping. Durations are measured on a monotonic scale, so a wall
//! clock that is set back does not revive what has expired.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Tells the time, twice: for people and for measuring.
///
/// ```
/// use larder_core::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let (wall, elapsed) = (clock.now(), clock.elapsed());
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now(), wall + Duration::from_secs(90));
/// assert_eq!(clock.elapsed(), elapsed + Duration::from_secs(90));
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may jump; use it only for what people or other machines read.
    fn now(&self) -> SystemTime;

    /// Time since some fixed moment in the past. It never goes back.
    fn elapsed(&self) -> Duration;
}

/// The clock of the operating system; all instances agree.
///
/// ```
/// use larder_core::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let before = clock.elapsed();
/// assert!(clock.elapsed() >= before);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose [`elapsed`](Clock::elapsed) starts at zero.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's time"
    )]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's time"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that stands still until told to move; clones are the same clock.
///
/// It starts at 2023-11-14T22:13:20Z (Unix time 1,700,000,000) and has a
/// resolution of a nanosecond.
///
/// ```
/// use larder_core::{Clock, ManualClock};
/// use std::time::{Duration, SystemTime};
///
/// let clock = ManualClock::new();
/// let same = clock.clone();
/// clock.advance(Duration::from_millis(5));
/// assert_eq!(same.elapsed(), Duration::from_millis(5));
/// assert_eq!(
///     clock.now(),
///     SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_005),
/// );
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    elapsed_nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock at its starting moment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward; it stops at some 584 years.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // Ordering: relaxed is enough, the value publishes nothing but itself.
        let _ = self
            .elapsed_nanos
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                Some(now.saturating_add(by))
            });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: A11
    #[test]
    fn a_manual_clock_moves_only_when_told_and_does_not_wrap() {
        let clock = ManualClock::new();
        assert_eq!(clock.elapsed(), Duration::ZERO);
        assert_eq!(clock.now(), clock.now());
        clock.advance(Duration::from_secs(1));
        clock.advance(Duration::MAX);
        assert_eq!(clock.elapsed(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = SystemClock::new();
        let mut last = clock.elapsed();
        for _ in 0..1_000 {
            let next = clock.elapsed();
            assert!(next >= last);
            last = next;
        }
    }
}
