//! How long each operation takes.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::{Clock, Layer, Operation, Result, SharedBackend, SystemClock};

use crate::guard::{Call, Guard, Guarded};

/// Buckets per doubling of the time: at most a quarter too much is told.
const PER_OCTAVE: usize = 4;
/// From a nanosecond to five hours.
const OCTAVES: usize = 44;
const BUCKETS: usize = OCTAVES * PER_OCTAVE;

/// Measures every operation; clones, and all that it is wrapped around, share the
/// numbers.
///
/// ```
/// use larder_core::{Layer, Operation, SharedBackend};
/// use larder_layers::Metrics;
/// # use larder_core::ManualClock;
/// # let store = SharedBackend::new(larder_testkit::ModelBackend::with_clock(ManualClock::new()));
///
/// let metrics = Metrics::new();
/// let cache = metrics.layer(store).blocking();
/// cache.get("a")?;
/// cache.get("b")?;
/// let gets = metrics.of(Operation::Get);
/// assert_eq!((gets.count, gets.failed), (2, 0));
/// assert!(gets.quantile(0.5) <= gets.quantile(0.99));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Shared {
    histograms: Vec<Histogram>,
}

#[derive(Debug)]
struct Histogram {
    failed: AtomicU64,
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Metrics {
    /// Nothing measured yet.
    pub fn new() -> Self {
        let histogram = || Histogram {
            failed: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        };
        let histograms = Operation::ALL.iter().map(|_| histogram()).collect();
        Self {
            shared: Arc::new(Shared { histograms }),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Where the time comes from; the system without this.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What was measured of one operation.
    pub fn of(&self, operation: Operation) -> Latency {
        // Ordering: relaxed, the numbers publish nothing but themselves.
        let histogram = &self.shared.histograms[operation as usize];
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let buckets: Vec<u64> = histogram.buckets.iter().map(load).collect();
        Latency {
            operation,
            count: buckets.iter().sum(),
            failed: load(&histogram.failed),
            total: Duration::from_nanos(load(&histogram.nanos)),
            buckets,
        }
    }

    /// What was measured of all operations that were used.
    pub fn all(&self) -> Vec<Latency> {
        let all = Operation::ALL
            .into_iter()
            .map(|operation| self.of(operation));
        all.filter(|latency| latency.count > 0).collect()
    }

    fn record(&self, operation: Operation, took: Duration, failed: bool) {
        let histogram = &self.shared.histograms[operation as usize];
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let add = |number: &AtomicU64, more| number.fetch_add(more, Ordering::Relaxed);
        add(&histogram.buckets[bucket_of(nanos)], 1);
        add(&histogram.nanos, nanos);
        add(&histogram.failed, u64::from(failed));
    }
}

/// The bucket of a time: its octave, and the quarter of that.
fn bucket_of(nanos: u64) -> usize {
    let nanos = nanos.max(1);
    let octave = nanos.ilog2() as usize;
    let quarter = (u128::from(nanos) << 2 >> octave) as usize & (PER_OCTAVE - 1);
    (octave * PER_OCTAVE + quarter).min(BUCKETS - 1)
}

/// Where a bucket ends.
fn end_of(bucket: usize) -> Duration {
    let (octave, quarter) = (bucket / PER_OCTAVE, bucket % PER_OCTAVE);
    let nanos = ((PER_OCTAVE + quarter + 1) as u128) << octave >> 2;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// How long one operation took, so far.
///
/// ```
/// use larder_core::Operation;
/// use larder_layers::Metrics;
///
/// assert_eq!(Metrics::new().of(Operation::Get).quantile(0.99), std::time::Duration::ZERO);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Latency {
    /// Which operation.
    pub operation: Operation,
    /// How often it was done.
    pub count: u64,
    /// How often it failed.
    pub failed: u64,
    /// How long all of them took together.
    pub total: Duration,
    buckets: Vec<u64>,
}

impl Latency {
    /// What this share of the operations took at most, a quarter too much at worst; zero
    /// if there were none.
    pub fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among the operations"
        )]
        let rank = ((self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.map_or(Duration::ZERO, end_of)
    }

    /// How many took at most so long, by the ends of the buckets in use.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut seen = 0;
        let filled = self
            .buckets
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        filled.map(move |(bucket, count)| {
            seen += count;
            (end_of(bucket), seen)
        })
    }
}

impl Layer for Metrics {
    fn layer(&self, inner: SharedBackend) -> SharedBackend {
        Guarded::around(inner, self.clone())
    }
}

impl Guard for Metrics {
    async fn run<T, F>(&self, call: Call, work: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let start = self.clock.elapsed();
        let outcome = work().await;
        let took = self.clock.elapsed().saturating_sub(start);
        self.record(call.operation, took, outcome.is_err());
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_a_quarter_less_than_its_end() {
        for nanos in [1, 2, 3, 4, 5, 7, 8, 1_000, 1_023, 1_024, 123_456_789] {
            let end = u64::try_from(end_of(bucket_of(nanos)).as_nanos()).unwrap();
            assert!(end >= nanos, "{nanos} ends at {end}");
            assert!(end <= nanos + nanos / 4 + 1, "{nanos} ends at {end}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket_of(0), 0);
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let metrics = Metrics::new();
        for millis in 1..=100 {
            let took = Duration::from_millis(millis);
            metrics.record(Operation::Set, took, millis == 7);
        }
        let sets = metrics.of(Operation::Set);
        assert_eq!((sets.count, sets.failed), (100, 1));
        assert_eq!(sets.total, Duration::from_millis(5_050));
        for (share, millis) in [(0.5, 50), (0.99, 99), (1.0, 100)] {
            let exact = Duration::from_millis(millis);
            let told = sets.quantile(share);
            assert!(told >= exact && told <= exact * 5 / 4, "{share}: {told:?}");
        }
        assert_eq!(sets.cumulative().last().map(|(_, count)| count), Some(100));
        assert_eq!(metrics.all().len(), 1);
    }
}
