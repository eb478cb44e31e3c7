//! Servers that are killed, paused or cut off: what callers see, and how soon it is over.

mod client;

use std::net::SocketAddr;
use std::time::Duration;

use client::open;
use larder_core::{ErrorKind, SetOptions, Ttl};
use larder_memcached::{MemcachedBackend, MemcachedBuilder};
use larder_testkit::servers::{Fault, FaultProxy, Server, Trial};

const BUDGET: Duration = Duration::from_millis(300);

fn at(addresses: &[SocketAddr]) -> MemcachedBuilder {
    MemcachedBackend::at(addresses.iter().map(SocketAddr::to_string)).timeout(BUDGET)
}

#[test]
fn a_server_is_killed_restarted_and_paused() {
    let server = Server::memcached();
    let cache = open(at(&[server.address()]));
    let trial = Trial::of(&cache, BUDGET);
    trial.bears_a_restart_unseen(&server);
    trial.bears_kills(&server);
    trial.bears_a_pause(&server);
}

#[test]
fn connections_fail_in_every_way() {
    let server = Server::memcached();
    let proxy = FaultProxy::before(server.address());
    let cache = open(at(&[proxy.address()]));
    Trial::of(&cache, BUDGET).bears_faults(&proxy);
}

#[test]
fn new_connections_that_nobody_answers_end_in_time_too() {
    let server = Server::memcached();
    let proxy = FaultProxy::before(server.address());
    proxy.set(Fault::Swallow);
    let cache = open(at(&[proxy.address()]));
    Trial::of(&cache, BUDGET).ask_everything(Fault::Swallow);
    proxy.set(Fault::None);
    assert_eq!(cache.get("key").unwrap(), None);
}

#[test]
fn only_reads_are_asked_again() {
    let server = Server::memcached();
    let proxy = FaultProxy::before(server.address());
    let patience = Duration::from_secs(20);
    let cache = open(at(&[proxy.address()]).timeout(patience));
    Trial::of(&cache, patience).repeats_only_reads(&proxy);
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
    let trial = Trial::of(&cache, BUDGET);
    let (mut alive, mut lost) = (Vec::new(), Vec::new());
    for key in &names {
        match trial.in_time("get", || cache.get(key)) {
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
    let found = trial
        .in_time("get_many", || cache.get_many(&names))
        .unwrap();
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
    let error = cache.get_many(&lost).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
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
