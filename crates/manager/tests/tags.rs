//! Tags over tiers that keep none: tokens in the farthest one.

mod scene;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_core::{
    CacheBackend, ErrorKind, ManualClock, Pattern, SetOptions, SharedBackend, TagMatch, Ttl,
};
use larder_manager::Tiers;
use scene::{Far, Scene, scene, scene_with};

fn tagged(tags: &[&str]) -> SetOptions {
    SetOptions::new().with_tags(tags.iter().copied())
}

async fn has(cache: &SharedBackend, key: &str) -> bool {
    cache.get(key).await.expect("it can be asked").is_some()
}

/// Two programs that share what is far.
fn two_programs() -> [Scene; 2] {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    [far.clone(), far].map(|far| scene_with(far, clock.clone()))
}

// covers: G8
#[tokio::test]
async fn what_one_program_invalidates_another_does_not_read_for_long() {
    let [here, there] = two_programs();
    let second = Duration::from_secs(1);
    for which in [TagMatch::Any, TagMatch::All] {
        here.cache
            .set("key", "1".into(), tagged(&["a", "b"]))
            .await
            .unwrap();
        // Not near, but its tags are known.
        assert!(has(&there.cache, "key").await);
        there.near.clear();
        assert_eq!(
            here.cache
                .invalidate_tags(&["a", "b"], which)
                .await
                .unwrap(),
            None
        );
        assert!(!has(&here.cache, "key").await, "at once where it was said");
        there.clock.advance(second);
        assert!(!has(&there.cache, "key").await, "{which:?}");
        // What it stores now is there for both.
        there
            .cache
            .set("key", "2".into(), tagged(&["b", "a"]))
            .await
            .unwrap();
        assert!(has(&here.cache, "key").await && has(&there.cache, "key").await);
    }
}

#[tokio::test]
async fn a_slow_read_does_not_bring_back_what_was_invalidated() {
    for which in [TagMatch::Any, TagMatch::All] {
        let [scene, other] = two_programs();
        other
            .cache
            .set("key", "old".into(), tagged(&["a", "b"]))
            .await
            .unwrap();
        // Its tokens are known, so that it is one read that is slow.
        assert!(has(&scene.cache, "key").await);
        scene.near.clear();
        let tags = ["a", "b"];
        let found = scene
            .while_reading(scene.cache.invalidate_tags(&tags, which))
            .await;
        assert_eq!(found, None, "its tags were compared later");
        assert_eq!(scene.near.get("key").unwrap(), None);
        assert!(!has(&scene.cache, "key").await);
    }
}

#[tokio::test]
async fn only_entries_with_tags_ask_for_tokens() {
    let scene = scene();
    scene
        .cache
        .set("plain", "1".into(), SetOptions::new())
        .await
        .unwrap();
    assert_eq!(
        scene.far.0.memory.get("plain").unwrap().unwrap(),
        "1",
        "as it is"
    );
    scene
        .cache
        .set("tagged", "1".into(), tagged(&["a"]))
        .await
        .unwrap();
    let reads = || scene.far.0.reads.swap(0, Ordering::Relaxed);
    reads();
    scene.near.clear();
    assert!(has(&scene.cache, "plain").await);
    assert_eq!(reads(), 1);
    // Its token is known from when it was stored.
    assert!(has(&scene.cache, "tagged").await);
    assert_eq!(reads(), 1);
    assert!(has(&scene.cache, "tagged").await && has(&scene.cache, "plain").await);
    assert_eq!(reads(), 0, "they are near");
}

#[tokio::test]
async fn tokens_are_no_entries() {
    let scene = scene();
    let cache = &scene.cache;
    for key in ["a", "~b", "\u{10ffff}"] {
        cache
            .set(key, key.into(), tagged(&["tag", "other"]))
            .await
            .unwrap();
    }
    cache
        .invalidate_tags(&["none"], TagMatch::Any)
        .await
        .unwrap();
    cache
        .invalidate_tags(&["none", "other"], TagMatch::All)
        .await
        .unwrap();
    let all = scene.far.0.memory.keys(None);
    // Three tokens, the number of the last record, a record, and a fence.
    assert_eq!(all.len(), 3 + 6, "{all:?}");
    let mut keys = cache.keys(None).await.unwrap();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "~b", "\u{10ffff}"]);
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = cache.scan(None, after.as_deref(), 1).await.unwrap();
        seen.extend(page.keys().to_vec());
        after = page.next().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, keys);
    for reserved in ["~larder:all", "~larder:tag:x"] {
        let error = cache
            .set(reserved, "1".into(), SetOptions::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        assert!(cache.delete(reserved).await.is_err());
        assert!(cache.increment(reserved, 1, Ttl::Never).await.is_err());
    }
    let glob = Pattern::glob("~*").unwrap();
    assert_eq!(cache.delete_pattern(&glob).await.unwrap(), 1);
    assert_eq!(scene.far.0.memory.keys(None).len(), 2 + 7, "one more fence");
    assert_eq!(cache.clear().await.unwrap(), 2);
    assert_eq!(scene.far.0.memory.keys(None).len(), 1, "a fence");
}

