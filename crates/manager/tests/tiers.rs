//! What several tiers promise beyond what each does: copies, and never an old value.

mod scene;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{CacheBackend, ErrorKind, ManualClock, Pattern, SetOptions, Ttl, TtlState};
use larder_manager::Tiers;
use larder_memory::InMemoryBackend;
use scene::scene;

// covers: P5, D14
#[tokio::test]
async fn what_is_found_far_away_is_copied_with_the_rest_of_its_lifetime() {
    let scene = scene();
    let options = SetOptions::from(Duration::from_secs(30)).with_metadata([("n", 1.into())]);
    scene.far.0.memory.set("short", "value", options).unwrap();
    scene
        .far
        .0
        .memory
        .set("long", "value", Duration::from_secs(3_600))
        .unwrap();
    scene.clock.advance(Duration::from_secs(10));
    for key in ["short", "long"] {
        assert_eq!(scene.cache.get(key).await.unwrap().unwrap(), "value");
    }
    let near = scene.near.get_entry("short").unwrap().unwrap();
    assert_eq!(near.metadata["n"], 1);
    let rest = |key| scene.near.ttl(key).unwrap().and_then(TtlState::remaining);
    assert_eq!(rest("short"), Some(Duration::from_secs(20)));
    assert_eq!(
        rest("long"),
        Some(Duration::from_secs(60)),
        "no longer than the tier keeps"
    );
    let reads = scene.far.0.reads.load(Ordering::Relaxed);
    assert_eq!(scene.cache.get("long").await.unwrap().unwrap(), "value");
    assert_eq!(
        scene.far.0.reads.load(Ordering::Relaxed),
        reads,
        "nobody asked again"
    );
}

// covers: P10, P9
#[tokio::test]
async fn a_slow_read_does_not_bring_back_what_was_removed() {
    let all = Pattern::glob("k*").unwrap();
    for way in 0..4 {
        let scene = scene();
        scene
            .far
            .0
            .memory
            .set("key", "old", SetOptions::new())
            .unwrap();
        let found = match way {
            0 => scene.while_reading(scene.cache.delete("key")).await,
            1 => {
                scene
                    .while_reading(scene.cache.delete_many(&["key", "other"]))
                    .await
            }
            2 => scene.while_reading(scene.cache.delete_pattern(&all)).await,
            _ => scene.while_reading(scene.cache.clear()).await,
        };
        assert_eq!(found.unwrap(), "old", "it was there when it was asked for");
        assert_eq!(scene.near.get("key").unwrap(), None, "way {way}");
        assert_eq!(scene.cache.get("key").await.unwrap(), None, "way {way}");
    }
}

#[tokio::test]
async fn a_slow_read_does_not_undo_a_change() {
    let options = SetOptions::new;
    for way in 0..3 {
        let scene = scene();
        scene.far.0.memory.set("key", "1", options()).unwrap();
        match way {
            0 => {
                scene
                    .while_reading(scene.cache.set("key", "2".into(), options()))
                    .await
            }
            1 => {
                scene
                    .while_reading(scene.cache.increment("key", 1, Ttl::Never))
                    .await
            }
            _ => {
                let items = vec![("key".to_owned(), "2".into())];
                scene
                    .while_reading(scene.cache.set_many(items, options()))
                    .await
            }
        };
        assert_eq!(
            scene.cache.get("key").await.unwrap().unwrap(),
            "2",
            "way {way}"
        );
    }
}

#[tokio::test]
async fn a_change_that_is_given_up_leaves_no_copy() {
    let scene = scene();
    scene
        .cache
        .set("key", "old".into(), SetOptions::new())
        .await
        .unwrap();
    // It is dropped when the far tier has done it and not yet said so.
    let mut change = Box::pin(scene.cache.set("key", "new".into(), SetOptions::new()));
    while scene.far.0.memory.get("key").unwrap().unwrap() == "old" {
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(change.as_mut().poll(context)));
        assert!(polled.await.is_pending());
    }
    drop(change);
    assert_eq!(scene.far.0.memory.get("key").unwrap().unwrap(), "new");
    assert_eq!(scene.cache.get("key").await.unwrap().unwrap(), "new");
}

