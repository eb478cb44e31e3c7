//! A server that is killed, paused or cut off: what callers see, and how soon it is over.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod client;

use std::time::Duration;

use client::{open, runtime};
use larder_core::{
    Blocking, Clock, ErrorKind, Result, Retry, SetOptions, SharedBackend, SystemClock, Ttl,
};
use larder_redis::{RedisBackend, RedisBuilder};
use larder_testkit::servers::{Fault, FaultProxy, Server};

const BUDGET: Duration = Duration::from_millis(300);
/// How much longer an operation may take.
const GRACE: Duration = Duration::from_millis(100);

fn at(address: std::net::SocketAddr) -> RedisBuilder {
    RedisBackend::single(format!("redis://{address}")).timeout(BUDGET)
}

/// Does something within the budget, whatever comes of it.
fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let clock = SystemClock::new();
    let done = work();
    let took = clock.elapsed();
    assert!(took < BUDGET + GRACE, "{what} took {took:?}");
    done
}

fn kind_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_killed_server_is_an_error_at_once_and_none_when_it_is_back() {
    let server = Server::redis();
    let cache = open(at(server.address()));
    for round in 0..5 {
        cache.set("key", "value", SetOptions::new()).unwrap();
        server.kill();
        let error = in_time("get", || cache.get("key")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(error.retry(), Retry::Safe);
        let error = in_time("set", || cache.set("key", "new", SetOptions::new()));
        assert_eq!(kind_of(error), ErrorKind::Unavailable);
        server.start();
        // The very first operation works again.
        if round % 2 == 0 {
            assert_eq!(cache.get("key").unwrap(), None, "it was in memory only");
        }
    }
}

#[test]
fn a_server_that_restarts_while_nobody_asks_is_not_noticed() {
    let server = Server::redis();
    let cache = open(at(server.address()));
    assert_eq!(cache.increment("n", 1, Ttl::Default).unwrap(), 1);
    server.kill();
    server.start();
    assert_eq!(cache.increment("n", 1, Ttl::Default).unwrap(), 1);
}

#[test]
fn a_paused_server_costs_no_more_than_the_budget() {
    let server = Server::redis();
    let cache = open(at(server.address()));
    cache.set("key", "value", SetOptions::new()).unwrap();
    server.pause();
    for _ in 0..3 {
        assert_eq!(
            kind_of(in_time("get", || cache.get("key"))),
            ErrorKind::Timeout
        );
    }
    let error = in_time("count", || cache.increment("n", 1, Ttl::Default)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    server.resume();
    let value = cache.get("key").unwrap();
    assert_eq!(value.as_deref(), Some(&b"value"[..]));
}

/// Everything that a cache is asked, under a fault: an error or the truth, in time.
fn ask_everything(cache: &Blocking, fault: Fault) {
    let values = [None, Some(&b"value"[..])];
    let place = format!("{fault:?}");
    if let Ok(value) = in_time(&place, || cache.get("key")) {
        assert!(values.contains(&value.as_deref()), "{place}: {value:?}");
    }
    if let Ok(found) = in_time(&place, || cache.get_many(&["key", "none"])) {
        for (key, value) in found {
            assert_eq!((&*key, &value[..]), ("key", &b"value"[..]), "{place}");
        }
    }
    if let Ok(Some(entry)) = in_time(&place, || cache.get_entry("key")) {
        assert_eq!(&entry.value[..], b"value", "{place}");
    }
    // Whether these were done nobody can say; but they come to an end.
    let _ = in_time(&place, || cache.set("other", "1", SetOptions::new()));
    let _ = in_time(&place, || cache.exists("key"));
    let _ = in_time(&place, || cache.touch("key", Ttl::Never));
    let _ = in_time(&place, || cache.ttl("key"));
    let _ = in_time(&place, || cache.delete("other"));
    let _ = in_time(&place, || cache.increment("count", 1, Ttl::Default));
    let _ = in_time(&place, || cache.delete_many(&["a", "b"]));
    let _ = in_time(&place, || {
        cache.set_many(vec![("a".to_owned(), "1".into())], SetOptions::new())
    });
}

#[test]
fn under_every_fault_all_operations_end_in_time_and_none_tells_a_lie() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let cache = open(at(proxy.address()));
    for fault in [
        Fault::Delay(Duration::from_millis(20)),
        Fault::Delay(Duration::from_secs(2)),
        Fault::Cut,
        Fault::Swallow,
        Fault::Scramble,
        Fault::Drip(Duration::from_millis(50)),
    ] {
        cache.set("key", "value", SetOptions::new()).unwrap();
        proxy.set(fault);
        for _ in 0..2 {
            ask_everything(&cache, fault);
        }
        proxy.set(Fault::None);
        let value = in_time("the first get after it", || cache.get("key")).unwrap();
        assert_eq!(value.as_deref(), Some(&b"value"[..]), "after {fault:?}");
    }
}

#[test]
fn new_connections_that_nobody_answers_end_in_time_too() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    proxy.set(Fault::Swallow);
    let cache = open(at(proxy.address()));
    ask_everything(&cache, Fault::Swallow);
    proxy.set(Fault::None);
    assert_eq!(in_time("get", || cache.get("key")).unwrap(), None);
}

