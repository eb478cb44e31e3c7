//! Programs over a real Redis: one loads, all hear of changes, and a server or a line that
//! goes away costs no more than the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::{Clock, SetOptions, SystemClock, TagMatch};
use larder_manager::{CacheManager, Load};
use larder_redis::RedisBackend;
use larder_sql::{PostgresBackplane, SqlBackend};
use larder_testkit::servers::{Fault, FaultProxy, Server};
use std::net::SocketAddr;

const MINUTE: Duration = Duration::from_secs(60);
/// Longer than anything should take that goes on in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program of its own, as far as Redis can tell.
fn program(address: SocketAddr) -> CacheManager {
    program_of("shop", address)
}

fn program_of(prefix: &str, address: SocketAddr) -> CacheManager {
    let redis = RedisBackend::single(format!("redis://{address}"));
    let redis = redis.timeout(Duration::from_secs(1)).build();
    let redis = redis.expect("a legal address");
    let cache = CacheManager::builder().prefix(prefix).memory();
    let cache = cache.tier(redis.clone()).backplane(redis).build();
    cache.expect("legal settings")
}

/// The same over PostgreSQL.
fn program_with(url: &str) -> CacheManager {
    let database = SqlBackend::at(url).timeout(Duration::from_secs(1)).build();
    let backplane = PostgresBackplane::new(url).expect("a legal address");
    let cache = CacheManager::builder().prefix("shop").memory();
    let cache = cache
        .tier(database.expect("a legal address"))
        .backplane(backplane);
    cache.build().expect("legal settings")
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let clock = SystemClock::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while !is_so().await {
        assert!(clock.elapsed() < PATIENCE, "still not so: {what}");
        ticks.tick().await;
    }
}

/// Waits until changes of one are heard by the other.
async fn until_they_listen(here: &CacheManager, there: &CacheManager) {
    let number = AtomicU64::new(0);
    until("they hear each other", async || {
        let key = format!("probe:{}", number.fetch_add(1, Ordering::Relaxed));
        let one = here.set(&key, &1, MINUTE).await.expect("it works");
        let seen = there.get::<u32>(&key).await.expect("it works");
        here.set(&key, &2, MINUTE).await.expect("it works");
        // Sooner than a copy would end by itself.
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..10 {
            ticks.tick().await;
            if there.get(&key).await.expect("it works") == Some(2) {
                return one && seen.is_some();
            }
        }
        false
    })
    .await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("threads can be started")
}

/// What one changes the other does not read for long, whatever it does.
async fn hears(here: &CacheManager, there: &CacheManager) {
    until_they_listen(here, there).await;
    for way in 0..5 {
        let options = SetOptions::from(MINUTE).with_tags(["a", "b"]);
        here.set("key", &1, options).await.expect("it works");
        let read = async || there.get("key").await.expect("it works") == Some(1);
        until("it is read", read).await;
        match way {
            0 => drop(here.delete("key").await.expect("it works")),
            1 => drop(here.delete_pattern("k*").await.expect("it works")),
            2 => drop(here.clear().await.expect("it works")),
            3 => drop(
                here.invalidate_tags(&["a"], TagMatch::Any)
                    .await
                    .expect("it works"),
            ),
            _ => drop(
                here.invalidate_tags(&["b", "a"], TagMatch::All)
                    .await
                    .expect("it works"),
            ),
        }
        let gone = async || there.get::<u32>("key").await.expect("it works").is_none();
        until("it is gone", gone).await;
    }
}

// covers: L11, G8
#[test]
fn what_one_changes_the_others_do_not_read_for_long() {
    let server = Server::redis();
    runtime().block_on(async {
        let [here, there] = [(); 2].map(|()| program(server.address()));
        hears(&here, &there).await;
    });
}

// covers: G8
#[test]
fn postgres_carries_news_too_and_again_after_it_was_away() {
    let server = Server::postgres();
    let line = FaultProxy::before(server.address());
    let url = server.sql_url();
    let through = url.replace(&server.address().to_string(), &line.address().to_string());
    assert_ne!(url, through, "the line is in between");
    runtime().block_on(async {
        let (here, there) = (program_with(&url), program_with(&through));
        hears(&here, &there).await;
        hears(&there, &here).await;
        here.set("key", &1, MINUTE).await.unwrap();
        until("it is read", async || {
            there.get("key").await.unwrap() == Some(1)
        })
        .await;
        line.set(Fault::Swallow);
        here.set("key", &2, MINUTE).await.unwrap();
        let old = async || there.get("key").await.unwrap() != Some(1);
        until("the copy is not believed any more", old).await;
        line.set(Fault::None);
        until("it is read again", async || {
            there.get("key").await.unwrap() == Some(2)
        })
        .await;
        hears(&here, &there).await;
        server.kill();
        server.start();
        hears(&there, &here).await;
    });
}

