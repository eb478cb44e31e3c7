//! Loading what is missing: once per key, never over a change, and rather stale than not.

mod scene;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use larder_core::{ErrorKind, ManualClock, SetOptions, TagMatch, TtlState};
use larder_manager::{CacheManager, Load, LoadOptions, OnError};
use scene::Far;
use scene::source::{Source, fails, memory};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// The same before something far.
fn tiered(far: &Far, clock: &ManualClock) -> CacheManager {
    let cache = CacheManager::builder().memory().tier(far.clone());
    let cache = cache.clock(Arc::new(clock.clone())).build();
    cache.expect("legal settings")
}

/// The caller goes on, the load as well.
fn begin(cache: &CacheManager, source: &Source) -> tokio::task::JoinHandle<u32> {
    let (cache, load) = (cache.clone(), source.loader());
    tokio::spawn(async move {
        let options = LoadOptions::from(MINUTE).with_tags(["tag"]);
        cache
            .get_or_load("key", options, load)
            .await
            .expect("it loads")
    })
}

// covers: R3, R22
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_callers_one_loads() {
    let (far, source) = (Far::new(&ManualClock::new()), Source::slow());
    let cache = tiered(&far, &ManualClock::new());
    let callers: Vec<_> = (0..1_000).map(|_| begin(&cache, &source)).collect();
    source.has_begun().await;
    source.answer();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 1);
    }
    assert_eq!(source.loads(), 1);
    assert!(far.0.memory.exists("key").unwrap(), "it is shared");
}

// covers: R21
#[tokio::test]
async fn a_failure_is_told_with_its_cause_and_not_kept() {
    let (cache, _) = memory();
    let error = cache
        .get_or_load::<u32, _, _, _>("key", MINUTE, fails)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Load);
    let cause = std::error::Error::source(&error).expect("the cause");
    assert_eq!(cause.to_string(), "the source is gone");
    let source = Source::new();
    assert_eq!(
        cache
            .get_or_load("key", MINUTE, source.loader())
            .await
            .unwrap(),
        1
    );
    let loads = cache.stats().await.unwrap().loads;
    assert_eq!((loads.succeeded, loads.failed), (1, 1));
    // Text is a cause as well.
    let text = |_: Load| async { Err::<u32, _>("no such user") };
    assert!(cache.get_or_load("other", MINUTE, text).await.is_err());
}

