//! Servers that are killed, paused or cut off: what callers see, and how soon it is over.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod client;

use std::net::SocketAddr;
use std::time::Duration;

use client::open;
use larder_core::{Blocking, Clock, ErrorKind, Result, Retry, SetOptions, SystemClock, Ttl};
use larder_memcached::{MemcachedBackend, MemcachedBuilder};
use larder_testkit::servers::{Fault, FaultProxy, Server};

const BUDGET: Duration = Duration::from_millis(300);
/// How much longer an operation may take.
const GRACE: Duration = Duration::from_millis(100);

fn at(addresses: &[SocketAddr]) -> MemcachedBuilder {
    MemcachedBackend::at(addresses.iter().map(SocketAddr::to_string)).timeout(BUDGET)
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
    let server = Server::memcached();
    let cache = open(at(&[server.address()]));
    for _ in 0..3 {
        cache.set("key", "value", SetOptions::new()).unwrap();
        server.kill();
        assert_eq!(
            kind_of(in_time("get", || cache.get("key"))),
            ErrorKind::Unavailable
        );
        let set = in_time("set", || cache.set("key", "new", SetOptions::new()));
        assert_eq!(kind_of(set), ErrorKind::Unavailable);
        server.start();
        // The very first operation works again.
        assert_eq!(cache.get("key").unwrap(), None, "it was in memory only");
    }
}

#[test]
fn a_server_that_restarts_while_nobody_asks_is_not_noticed() {
    let server = Server::memcached();
    let cache = open(at(&[server.address()]));
    assert_eq!(cache.increment("n", 1, Ttl::Default).unwrap(), 1);
    server.kill();
    server.start();
    assert_eq!(cache.increment("n", 1, Ttl::Default).unwrap(), 1);
}

#[test]
fn a_paused_server_costs_no_more_than_the_budget() {
    let server = Server::memcached();
    let cache = open(at(&[server.address()]));
    cache.set("key", "value", SetOptions::new()).unwrap();
    server.pause();
    for _ in 0..3 {
        assert_eq!(
            kind_of(in_time("get", || cache.get("key"))),
            ErrorKind::Timeout
        );
    }
    let touched = in_time("touch", || cache.touch("key", Ttl::Never));
    assert_eq!(kind_of(touched), ErrorKind::Timeout);
    server.resume();
    assert_eq!(cache.get("key").unwrap().as_deref(), Some(&b"value"[..]));
}

/// Everything that a cache is asked, under a fault: an error or the truth, in time.
fn ask_everything(cache: &Blocking, fault: Fault) {
    let place = format!("{fault:?}");
    if let Ok(value) = in_time(&place, || cache.get("key")) {
        let is_true = value.as_deref().is_none_or(|value| value == b"value");
        assert!(is_true, "{place}: {value:?}");
    }
    if let Ok(found) = in_time(&place, || cache.get_many(&["key", "none"])) {
        for (key, value) in found {
            assert_eq!((&*key, &value[..]), ("key", &b"value"[..]), "{place}");
        }
    }
    // Whether these were done nobody can say; but they come to an end.
    let _ = in_time(&place, || cache.set("other", "1", SetOptions::new()));
    let _ = in_time(&place, || cache.exists("key"));
    let _ = in_time(&place, || cache.touch("key", Ttl::Never));
    let _ = in_time(&place, || cache.ttl("key"));
    let _ = in_time(&place, || cache.delete("other"));
    let _ = in_time(&place, || cache.increment("count", 1, Ttl::Default));
    let _ = in_time(&place, || cache.decrement("count", 1, Ttl::Default));
    let _ = in_time(&place, || cache.delete_many(&["a", "b"]));
}

#[test]
fn under_every_fault_all_operations_end_in_time_and_none_tells_a_lie() {
    let server = Server::memcached();
    let proxy = FaultProxy::before(server.address());
    let cache = open(at(&[proxy.address()]));
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
fn what_changes_something_and_got_lost_is_not_sent_again() {
    let server = Server::memcached();
    let proxy = FaultProxy::before(server.address());
    let cache = open(at(&[proxy.address()]).timeout(Duration::from_secs(20)));
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
                assert_eq!(answer.unwrap_err().retry(), Retry::MaybeApplied);
            }
        });
    }
}

