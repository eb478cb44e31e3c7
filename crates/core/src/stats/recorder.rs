//! Counters that many threads bump at the price of a plain addition.
//!
//! Each of the first [`OWNED`] living threads has a stripe of its own, which
//! only it writes, so counting needs no atomic read-modify-write; the other
//! threads share one stripe. Sums are exact. A reset never writes a stripe: it
//! remembers the sums as the new zero.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::CacheStats;

/// How many threads have a stripe of their own.
const OWNED: usize = 32;

/// What a [`StatsRecorder`] counts.
///
/// ```
/// use larder_core::{Counter, StatsRecorder};
///
/// let recorder = StatsRecorder::new();
/// recorder.add(Counter::Set, 2);
/// assert_eq!(recorder.sum(Counter::Set), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// A `get` that found a value.
    Hit,
    /// A `get` that found nothing.
    Miss,
    /// A value stored.
    Set,
    /// A value refused.
    Rejected,
    /// A `delete` that removed something.
    Delete,
    /// An entry removed to make room.
    EvictedCapacity,
    /// An entry removed because its time was over.
    EvictedExpired,
    /// An operation that failed.
    Error,
    /// Of those, one that took too long.
    Timeout,
    /// A `get` that found something that cannot be read: a miss, not the hit that
    /// whoever keeps the bytes took it for.
    Unreadable,
}

const COUNTERS: usize = Counter::Unreadable as usize + 1;

/// One thread's counters, on cache lines that nobody else writes.
#[derive(Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; COUNTERS]);

/// Thread-safe counters for authors of backends.
///
/// ```
/// use larder_core::{Counter, StatsRecorder};
/// use std::sync::Arc;
///
/// let recorder = Arc::new(StatsRecorder::new());
/// recorder.add(Counter::Hit, 1);
///
/// let mut stats = recorder.snapshot();
/// stats.current_entries = 10; // the backend fills in what it knows
/// assert_eq!(stats.hits, 1);
/// ```
pub struct StatsRecorder {
    /// `OWNED` stripes with one writer each, then the shared one.
    stripes: Box<[Stripe]>,
    zero: Mutex<[u64; COUNTERS]>,
}

impl StatsRecorder {
    /// All counters at zero.
    pub fn new() -> Self {
        Self {
            stripes: (0..=OWNED).map(|_| Stripe::default()).collect(),
            zero: Mutex::default(),
        }
    }

    /// Counts `n` more of `counter`.
    #[inline]
    pub fn add(&self, counter: Counter, n: u64) {
        let stripe = stripe_of_this_thread();
        let cell = &self.stripes[stripe].0[counter as usize];
        // Ordering: relaxed throughout, the counters publish nothing but themselves.
        if stripe < OWNED {
            let now = cell.load(Ordering::Relaxed);
            cell.store(now.wrapping_add(n), Ordering::Relaxed);
        } else {
            cell.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// How many of `counter` since the start or the last reset.
    pub fn sum(&self, counter: Counter) -> u64 {
        self.since(&self.zero.lock(), counter)
    }

    /// All counters as statistics that can reset this recorder; gauges are zero.
    pub fn snapshot(self: &Arc<Self>) -> CacheStats {
        CacheStats::default().with(self)
    }

    /// Adds all counters to `stats`.
    pub(super) fn add_to(&self, stats: &mut CacheStats) {
        let zero = *self.zero.lock();
        for (counter, sum) in [
            (Counter::Hit, &mut stats.hits),
            (Counter::Miss, &mut stats.misses),
            (Counter::Set, &mut stats.sets),
            (Counter::Rejected, &mut stats.rejected),
            (Counter::Delete, &mut stats.deletes),
            (Counter::EvictedCapacity, &mut stats.evicted_capacity),
            (Counter::EvictedExpired, &mut stats.evicted_expired),
            (Counter::Error, &mut stats.errors),
            (Counter::Timeout, &mut stats.timeouts),
            (Counter::Unreadable, &mut stats.unreadable),
        ] {
            *sum += self.since(&zero, counter);
        }
        let unreadable = self.since(&zero, Counter::Unreadable);
        stats.hits = stats.hits.saturating_sub(unreadable);
        stats.misses += unreadable;
    }

    /// Starts again from zero.
    pub fn reset(&self) {
        let mut zero = self.zero.lock();
        for (counter, zero) in zero.iter_mut().enumerate() {
            *zero = self.total(counter);
        }
    }

    fn since(&self, zero: &[u64; COUNTERS], counter: Counter) -> u64 {
        let counter = counter as usize;
        self.total(counter).wrapping_sub(zero[counter])
    }

    fn total(&self, counter: usize) -> u64 {
        self.stripes.iter().fold(0, |sum: u64, stripe| {
            sum.wrapping_add(stripe.0[counter].load(Ordering::Relaxed))
        })
    }
}

impl Default for StatsRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for StatsRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatsRecorder").finish_non_exhaustive()
    }
}

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    static SEAT: Cell<Option<Seat>> = const { Cell::new(None) };
}

/// The stripe that the current thread writes: its own, or the shared one.
#[inline]
fn stripe_of_this_thread() -> usize {
    // While a thread ends its local storage may be gone; it then shares.
    STRIPE
        .try_with(|stripe| match stripe.get() {
            usize::MAX => {
                let mine = Seat::take();
                stripe.set(mine);
                mine
            }
            mine => mine,
        })
        .unwrap_or(OWNED)
}

/// A thread's claim on a stripe; given back when the thread ends.
struct Seat(usize);

/// Stripes without an owner. Passing through the lock hands a stripe's last
/// values from the thread that ended to its successor.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static NEXT: Mutex<usize> = Mutex::new(0);

impl Seat {
    #[cold]
    fn take() -> usize {
        let stripe = FREE.lock().pop().or_else(|| {
            let mut next = NEXT.lock();
            (*next < OWNED).then(|| {
                *next += 1;
                *next - 1
            })
        });
        match stripe {
            // If the seat cannot be kept, nobody would give it back: share instead.
            Some(stripe) => SEAT
                .try_with(|seat| {
                    seat.set(Some(Self(stripe)));
                    stripe
                })
                .unwrap_or(OWNED),
            None => OWNED,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // What this thread still counts while it ends goes to the shared stripe.
        let _ = STRIPE.try_with(|stripe| stripe.set(OWNED));
        FREE.lock().push(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: B13, B15
    #[test]
    fn sums_are_exact_with_more_threads_than_stripes_and_with_threads_that_end() {
        let recorder = Arc::new(StatsRecorder::new());
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..OWNED + 8 {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            recorder.add(Counter::Hit, 1);
                            recorder.add(Counter::Miss, 2);
                        }
                    });
                }
            });
        }
        let threads = 3 * (OWNED as u64 + 8);
        assert_eq!(recorder.sum(Counter::Hit), threads * 1_000);
        assert_eq!(recorder.sum(Counter::Miss), threads * 2_000);
        assert_eq!(recorder.sum(Counter::Set), 0);
    }

    #[test]
    fn a_reset_during_counting_loses_nothing_that_comes_after() {
        let recorder = StatsRecorder::new();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..10_000).for_each(|_| recorder.add(Counter::Hit, 1)));
            scope.spawn(|| (0..100).for_each(|_| recorder.reset()));
        });
        let before = recorder.sum(Counter::Hit);
        assert!(before <= 10_000, "{before}");
        recorder.add(Counter::Hit, 5);
        assert_eq!(recorder.sum(Counter::Hit), before + 5);
    }
}