#[test]
fn of_ten_thousand_callers_in_three_programs_one_loads() {
    let server = Server::redis();
    runtime().block_on(async {
        let loads = Arc::new(AtomicU64::new(0));
        let mut callers = Vec::new();
        for cache in [(); 3].map(|()| program(server.address())) {
            for _ in 0..3_334 {
                let (cache, loads) = (cache.clone(), Arc::clone(&loads));
                callers.push(tokio::spawn(async move {
                    let load = move |_: Load| async move {
                        let number = loads.fetch_add(1, Ordering::Relaxed) + 1;
                        // As slow as a database.
                        let mut ticks = tokio::time::interval(Duration::from_millis(200));
                        ticks.tick().await;
                        ticks.tick().await;
                        Ok::<_, std::io::Error>(number)
                    };
                    cache
                        .get_or_load("cold", MINUTE, load)
                        .await
                        .expect("it loads")
                }));
            }
        }
        for caller in callers {
            assert_eq!(caller.await.expect("it does not panic"), 1);
        }
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    });
}

// covers: P6, P7, P10
#[test]
fn a_program_that_is_cut_off_goes_on_and_catches_up() {
    let server = Server::redis();
    for (fault, prefix) in [(Fault::Cut, "cut"), (Fault::Swallow, "swallow")] {
        let line = FaultProxy::before(server.address());
        runtime().block_on(async {
            let here = program_of(prefix, line.address());
            let there = program_of(prefix, server.address());
            until_they_listen(&here, &there).await;
            for key in ["removed here", "removed there", "kept"] {
                there.set(key, &1, MINUTE).await.unwrap();
                here.get::<u32>(key).await.unwrap();
            }
            line.set(fault);
            if fault == Fault::Cut {
                line.cut();
            }
            let clock = SystemClock::new();
            // It may still have come through.
            here.delete("removed here").await.unwrap();
            assert!(
                clock.elapsed() < Duration::from_secs(3),
                "{:?}",
                clock.elapsed()
            );
            assert!(here.set("stored here", &2, MINUTE).await.unwrap());
            assert!(there.delete("removed there").await.unwrap());
            // Who hears nothing finds out, and does not go on with old copies.
            let gone = async || here.get::<u32>("removed there").await.unwrap().is_none();
            until("the copy is not believed any more", gone).await;
            assert_eq!(here.get("stored here").await.unwrap(), Some(2));
            let load = |_: Load| async { Ok::<_, std::io::Error>(7) };
            assert_eq!(here.get_or_load("loaded", MINUTE, load).await.unwrap(), 7);
            line.set(Fault::None);
            until("it has caught up", async || {
                here.stats().await.unwrap().missed == 0
            })
            .await;
            // A removal that was on its way all the time may still have come after it.
            let stored = there.get::<u32>("stored here").await.unwrap();
            assert!(matches!(stored, Some(2) | None), "{stored:?}");
            let gone = async || there.get::<u32>("removed here").await.unwrap().is_none();
            until("it is removed everywhere", gone).await;
            until_they_listen(&there, &here).await;
            assert_eq!(here.get("kept").await.unwrap(), Some(1));
        });
    }
}

#[test]
fn a_server_that_dies_stops_nobody() {
    let server = Server::redis();
    runtime().block_on(async {
        let [here, there] = [(); 2].map(|()| program(server.address()));
        until_they_listen(&here, &there).await;
        here.set("before", &1, MINUTE).await.unwrap();
        server.kill();
        for number in 0..50_u32 {
            let clock = SystemClock::new();
            let load = move |_: Load| async move { Ok::<_, std::io::Error>(number) };
            let key = format!("key:{number}");
            let loaded = here.get_or_load(&key, MINUTE, load).await;
            assert_eq!(loaded.unwrap(), number);
            assert!(
                clock.elapsed() < Duration::from_secs(4),
                "{:?}",
                clock.elapsed()
            );
        }
        assert!(here.set("meanwhile", &1, MINUTE).await.unwrap());
        server.start();
        until("it has caught up", async || {
            here.stats().await.unwrap().missed == 0
        })
        .await;
        until("the other one reads it", async || {
            there.get("meanwhile").await.unwrap() == Some(1)
        })
        .await;
        until_they_listen(&here, &there).await;
    });
}