#[tokio::test]
async fn a_value_lives_no_longer_than_its_tokens() {
    let scene = scene();
    let day = Duration::from_secs(24 * 3_600);
    let options = tagged(&["a"]).with_ttl(Ttl::Never);
    scene.cache.set("key", "1".into(), options).await.unwrap();
    scene
        .cache
        .invalidate_tags(&["a"], TagMatch::Any)
        .await
        .unwrap();
    // The value is still stored; its token must not end before it.
    for _ in 0..40 {
        scene.clock.advance(day);
        assert!(!has(&scene.cache, "key").await);
    }
    let far = &scene.far.0.memory;
    far.sweep();
    assert_eq!(far.keys(None).len(), 0, "both have ended");
}

#[tokio::test]
async fn what_the_store_has_forgotten_brings_nothing_back() {
    for (which, lost) in [
        (TagMatch::Any, "~larder:tag:*"),
        (TagMatch::All, "~larder:all"),
        (TagMatch::All, "~larder:all:*"),
        (TagMatch::All, "~larder:*"),
    ] {
        let scene = scene();
        let tags = ["a", "b"];
        scene
            .cache
            .set("old", "1".into(), tagged(&tags))
            .await
            .unwrap();
        scene.cache.invalidate_tags(&tags, which).await.unwrap();
        // As a server does that makes room.
        let lost = Pattern::glob(lost).unwrap();
        assert!(scene.far.0.memory.delete_pattern(&lost) > 0);
        for _ in 0..3 {
            scene.near.clear();
            scene.clock.advance(Duration::from_secs(1));
            assert!(!has(&scene.cache, "old").await, "{which:?}, {lost:?}");
            scene
                .cache
                .set("new", "1".into(), tagged(&tags))
                .await
                .unwrap();
            assert!(has(&scene.cache, "new").await);
            scene
                .cache
                .invalidate_tags(&["x", "y"], TagMatch::All)
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn garbage_where_tokens_are_is_a_miss() {
    let scene = scene();
    scene
        .cache
        .set("key", "1".into(), tagged(&["a", "b"]))
        .await
        .unwrap();
    let far = &scene.far.0.memory;
    far.set("~larder:all", "garbage", SetOptions::new())
        .unwrap();
    scene.near.clear();
    scene.clock.advance(Duration::from_secs(1));
    assert!(!has(&scene.cache, "key").await, "nobody can tell");
    scene
        .cache
        .set("key", "1".into(), tagged(&["a", "b"]))
        .await
        .unwrap();
    assert!(has(&scene.cache, "key").await);
    far.set("key", &b"\xC1\x01"[..], SetOptions::new()).unwrap();
    scene.near.clear();
    assert!(!has(&scene.cache, "key").await, "torn");
    assert_eq!(scene.cache.stats().await.unwrap().unreadable, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_stored_before_an_invalidation_is_not_read_after_it() {
    let scene = Arc::new(scene());
    let tasks = (0..6_usize).map(|task| {
        let cache = scene.cache.clone();
        tokio::spawn(async move {
            let own = format!("task:{task}");
            for round in 0..500 {
                let shared = format!("shared:{}", round % 5);
                let options = tagged(&["all", &own]);
                cache
                    .set(&shared, "1".into(), options.clone())
                    .await
                    .unwrap();
                cache.set(&own, "1".into(), options).await.unwrap();
                cache.get(&shared).await.unwrap();
                let which = [TagMatch::Any, TagMatch::All][round % 2];
                let tags = &["all", &own][..=round / 2 % 2];
                cache.invalidate_tags(tags, which).await.unwrap();
                assert!(!has(&cache, &own).await, "task {task}, round {round}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("nothing old was read");
    }
}

#[test]
fn tiers_that_all_keep_tags_count() {
    let memory = larder_memory::InMemoryBackend::default;
    let tiers = Tiers::builder()
        .tier(memory())
        .tier(memory())
        .build()
        .unwrap();
    let cache = SharedBackend::new(tiers).blocking();
    cache.set("key", "1", tagged(&["a"])).unwrap();
    assert_eq!(
        cache.invalidate_tags(&["a"], TagMatch::Any).unwrap(),
        Some(1)
    );
    assert_eq!(cache.get("key").unwrap(), None);
}
