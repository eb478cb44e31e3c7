//! Servers that are killed, paused or cut off: what callers see, and how soon it is over.

mod client;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::{Place, open, through};
use larder_core::{Blocking, ErrorKind, ManualClock, SetOptions};
use larder_sql::{SqlBackend, SqlBuilder};
use larder_testkit::servers::{Fault, FaultProxy, Server, Trial};

const BUDGET: Duration = Duration::from_millis(300);

fn at(server: &Server, address: SocketAddr) -> SqlBuilder {
    SqlBackend::at(through(&server.sql_url(), server.address(), address)).timeout(BUDGET)
}

/// A cache whose table is there, so that this is no part of what is measured.
fn prepared(builder: SqlBuilder) -> Blocking {
    let cache = open(builder);
    let made = (0..10).find_map(|_| cache.exists("key").ok());
    assert!(made.is_some(), "the table is made");
    cache
}

fn is_killed_restarted_and_paused(server: &Server) {
    let cache = prepared(at(server, server.address()));
    let trial = Trial::of(&cache, BUDGET);
    trial.bears_a_restart_unseen(server);
    trial.bears_kills(server);
    trial.bears_a_pause(server);
}

#[test]
fn postgres_is_killed_restarted_and_paused() {
    is_killed_restarted_and_paused(&Server::postgres());
}

#[test]
fn mariadb_is_killed_restarted_and_paused() {
    is_killed_restarted_and_paused(&Server::mariadb());
}

fn connections_fail_in_every_way(server: &Server) {
    let proxy = FaultProxy::before(server.address());
    let cache = prepared(at(server, proxy.address()));
    Trial::of(&cache, BUDGET).bears_faults(&proxy);
    proxy.set(Fault::Swallow);
    let cache = open(at(server, proxy.address()));
    Trial::of(&cache, BUDGET).ask_everything(Fault::Swallow);
    proxy.set(Fault::None);
    assert!(cache.get("key").is_ok());
}

#[test]
fn connections_to_postgres_fail_in_every_way() {
    connections_fail_in_every_way(&Server::postgres());
}

#[test]
fn connections_to_mariadb_fail_in_every_way() {
    connections_fail_in_every_way(&Server::mariadb());
}

#[test]
fn only_reads_are_asked_again() {
    for server in [Server::postgres(), Server::mariadb()] {
        let proxy = FaultProxy::before(server.address());
        let patience = Duration::from_secs(20);
        // No time passes: connections that rest are not asked for a sign of life.
        let clock = Arc::new(ManualClock::new());
        let cache = prepared(at(&server, proxy.address()).timeout(patience).clock(clock));
        Trial::of(&cache, patience).repeats_only_reads(&proxy);
    }
}

#[test]
fn many_callers_wait_for_a_few_connections() {
    let server = Server::postgres();
    let proxy = FaultProxy::before(server.address());
    let builder = at(&server, proxy.address()).timeout(Duration::from_secs(20));
    let cache = prepared(builder.max_connections(3));
    proxy.set(Fault::Delay(Duration::from_millis(2)));
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..5 {
                    let key = format!("key:{thread}:{n}");
                    let stored = cache.set(&key, key.clone(), SetOptions::new());
                    assert!(stored.expect("the server is there"));
                    let value = cache.get(&key).expect("the server is there");
                    assert_eq!(value.as_deref(), Some(key.as_bytes()));
                }
            });
        }
    });
    assert!(proxy.connections() <= 3);
}

#[test]
fn a_file_that_others_lock_costs_no_more_than_the_time_allowed() {
    let place = Place::file();
    let cache = prepared(place.builder().timeout(BUDGET));
    assert!(cache.set("key", "1", SetOptions::new()).is_ok());
    let file = place.path().expect("it is a file");
    let other = rusqlite::Connection::open(file).expect("it is there");
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody writes");
    let trial = Trial::of(&cache, BUDGET);
    for _ in 0..3 {
        let set = trial.in_time("set", || cache.set("key", "2", SetOptions::new()));
        assert_eq!(set.expect_err("it is locked").kind(), ErrorKind::Timeout);
        let value = trial.in_time("get", || cache.get("key"));
        assert_eq!(value.expect("reading goes on").as_deref(), Some(&b"1"[..]));
    }
    other.execute_batch("COMMIT").expect("it began");
    let set = trial.in_time("set", || cache.set("key", "3", SetOptions::new()));
    assert!(set.expect("nobody locks it"));
    let value = cache.get("key").expect("it can be read");
    assert_eq!(value.as_deref(), Some(&b"3"[..]));
}