// covers: D24
#[tokio::test]
async fn what_began_before_a_change_is_not_stored_after_it() {
    let options = || SetOptions::from(MINUTE);
    for way in 0..7 {
        let (far, source) = (Far::new(&ManualClock::new()), Source::slow());
        let cache = tiered(&far, &ManualClock::new());
        let caller = begin(&cache, &source);
        source.has_begun().await;
        match way {
            0 => drop(cache.delete("key").await.unwrap()),
            1 => drop(cache.set("key", &77, options()).await.unwrap()),
            2 => drop(cache.delete_many(&["other", "key"]).await.unwrap()),
            3 => drop(cache.set_many([("key", 77)], options()).await.unwrap()),
            4 => drop(cache.delete_pattern("k*").await.unwrap()),
            5 => drop(cache.clear().await.unwrap()),
            _ => drop(
                cache
                    .invalidate_tags(&["tag"], TagMatch::Any)
                    .await
                    .unwrap(),
            ),
        }
        // Who comes now does not join a load that is old.
        let is_set = way == 1 || way == 3;
        let later = begin(&cache, &source);
        // A pattern or a tag does not tell whose load is old: there it is waited for.
        if !is_set && way != 4 && way != 6 {
            source.has_begun().await;
        }
        source.answer();
        assert_eq!(caller.await.unwrap(), 1, "it waited already");
        assert_eq!(
            later.await.unwrap(),
            if is_set { 77 } else { 2 },
            "way {way}"
        );
        let stored = cache.get::<u32>("key").await.unwrap();
        assert_eq!(stored, Some(if is_set { 77 } else { 2 }), "way {way}");
        assert_eq!(cache.stats().await.unwrap().loads.overtaken, 1, "way {way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loader_has_so_much_time_and_no_more() {
    let (cache, _) = memory();
    let options = LoadOptions::from(MINUTE).with_hard_timeout(SECOND);
    let never = |_: Load| std::future::pending::<std::io::Result<u32>>();
    let error = cache
        .get_or_load("key", options.clone(), never)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("longer than 1s"), "{error}");
    let error = cache.get_or_load_many(&["a"], options, |_| {
        std::future::pending::<std::io::Result<Vec<(String, u32)>>>()
    });
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn the_loader_decides_about_lifetime_and_tags() {
    let (cache, clock) = memory();
    let load = |load: Load| async move {
        load.ttl(SECOND);
        load.tag("users");
        Ok::<_, std::io::Error>(Some("Alice".to_owned()))
    };
    cache.get_or_load("user", MINUTE, load).await.unwrap();
    let entry = cache.get_entry("user").await.unwrap().unwrap();
    assert_eq!(entry.tags, ["users"]);
    assert_eq!(
        cache
            .invalidate_tags(&["users"], TagMatch::Any)
            .await
            .unwrap(),
        Some(1)
    );
    // That there is none, for as long as the caller likes.
    let none = |load: Load| async move {
        load.ttl(SECOND);
        Ok::<_, std::io::Error>(None::<String>)
    };
    assert_eq!(cache.get_or_load("none", MINUTE, none).await.unwrap(), None);
    assert_eq!(
        cache.get::<Option<String>>("none").await.unwrap(),
        Some(None)
    );
    clock.advance(SECOND);
    assert_eq!(cache.get::<Option<String>>("none").await.unwrap(), None);
    let once = |load: Load| async move {
        load.do_not_store();
        Ok::<_, std::io::Error>(1)
    };
    assert_eq!(cache.get_or_load("once", MINUTE, once).await.unwrap(), 1);
    assert!(!cache.exists("once").await.unwrap());
    let bad = |load: Load| async move {
        load.tag("");
        Ok::<_, std::io::Error>(1)
    };
    let error = cache.get_or_load("bad", MINUTE, bad).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKey);
}

#[tokio::test]
async fn lifetimes_are_spread() {
    let (cache, _) = memory();
    let options = LoadOptions::from(MINUTE).with_jitter(0.5);
    let mut rests = Vec::new();
    for n in 0..50 {
        let (key, source) = (n.to_string(), Source::new());
        cache
            .get_or_load(&key, options.clone(), source.loader())
            .await
            .unwrap();
        rests.extend(cache.ttl(&key).await.unwrap().and_then(TtlState::remaining));
    }
    assert!(
        rests
            .iter()
            .all(|rest| (MINUTE / 2..=MINUTE).contains(rest)),
        "{rests:?}"
    );
    rests.sort_unstable();
    assert!(rests[40] > rests[10] + 5 * SECOND, "{rests:?}");
}

// covers: D45, R18
#[tokio::test]
async fn a_loader_that_asks_for_its_own_key_loads_it() {
    let (cache, _) = memory();
    let (outer, source) = (cache.clone(), Source::new());
    let load = move |_: Load| async move {
        let inner = outer.get_or_load("key", MINUTE, source.loader()).await?;
        Ok::<u32, larder_core::Error>(inner + 10)
    };
    assert_eq!(cache.get_or_load("key", MINUTE, load).await.unwrap(), 11);
    assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(11));
}

// covers: R7, E18
#[tokio::test]
async fn no_tier_that_is_away_keeps_a_value_from_being_loaded() {
    let clock = ManualClock::new();
    let (far, source) = (Far::new(&clock), Source::new());
    let cache = tiered(&far, &clock);
    far.0.is_away.store(true, Ordering::Relaxed);
    for n in 1..=3 {
        // As long as copies live, one load is enough.
        for _ in 0..3 {
            let value = cache.get_or_load("key", MINUTE, source.loader()).await;
            assert_eq!(value.unwrap(), n);
        }
        clock.advance(SECOND);
        let keys = ["a", "b"];
        let found = cache
            .get_or_load_many(&keys, MINUTE, lengths)
            .await
            .unwrap();
        assert_eq!(found.len(), 2);
    }
}

async fn lengths(keys: Vec<String>) -> std::io::Result<Vec<(String, usize)>> {
    let known = keys.into_iter().filter(|key| !key.starts_with("none"));
    Ok(known.map(|key| (key.clone(), key.len())).collect())
}