// covers: M10
#[test]
fn a_dead_server_harms_only_its_own_keys() {
    let servers = [
        Server::memcached(),
        Server::memcached(),
        Server::memcached(),
    ];
    let cache = open(at(&[0, 1, 2].map(|n: usize| servers[n].address())));
    let keys: Vec<String> = (0..60).map(|n| format!("key:{n}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    for key in &names {
        cache.set(key, "value", SetOptions::new()).unwrap();
    }
    servers[1].kill();
    let (mut alive, mut lost) = (Vec::new(), Vec::new());
    for key in &names {
        match in_time("get", || cache.get(key)) {
            Ok(value) => {
                assert_eq!(value.as_deref(), Some(&b"value"[..]));
                alive.push(*key);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                lost.push(*key);
            }
        }
    }
    assert!(
        lost.len() > 5 && alive.len() > 20,
        "{} of 60 lost",
        lost.len()
    );
    let found = in_time("get_many", || cache.get_many(&names)).unwrap();
    let found: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(found, alive, "the others are served");
    let items = names.iter().map(|key| ((*key).to_owned(), "new".into()));
    let report = cache.set_many(items.collect(), SetOptions::new()).unwrap();
    assert_eq!(
        (report.stored(), report.failed().len()),
        (alive.len() as u64, lost.len())
    );
    assert!(
        cache.delete_many(&names).is_err(),
        "a delete that was not done is said"
    );
    assert_eq!(kind_of(cache.get_many(&lost)), ErrorKind::Unavailable);
    servers[1].start();
    assert_eq!(cache.get(lost[0]).unwrap(), None);
}

// covers: F4
#[test]
fn a_batch_takes_one_round_trip_to_each_server() {
    let servers = [Server::memcached(), Server::memcached()];
    let proxies = [0, 1].map(|n: usize| FaultProxy::before(servers[n].address()));
    let builder = at(&[0, 1].map(|n: usize| proxies[n].address()));
    let cache = open(builder.timeout(Duration::from_secs(20)));
    let keys: Vec<String> = (0..200).map(|n| format!("key:{n}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let trips = |work: &dyn Fn()| {
        let before = [0, 1].map(|n: usize| proxies[n].turns());
        work();
        [0, 1].map(|n: usize| proxies[n].turns() - before[n])
    };
    let items = || keys.iter().map(|key| (key.clone(), "value".into()));
    let set = trips(&|| {
        let report = cache
            .set_many(items().collect(), SetOptions::new())
            .unwrap();
        assert_eq!(report.stored(), 200);
    });
    let get = trips(&|| assert_eq!(cache.get_many(&names).unwrap().len(), 200));
    let delete = trips(&|| assert_eq!(cache.delete_many(&names).unwrap(), 200));
    assert_eq!([set, get, delete], [[1, 1], [1, 1], [1, 1]]);
    let count = trips(&|| assert_eq!(cache.increment("n", 1, Ttl::Default).unwrap(), 1));
    assert_eq!(count.iter().sum::<u64>(), 1);
}

#[test]
fn many_callers_wait_for_a_few_connections() {
    let server = Server::memcached();
    let proxy = FaultProxy::before(server.address());
    let builder = at(&[proxy.address()]).timeout(Duration::from_secs(20));
    let cache = open(builder.max_connections(3));
    proxy.set(Fault::Delay(Duration::from_millis(2)));
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..5 {
                    let key = format!("key:{thread}:{n}");
                    cache.set(&key, key.clone(), SetOptions::new()).unwrap();
                    assert_eq!(cache.get(&key).unwrap().unwrap(), key);
                }
            });
        }
    });
    assert_eq!(proxy.connections(), 3);
}
