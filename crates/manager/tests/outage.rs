//! The farthest tier goes away and comes back: what it missed it is told, and until then
//! nothing old is read.

mod scene;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_core::{Condition, ManualClock, SetOptions, TagMatch};
use larder_manager::CacheManager;
use scene::Far;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Two programs, each with a line of its own to what they share.
struct Scene {
    here: CacheManager,
    there: CacheManager,
    line: Far,
    clock: ManualClock,
}

fn scene() -> Scene {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let program = |far: &Far| {
        let cache = CacheManager::builder().memory().tier(far.clone());
        let cache = cache.clock(Arc::new(clock.clone())).build();
        cache.expect("legal settings")
    };
    let line = far.line();
    Scene {
        here: program(&line),
        there: program(&far),
        line,
        clock,
    }
}

impl Scene {
    /// Waits until what was missed is made good for.
    async fn back(&self) {
        self.line.cut(false);
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while self.missed().await > 0 {
            ticks.tick().await;
            // So that a tier that was left alone is asked again.
            self.clock.advance(Duration::from_millis(50));
        }
        // Copies that are elsewhere have ended.
        self.clock.advance(SECOND);
    }

    async fn missed(&self) -> usize {
        self.here.stats().await.expect("it does not fail").missed
    }
}

// covers: P6, D13, D15, P7
#[tokio::test(start_paused = true)]
async fn what_is_stored_meanwhile_is_served_here_and_everywhere_afterwards() {
    let scene = scene();
    scene.here.set("key", &1, MINUTE).await.unwrap();
    scene.line.cut(true);
    assert!(scene.here.set("key", &2, MINUTE).await.unwrap());
    let report = scene
        .here
        .set_many([("a", 1), ("b", 2)], MINUTE)
        .await
        .unwrap();
    assert_eq!(report.stored(), 2);
    scene.clock.advance(10 * SECOND);
    assert_eq!(
        scene.here.get("key").await.unwrap(),
        Some(2),
        "longer than copies live"
    );
    assert_eq!(
        scene.here.get_many::<u32>(&["a", "b"]).await.unwrap().len(),
        2
    );
    assert_eq!(
        scene.there.get("key").await.unwrap(),
        Some(1),
        "it cannot know"
    );
    assert_eq!(scene.missed().await, 3);
    scene.back().await;
    assert_eq!(scene.there.get("key").await.unwrap(), Some(2));
    assert_eq!(scene.there.get("b").await.unwrap(), Some(2));
    let rest = scene
        .there
        .ttl("key")
        .await
        .unwrap()
        .and_then(larder_core::TtlState::remaining);
    assert!(
        rest < Some(49 * SECOND),
        "its lifetime began when it was stored: {rest:?}"
    );
}

