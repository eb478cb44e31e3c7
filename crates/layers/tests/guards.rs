//! What goes around operations, on a backend that fails as it is told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use larder_core::{
    Bytes, CacheBackend, CacheStats, Capabilities, Capability, Circuit, Clock, Condition, Error,
    ErrorKind, Layer, ManualClock, Operation, Result, Retry as Class, SetOptions, SharedBackend,
    Ttl,
};
use larder_layers::{Breaker, Metrics, Retry, Timeout};
use parking_lot::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// What an operation does; without a script it succeeds.
#[derive(Debug, Clone, Copy)]
enum Act {
    Fail(ErrorKind, Class),
    Hang,
}

const REFUSED: Act = Act::Fail(ErrorKind::Unavailable, Class::Safe);
const BROKEN_OFF: Act = Act::Fail(ErrorKind::Unavailable, Class::MaybeApplied);
const DENIED: Act = Act::Fail(ErrorKind::Denied, Class::Never);

#[derive(Debug, Clone, Default)]
struct Scripted {
    script: Arc<Mutex<VecDeque<Act>>>,
    calls: Arc<AtomicU32>,
}

impl Scripted {
    fn new(acts: &[Act]) -> Self {
        let scripted = Self::default();
        scripted.script.lock().extend(acts);
        scripted
    }

    async fn act<T>(&self, success: T) -> Result<T> {
        self.calls.fetch_add(1, Relaxed);
        let act = self.script.lock().pop_front();
        match act {
            None => Ok(success),
            Some(Act::Fail(kind, class)) => Err(Error::new(kind, "as told").with_retry(class)),
            Some(Act::Hang) => std::future::pending().await,
        }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }
}

impl CacheBackend for Scripted {
    async fn get(&self, _: &str) -> Result<Option<Bytes>> {
        self.act(None).await
    }
    async fn set(&self, _: &str, _: Bytes, _: SetOptions) -> Result<bool> {
        self.act(true).await
    }
    async fn delete(&self, _: &str) -> Result<bool> {
        self.act(true).await
    }
    async fn exists(&self, _: &str) -> Result<bool> {
        self.act(true).await
    }
    async fn clear(&self) -> Result<u64> {
        self.act(0).await
    }
    async fn stats(&self) -> Result<CacheStats> {
        Ok(CacheStats::default())
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .with(Capability::Counters)
            .with(Capability::Conditions)
    }
    async fn increment(&self, _: &str, delta: i64, _: Ttl) -> Result<i64> {
        self.act(delta).await
    }
}

fn through(layer: &dyn Layer, acts: &[Act]) -> (SharedBackend, Scripted) {
    let scripted = Scripted::new(acts);
    (layer.layer(SharedBackend::new(scripted.clone())), scripted)
}

fn kind<T: std::fmt::Debug>(outcome: Result<T>) -> ErrorKind {
    outcome.expect_err("it was told to fail").kind()
}