#[test]
fn a_read_whose_connection_is_cut_is_asked_again_and_a_count_is_not() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let cache = open(at(proxy.address()).timeout(Duration::from_secs(20)));
    cache.set("key", "value", SetOptions::new()).unwrap();
    for is_read in [true, false] {
        let turns = proxy.turns();
        proxy.set(Fault::Swallow);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                if is_read {
                    cache.get("key").map(|value| value.is_some())
                } else {
                    cache.increment("n", 1, Ttl::Default).map(|_| true)
                }
            });
            while proxy.turns() == turns {
                std::thread::yield_now();
            }
            proxy.set(Fault::Cut);
            proxy.set(Fault::None);
            let answer = asking.join().unwrap();
            if is_read {
                assert!(answer.unwrap(), "the value is there");
            } else {
                let error = answer.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert_eq!(error.retry(), Retry::MaybeApplied);
            }
        });
    }
}

#[test]
fn a_batch_takes_one_round_trip() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let cache = open(at(proxy.address()).timeout(Duration::from_secs(20)));
    assert!(!cache.exists("connected").unwrap());
    let keys: Vec<String> = (0..200).map(|n| format!("key:{n}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let trips = |work: &dyn Fn()| {
        let before = proxy.turns();
        work();
        proxy.turns() - before
    };
    let items = || keys.iter().map(|key| (key.clone(), "value".into()));
    let set = trips(&|| {
        let report = cache
            .set_many(items().collect(), SetOptions::new())
            .unwrap();
        assert_eq!(report.stored(), 200);
    });
    let get = trips(&|| assert_eq!(cache.get_many(&names).unwrap().len(), 200));
    let entry = trips(&|| assert!(cache.get_entry("key:7").unwrap().is_some()));
    let count = trips(&|| {
        let ttl = Ttl::After(Duration::from_secs(60));
        assert_eq!(cache.increment("n", 1, ttl).unwrap(), 1);
    });
    let delete = trips(&|| assert_eq!(cache.delete_many(&names).unwrap(), 200));
    assert_eq!((set, get, entry, count, delete), (1, 1, 1, 1, 1));
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn thousands_of_callers_share_a_few_connections() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let builder = at(proxy.address()).timeout(Duration::from_secs(20));
    let backend = SharedBackend::new(builder.max_connections(3).build().unwrap());
    proxy.set(Fault::Delay(Duration::from_millis(5)));
    runtime().block_on(async {
        use larder_core::CacheBackend;

        let tasks: Vec<_> = (0..2_000)
            .map(|n| {
                let cache = backend.clone();
                tokio::spawn(async move {
                    let key = format!("key:{n}");
                    cache
                        .set(&key, key.clone().into(), SetOptions::new())
                        .await?;
                    cache.get(&key).await
                })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            let value = task.await.unwrap().unwrap().unwrap();
            assert_eq!(value, format!("key:{n}"));
        }
    });
    assert_eq!(proxy.connections(), 3);
}