// covers: P7, P10, D16
#[tokio::test(start_paused = true)]
async fn what_is_removed_meanwhile_is_not_read_again() {
    for way in 0..5 {
        let scene = scene();
        let tagged = SetOptions::from(MINUTE).with_tags(["a", "b"]);
        scene.there.set("key", &1, tagged).await.unwrap();
        scene.there.set("other", &1, MINUTE).await.unwrap();
        scene.line.cut(true);
        match way {
            0 => assert!(
                !scene.here.delete("key").await.unwrap(),
                "not everywhere yet"
            ),
            1 => assert_eq!(scene.here.delete_many(&["key", "none"]).await.unwrap(), 0),
            2 => assert_eq!(scene.here.delete_pattern("k*").await.unwrap(), 0),
            3 => assert_eq!(scene.here.clear().await.unwrap(), 0),
            _ => {
                let gone = scene.here.invalidate_tags(&["a", "b"], TagMatch::All).await;
                assert!(gone.is_err(), "it will be done later");
            }
        }
        assert!(scene.missed().await > 0);
        // It is back, but has not been told: its old value is not read.
        scene.line.cut(false);
        assert_eq!(
            scene.here.get::<u32>("key").await.unwrap(),
            None,
            "way {way}"
        );
        assert_eq!(
            scene.here.get_many::<u32>(&["key"]).await.unwrap(),
            [],
            "way {way}"
        );
        assert!(!scene.here.exists("key").await.unwrap(), "way {way}");
        scene.back().await;
        for cache in [&scene.here, &scene.there] {
            assert_eq!(cache.get::<u32>("key").await.unwrap(), None, "way {way}");
            let other = cache.get::<u32>("other").await.unwrap();
            assert_eq!(other.is_none(), way == 3, "way {way}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_did_later_wins() {
    let scene = scene();
    scene.here.set("before", &1, MINUTE).await.unwrap();
    scene.clock.advance(5 * SECOND);
    scene.line.cut(true);
    for key in ["stored", "removed", "swept", "mine"] {
        scene.here.set(key, &1, MINUTE).await.unwrap();
    }
    scene.clock.advance(5 * SECOND);
    scene.there.set("stored", &2, MINUTE).await.unwrap();
    scene.there.delete("removed").await.unwrap();
    scene.back().await;
    assert_eq!(
        scene.there.get::<u32>("stored").await.unwrap(),
        None,
        "nobody knows: load it"
    );
    assert_eq!(scene.there.get::<u32>("removed").await.unwrap(), None);
    assert_eq!(scene.there.get("mine").await.unwrap(), Some(1));
    scene.line.cut(true);
    scene.here.set("swept", &1, MINUTE).await.unwrap();
    scene.clock.advance(5 * SECOND);
    scene.there.delete_pattern("swept*").await.unwrap();
    scene.back().await;
    assert_eq!(scene.there.get::<u32>("swept").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_again_needs_no_replay() {
    let scene = scene();
    scene.line.cut(true);
    scene.here.set("key", &1, MINUTE).await.unwrap();
    assert_eq!(scene.missed().await, 1);
    scene.line.cut(false);
    scene.here.set("key", &2, MINUTE).await.unwrap();
    assert_eq!(scene.missed().await, 0);
    assert_eq!(scene.there.get("key").await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_ended_meanwhile_is_not_stored_again() {
    let scene = scene();
    scene.line.cut(true);
    scene.here.set("key", &1, 5 * SECOND).await.unwrap();
    scene.clock.advance(5 * SECOND);
    assert_eq!(scene.here.get::<u32>("key").await.unwrap(), None);
    scene.back().await;
    assert_eq!(scene.there.get::<u32>("key").await.unwrap(), None);
}

// covers: P6
#[tokio::test(start_paused = true)]
async fn a_tier_that_does_not_answer_costs_its_budget_and_then_nothing() {
    let scene = scene();
    scene.line.0.is_mute.store(true, Ordering::Relaxed);
    for attempt in 0..8 {
        let begun = tokio::time::Instant::now();
        let load = move |_| async move { Ok::<_, std::io::Error>(attempt) };
        let key = format!("key:{attempt}");
        let value = scene.here.get_or_load(&key, MINUTE, load).await;
        assert_eq!(value.unwrap(), attempt);
        let waited = begun.elapsed();
        // The look, the turn and the ticket each have a second; five in a row are enough.
        let most = [3, 2, 0, 0, 0, 0, 0, 0][attempt] * SECOND + SECOND / 10;
        assert!(waited <= most, "attempt {attempt}: {waited:?}");
    }
    let stats = scene.here.stats().await.unwrap();
    assert_eq!(stats.fallbacks[0].circuit, Some(larder_core::Circuit::Open));
    scene.clock.advance(SECOND);
    scene.line.0.is_mute.store(false, Ordering::Relaxed);
    assert_eq!(scene.here.get::<u32>("key:9").await.unwrap(), None);
    let stats = scene.here.stats().await.unwrap();
    assert_eq!(
        stats.fallbacks[0].circuit,
        Some(larder_core::Circuit::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn whether_a_condition_holds_nobody_else_can_tell() {
    let scene = scene();
    scene.line.cut(true);
    let absent = SetOptions::from(MINUTE).with_condition(Condition::IfAbsent);
    // Two programs would both have the lock.
    assert!(!scene.here.set("lock", &1, absent.clone()).await.unwrap());
    let report = scene.here.set_many([("lock", 1)], absent).await.unwrap();
    assert_eq!((report.stored(), report.failed().len()), (0, 1));
    assert_eq!(scene.here.get::<u32>("lock").await.unwrap(), None);
    assert_eq!(scene.missed().await, 0);
}
