//! What is no longer fresh is served at once, or if nothing better can be had.

mod scene;

use std::time::Duration;

use larder_core::{ManualClock, Ttl};
use larder_manager::{CacheManager, Load, LoadOptions};
use scene::source::{Source, fails, memory};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Loads, and asks again after so long.
async fn loaded_then(ttl: Duration, options: LoadOptions) -> (CacheManager, ManualClock, Source) {
    let ((cache, clock), source) = (memory(), Source::new());
    let first = cache.get_or_load("key", options, source.loader()).await;
    assert_eq!(first.expect("it loads"), 1);
    clock.advance(ttl);
    (cache, clock, source)
}

#[tokio::test]
async fn what_is_stale_is_served_at_once_and_loaded_in_the_background() {
    let options = LoadOptions::from(MINUTE).with_stale_for(MINUTE);
    let (cache, clock, source) = loaded_then(MINUTE, options.clone()).await;
    assert_eq!(
        cache.get::<u32>("key").await.unwrap(),
        None,
        "not for who wants it fresh"
    );
    assert!(!cache.exists("key").await.unwrap());
    assert_eq!(cache.ttl("key").await.unwrap(), None);
    assert_eq!(cache.get_many::<u32>(&["key"]).await.unwrap(), []);
    let slow = Source::slow();
    for _ in 0..3 {
        let value = cache
            .get_or_load("key", options.clone(), slow.loader())
            .await;
        assert_eq!(value.unwrap(), 1, "stale");
    }
    slow.has_begun().await;
    slow.answer();
    while cache.stats().await.unwrap().loads.refreshed == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(slow.loads(), 1, "one refreshes");
    assert!(cache.exists("key").await.unwrap());
    assert_eq!(cache.stats().await.unwrap().loads.stale_served, 3);
    // After its time nothing is served any more.
    clock.advance(2 * MINUTE);
    let value = cache.get_or_load("key", options, source.loader()).await;
    assert_eq!(value.unwrap(), 2);
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_what_there_is_and_is_not_repeated_at_once() {
    let options = LoadOptions::from(MINUTE).with_stale_for(MINUTE);
    let (cache, clock, _) = loaded_then(MINUTE, options.clone()).await;
    let failed = || async { cache.stats().await.unwrap().loads.failed };
    for round in 1..=3 {
        for _ in 0..5 {
            let value = cache.get_or_load("key", options.clone(), fails).await;
            assert_eq!(value.unwrap(), 1);
            while failed().await < round {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(failed().await, round);
        clock.advance(SECOND);
    }
}

#[tokio::test]
async fn a_loader_that_borrows_is_waited_for_and_stale_stands_in_if_it_fails() {
    let options = LoadOptions::from(MINUTE).with_stale_for(MINUTE);
    let (cache, _, source) = loaded_then(MINUTE, options.clone()).await;
    let borrowed = String::from("borrowed");
    let load = |_: Load| async { Err::<u32, _>(borrowed.as_str().to_owned()) };
    let value = cache.get_or_load_here("key", options.clone(), load).await;
    assert_eq!(value.unwrap(), 1, "stale");
    let value = cache
        .get_or_load_here("key", options, source.loader())
        .await;
    assert_eq!(value.unwrap(), 2, "loaded");
    assert_eq!(cache.stats().await.unwrap().loads.refreshed, 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_something_stale_does_not_wait_for_long() {
    let options = LoadOptions::from(MINUTE).with_stale_for(MINUTE);
    let options = options.with_soft_timeout(Duration::from_millis(100));
    let (cache, _, source) = loaded_then(MINUTE, options.clone()).await;
    let value = cache
        .get_or_load("key", options.clone(), source.loader())
        .await;
    assert_eq!(value.unwrap(), 2, "fast enough");
    let (cache, _, _) = loaded_then(MINUTE, options.clone()).await;
    let slow = Source::slow();
    let value = cache
        .get_or_load("key", options.clone(), slow.loader())
        .await;
    assert_eq!(value.unwrap(), 1, "stale");
    slow.answer();
    while !cache.exists("key").await.unwrap() {
        tokio::task::yield_now().await;
    }
    let (cache, _, _) = loaded_then(MINUTE, options.clone()).await;
    let slow = Source::slow();
    let value = cache.get_or_load_here("key", options, slow.loader()).await;
    assert_eq!(value.unwrap(), 1, "and one who borrows has given up");
}

#[tokio::test]
async fn a_value_is_loaded_again_before_it_ends() {
    let options = LoadOptions::from(MINUTE).with_refresh_after(0.8);
    let (cache, clock, source) = loaded_then(47 * SECOND, options.clone()).await;
    let get = || cache.get_or_load("key", options.clone(), source.loader());
    assert_eq!(get().await.unwrap(), 1);
    assert_eq!(source.loads(), 1, "not yet");
    clock.advance(SECOND);
    assert_eq!(get().await.unwrap(), 1, "nobody waits");
    while cache.stats().await.unwrap().loads.refreshed == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(get().await.unwrap(), 2);
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn a_refresh_by_hand_loads_what_is_there() {
    let (cache, _) = memory();
    let source = Source::new();
    cache.set("key", &77, Ttl::Default).await.unwrap();
    assert_eq!(
        cache.refresh("key", MINUTE, source.loader()).await.unwrap(),
        1
    );
    assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(1));
}
