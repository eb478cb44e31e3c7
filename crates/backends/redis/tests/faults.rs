//! A server that is killed, paused or cut off: what callers see, and how soon it is over.

mod client;

use std::time::Duration;

use client::{open, runtime};
use larder_core::{SetOptions, SharedBackend, Ttl};
use larder_redis::{RedisBackend, RedisBuilder};
use larder_testkit::servers::{Fault, FaultProxy, Server, Trial};

const BUDGET: Duration = Duration::from_millis(300);

fn at(address: std::net::SocketAddr) -> RedisBuilder {
    RedisBackend::single(format!("redis://{address}")).timeout(BUDGET)
}

#[test]
fn a_server_is_killed_restarted_and_paused() {
    let server = Server::redis();
    let cache = open(at(server.address()));
    let trial = Trial::of(&cache, BUDGET);
    trial.bears_a_restart_unseen(&server);
    trial.bears_kills(&server);
    trial.bears_a_pause(&server);
}

#[test]
fn connections_fail_in_every_way() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let cache = open(at(proxy.address()));
    Trial::of(&cache, BUDGET).bears_faults(&proxy);
}

#[test]
fn new_connections_that_nobody_answers_end_in_time_too() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    proxy.set(Fault::Swallow);
    let cache = open(at(proxy.address()));
    Trial::of(&cache, BUDGET).ask_everything(Fault::Swallow);
    proxy.set(Fault::None);
    assert_eq!(cache.get("key").unwrap(), None);
}

#[test]
fn only_reads_are_asked_again() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let patience = Duration::from_secs(20);
    let cache = open(at(proxy.address()).timeout(patience));
    Trial::of(&cache, patience).repeats_only_reads(&proxy);
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