// covers: F6
#[tokio::test]
async fn many_keys_are_asked_for_once_and_only_where_they_are_missing() {
    let scene = scene();
    for key in ["a", "b", "c"] {
        scene.far.0.memory.set(key, key, SetOptions::new()).unwrap();
    }
    scene.cache.get("a").await.unwrap();
    let before = scene.far.0.reads.load(Ordering::Relaxed);
    let found = scene
        .cache
        .get_many(&["c", "none", "a", "b"])
        .await
        .unwrap();
    let expected = ["c", "a", "b"].map(|key| (key.to_owned(), Bytes::from(key)));
    assert_eq!(found, expected);
    assert_eq!(scene.far.0.reads.load(Ordering::Relaxed), before + 1);
    assert_eq!(scene.near.get("b").unwrap().unwrap(), "b", "it is near now");
    let stats = scene.cache.stats().await.unwrap();
    assert_eq!((stats.hits, stats.misses), (4, 1));
}

// covers: P6
#[tokio::test]
async fn while_the_far_tier_is_away_copies_are_served_and_nothing_is_promised() {
    let scene = scene();
    scene
        .cache
        .set("key", "value".into(), SetOptions::new())
        .await
        .unwrap();
    scene.far.0.is_away.store(true, Ordering::Relaxed);
    assert_eq!(scene.cache.get("key").await.unwrap().unwrap(), "value");
    assert_eq!(
        scene.cache.get_many(&["key", "other"]).await.unwrap().len(),
        1
    );
    assert!(scene.cache.get("other").await.is_err());
    let error = scene.cache.delete("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(scene.near.get("key").unwrap(), None, "it was removed");
    scene.far.0.is_away.store(false, Ordering::Relaxed);
    assert_eq!(
        scene.cache.get("key").await.unwrap(),
        None,
        "and it stays so"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_any_storm_copies_are_what_they_are_copies_of() {
    let scene = Arc::new(scene());
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let cache = scene.cache.clone();
            tokio::spawn(async move {
                for step in 0..2_000_u64 {
                    let key = format!("key:{}", (step * 7 + task) % 5);
                    match (step * 13 + task * 5) % 11 {
                        0..4 => drop(cache.get(&key).await.unwrap()),
                        4..7 => {
                            let value = Bytes::from(format!("{task}:{step}"));
                            assert!(cache.set(&key, value, SetOptions::new()).await.unwrap());
                        }
                        7 => drop(cache.get_many(&["key:0", "key:3"]).await.unwrap()),
                        8 => drop(cache.delete_many(&["key:1", "key:2"]).await.unwrap()),
                        9 => drop(cache.delete(&key).await.unwrap()),
                        _ if step % 50 == 0 => drop(cache.clear().await.unwrap()),
                        _ => drop(cache.exists(&key).await.unwrap()),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no operation fails");
    }
    for n in 0..5 {
        let key = format!("key:{n}");
        let (near, far) = (
            scene.near.get(&key).unwrap(),
            scene.far.0.memory.get(&key).unwrap(),
        );
        assert!(
            near.is_none() || near == far,
            "{key}: {near:?} is no copy of {far:?}"
        );
    }
}

#[test]
fn a_tier_that_does_not_tell_lifetimes_can_only_be_the_nearest() {
    let few = || larder_testkit::SixMethods::with_clock(ManualClock::new());
    let memory = InMemoryBackend::default;
    assert!(Tiers::builder().tier(few()).tier(memory()).build().is_ok());
    let error = Tiers::builder().tier(memory()).tier(few()).build();
    assert_eq!(
        error.expect_err("its copies would never end").field(),
        "tiers"
    );
}

#[test]
fn tiers_are_given_one_after_another() {
    let memory = InMemoryBackend::default;
    let inner = Tiers::builder()
        .tier(memory())
        .tier(memory())
        .build()
        .unwrap();
    let error = Tiers::builder().tier(memory()).tier(inner).build();
    let error = error.expect_err("each has keys of its own");
    assert!(error.to_string().contains("one after another"), "{error}");
}