#[tokio::test]
async fn of_many_only_what_is_missing_is_loaded() {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let (cache, other) = (tiered(&far, &clock), tiered(&far, &clock));
    cache.set("near", &1_usize, MINUTE).await.unwrap();
    other.set("far", &2_usize, MINUTE).await.unwrap();
    let asked = parking_lot::Mutex::new(Vec::new());
    let load = |keys: Vec<String>| {
        asked.lock().push(keys.clone());
        lengths(keys)
    };
    let keys = ["b", "far", "none", "near", "aaa", "b"];
    let found = cache.get_or_load_many(&keys, MINUTE, load).await.unwrap();
    let expected = [("b", 1), ("far", 2), ("near", 1), ("aaa", 3)];
    assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)));
    let mut first = asked.lock().pop().unwrap();
    first.sort_unstable();
    assert_eq!(first, ["aaa", "b", "none"]);
    assert!(asked.lock().is_empty(), "once");
    assert!(
        !cache.exists("none").await.unwrap(),
        "what does not exist is not stored"
    );
    assert_eq!(other.get::<usize>("aaa").await.unwrap(), Some(3));
    let error = |_| async { Err::<Vec<(String, usize)>, _>("the source is gone") };
    let error = cache
        .get_or_load_many(&["near", "c"], MINUTE, error)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Load);
    let found = cache.get_or_load_many(&[], MINUTE, lengths).await.unwrap();
    assert_eq!(found, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_and_single_loads_of_a_key_are_one() {
    for _ in 0..50 {
        let (cache, _) = memory();
        let counts: Arc<Vec<AtomicU32>> = Arc::new((0..20).map(|_| AtomicU32::new(0)).collect());
        let tasks = (0..8_usize).map(|task| {
            let (cache, counts) = (cache.clone(), Arc::clone(&counts));
            tokio::spawn(async move {
                if task % 4 == 3 {
                    let load = move |_: Load| async move {
                        counts[task].fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                        Ok::<_, std::io::Error>(task)
                    };
                    let key = task.to_string();
                    assert_eq!(cache.get_or_load(&key, MINUTE, load).await.unwrap(), task);
                    return;
                }
                let keys: Vec<String> = (0..20).map(|n| ((n + task) % 20).to_string()).collect();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                let load = |keys: Vec<String>| async {
                    tokio::task::yield_now().await;
                    let loaded = keys.into_iter().map(|key| {
                        let number: usize = key.parse().expect("a number");
                        counts[number].fetch_add(1, Ordering::Relaxed);
                        (key, number)
                    });
                    Ok::<_, std::io::Error>(loaded.collect::<Vec<_>>())
                };
                let found = cache.get_or_load_many(&keys, MINUTE, load).await.unwrap();
                assert_eq!(found.len(), 20);
                assert!(found.iter().all(|(key, number)| *key == number.to_string()));
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("nothing fails");
        }
        assert!(
            counts
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 1),
            "{counts:?}"
        );
    }
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_the_load_to_the_next() {
    let (cache, _) = memory();
    let slow = Source::slow();
    let caller = begin(&cache, &slow);
    slow.has_begun().await;
    let waiting = begin(&cache, &slow);
    tokio::task::yield_now().await;
    caller.abort();
    slow.has_begun().await;
    slow.answer();
    assert_eq!(waiting.await.unwrap(), 2);
    assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(2));
}

#[tokio::test]
async fn who_wants_to_hear_of_outages_gets_what_is_loaded_all_the_same() {
    let far = Far::new(&ManualClock::new());
    let cache = CacheManager::builder().tier(far.clone());
    let cache = cache.on_error(OnError::Propagate).build().unwrap();
    far.0.is_away.store(true, Ordering::Relaxed);
    assert!(cache.get::<u32>("key").await.is_err());
    let value = cache.get_or_load("key", MINUTE, Source::new().loader());
    assert_eq!(value.await.unwrap(), 1);
    let found = cache.get_or_load_many(&["a", "b"], MINUTE, lengths).await;
    assert_eq!(found.unwrap().len(), 2);
}