#[tokio::test(start_paused = true)]
async fn what_was_not_applied_is_repeated_and_what_was_refused_is_not() {
    let retry = Retry::new(3).unwrap();
    let (cache, backend) = through(&retry, &[REFUSED, REFUSED]);
    assert_eq!(cache.increment("n", 5, Ttl::Default).await.unwrap(), 5);
    assert_eq!(backend.calls(), 3);

    let (cache, backend) = through(&retry, &[REFUSED; 3]);
    assert_eq!(kind(cache.get("k").await), ErrorKind::Unavailable);
    assert_eq!(backend.calls(), 3, "and no more");

    let (cache, backend) = through(&retry, &[DENIED]);
    assert_eq!(kind(cache.get("k").await), ErrorKind::Denied);
    assert_eq!(backend.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_perhaps_applied_is_repeated_only_if_that_changes_nothing() {
    let retry = Retry::new(2).unwrap();
    for (is_repeated, condition) in [(true, Condition::Always), (false, Condition::IfAbsent)] {
        let (cache, backend) = through(&retry, &[BROKEN_OFF]);
        let options = SetOptions::new().with_condition(condition);
        let outcome = cache.set("k", Bytes::new(), options).await;
        assert_eq!(
            (outcome.is_ok(), backend.calls()),
            (is_repeated, 1 + u32::from(is_repeated))
        );
    }
    let (cache, backend) = through(&retry, &[BROKEN_OFF]);
    assert!(cache.increment("n", 1, Ttl::Default).await.is_err());
    assert_eq!(backend.calls(), 1, "an increment is never done twice");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_up_to_the_longest() {
    let retry = Retry::new(12).unwrap().pauses(SECOND, 4 * SECOND);
    let (cache, _) = through(&retry, &[REFUSED; 11]);
    let start = tokio::time::Instant::now();
    cache.get("k").await.unwrap();
    let waited = start.elapsed();
    let longest = SECOND * (1 + 2 + 4 * 9);
    assert!(waited > SECOND && waited < longest, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_and_each_try_has_its_own_time() {
    let timeout = Timeout::new(SECOND).unwrap();
    let (cache, _) = through(&timeout, &[Act::Hang]);
    let start = tokio::time::Instant::now();
    let error = cache.get("k").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Timeout, Class::MaybeApplied)
    );
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(cache.stats().await.unwrap().timeouts, 1);

    let (inner, backend) = through(&timeout, &[Act::Hang, Act::Hang]);
    let cache = Retry::new(3).unwrap().layer(inner);
    assert_eq!(cache.get("k").await.unwrap(), None);
    assert_eq!(backend.calls(), 3);
}

#[test]
fn the_circuit_opens_lets_one_through_and_closes() {
    let clock = ManualClock::new();
    let breaker = Breaker::new()
        .failures(2)
        .unwrap()
        .pauses(SECOND, 3 * SECOND)
        .clock(Arc::new(clock.clone()));
    // Two open it, the third keeps it open for twice as long.
    let (cache, backend) = through(&breaker, &[REFUSED, BROKEN_OFF, REFUSED]);
    let cache = cache.blocking();
    let circuit = || cache.stats().unwrap().circuit;
    assert_eq!(circuit(), Some(Circuit::Closed));
    assert!(cache.get("k").is_err() && cache.get("k").is_err());
    assert_eq!(circuit(), Some(Circuit::Open));

    let error = cache.get("k").unwrap_err();
    assert!(error.to_string().contains("asked again in 1.0s"), "{error}");
    assert_eq!((error.kind(), backend.calls()), (ErrorKind::Unavailable, 2));

    clock.advance(SECOND);
    assert!(cache.get("k").is_err());
    assert_eq!((circuit(), backend.calls()), (Some(Circuit::Open), 3));
    clock.advance(SECOND);
    assert!(cache.get("k").is_err());
    assert_eq!(backend.calls(), 3, "the second pause is longer");
    clock.advance(SECOND);
    assert_eq!(cache.get("k").unwrap(), None);
    assert_eq!(circuit(), Some(Circuit::Closed));
}

#[test]
fn refusals_and_successes_keep_the_circuit_closed() {
    let breaker = Breaker::new().failures(2).unwrap();
    let (cache, _) = through(&breaker, &[DENIED, DENIED, DENIED, REFUSED]);
    let cache = cache.blocking();
    for _ in 0..3 {
        assert_eq!(kind(cache.get("k")), ErrorKind::Denied);
    }
    assert!(cache.get("k").is_err());
    assert!(cache.get("k").is_ok());
    assert_eq!(cache.stats().unwrap().circuit, Some(Circuit::Closed));
}

#[tokio::test(start_paused = true)]
async fn while_half_open_a_single_operation_is_let_through() {
    let clock = ManualClock::new();
    let breaker = Breaker::new()
        .failures(1)
        .unwrap()
        .pauses(SECOND, SECOND)
        .clock(Arc::new(clock.clone()));
    let (cache, backend) = through(&breaker, &[REFUSED, Act::Hang]);
    assert!(cache.get("k").await.is_err());
    clock.advance(SECOND);
    let trial = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get("k").await }
    });
    tokio::task::yield_now().await;
    assert_eq!(
        cache.stats().await.unwrap().circuit,
        Some(Circuit::HalfOpen)
    );
    assert!(cache.get("k").await.is_err());
    assert_eq!(backend.calls(), 2);
    // The trial is dropped; that must not keep the circuit half open for ever.
    trial.abort();
    clock.advance(SECOND);
    assert_eq!(cache.get("k").await.unwrap(), None);
}

#[test]
fn metrics_tell_how_long_and_how_often_and_what_failed() {
    let clock = ManualClock::new();
    let metrics = Metrics::new().clock(Arc::new(clock.clone()));
    let (cache, _) = through(&metrics, &[REFUSED]);
    let cache = cache.blocking();
    assert!(cache.get("k").is_err());
    assert!(cache.get("k").is_ok() && cache.delete("k").is_ok());
    let gets = metrics.of(Operation::Get);
    assert_eq!(
        (gets.count, gets.failed, gets.total),
        (2, 1, Duration::ZERO)
    );
    assert_eq!(metrics.all().len(), 2);
    assert!(clock.elapsed().is_zero());
}
