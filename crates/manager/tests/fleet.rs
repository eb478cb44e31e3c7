//! Several programs that share the farthest tier: one loads, and nothing comes back.

mod scene;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::{ManualClock, SetOptions, TagMatch, TtlState};
use larder_manager::{CacheManager, Load, LoadOptions};
use scene::Far;
use tokio::sync::Semaphore;

const MINUTE: Duration = Duration::from_secs(60);

/// So many programs with memory of their own before something that they share.
fn programs(count: usize, far: &Far, clock: &ManualClock) -> Vec<CacheManager> {
    let program = |_| {
        let cache = CacheManager::builder().memory().tier(far.clone());
        let cache = cache.clock(Arc::new(clock.clone())).build();
        cache.expect("legal settings")
    };
    (0..count).map(program).collect()
}

fn shared() -> (Far, ManualClock) {
    let clock = ManualClock::new();
    (Far::new(&clock), clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_callers_in_all_programs_one_loads() {
    let (far, clock) = shared();
    let (loads, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let mut callers = Vec::new();
    for cache in programs(3, &far, &clock) {
        for _ in 0..200 {
            let (cache, loads, gate) = (cache.clone(), Arc::clone(&loads), Arc::clone(&gate));
            callers.push(tokio::spawn(async move {
                let load = move |_: Load| async move {
                    let number = loads.fetch_add(1, Ordering::Relaxed) + 1;
                    gate.acquire().await.expect("it is never closed").forget();
                    Ok::<_, std::io::Error>(number)
                };
                cache
                    .get_or_load("key", MINUTE, load)
                    .await
                    .expect("it loads")
            }));
        }
    }
    while loads.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(scene::MANY);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 1);
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

/// Loads in one program, and in the middle of it changes something in the other.
async fn while_loading<F: Future<Output = ()>>(
    here: &CacheManager,
    options: LoadOptions,
    change: impl FnOnce() -> F,
) -> u64 {
    let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (has_begun, may_end) = (Arc::clone(&begun), Arc::clone(&gate));
    let cache = here.clone();
    let loading = tokio::spawn(async move {
        let load = move |load: Load| async move {
            load.tag("found out");
            has_begun.add_permits(1);
            may_end
                .acquire()
                .await
                .expect("it is never closed")
                .forget();
            Ok::<_, std::io::Error>(1_u64)
        };
        cache
            .get_or_load("key", options, load)
            .await
            .expect("it loads")
    });
    begun.acquire().await.expect("it is never closed").forget();
    change().await;
    gate.add_permits(1);
    loading.await.expect("it does not panic")
}

// covers: P10, G8
#[tokio::test]
async fn what_another_program_removes_during_a_load_does_not_come_back() {
    for way in 0..6 {
        let (far, clock) = shared();
        let both = programs(2, &far, &clock);
        let (here, there) = (&both[0], &both[1]);
        let options = LoadOptions::from(MINUTE).with_tags(["declared"]);
        let loaded = while_loading(here, options, || async {
            match way {
                0 => drop(there.delete("key").await.unwrap()),
                1 => drop(there.delete_pattern("k*").await.unwrap()),
                2 => drop(there.clear().await.unwrap()),
                3 => drop(
                    there
                        .invalidate_tags(&["declared"], TagMatch::Any)
                        .await
                        .unwrap(),
                ),
                4 => drop(
                    there
                        .invalidate_tags(&["found out"], TagMatch::All)
                        .await
                        .unwrap(),
                ),
                _ => drop(there.set("key", &2_u64, MINUTE).await.unwrap()),
            }
        });
        assert_eq!(loaded.await, 1, "who waited gets it");
        let expected = (way == 5).then_some(2);
        for cache in &both {
            assert_eq!(
                cache.get::<u64>("key").await.unwrap(),
                expected,
                "way {way}"
            );
        }
        assert_eq!(here.stats().await.unwrap().loads.overtaken, 1);
    }
}

#[tokio::test]
async fn what_was_changed_elsewhere_does_not_stop_a_load() {
    let (far, clock) = shared();
    let both = programs(2, &far, &clock);
    let (here, there) = (&both[0], &both[1]);
    let options = LoadOptions::from(MINUTE).with_tags(["declared", "found out"]);
    let loaded = while_loading(here, options, || async {
        there.delete("other").await.unwrap();
        there.set("another", &2_u64, MINUTE).await.unwrap();
        there
            .invalidate_tags(&["unknown"], TagMatch::Any)
            .await
            .unwrap();
    });
    assert_eq!(loaded.await, 1);
    assert_eq!(there.get::<u64>("key").await.unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn if_the_one_who_loads_dies_another_takes_over() {
    let (far, clock) = shared();
    let both = programs(2, &far, &clock);
    let begun = Arc::new(Semaphore::new(0));
    let (dying, has_begun) = (both[0].clone(), Arc::clone(&begun));
    let waits = Arc::clone(&begun);
    // A runtime of its own ends all at once, like a program that is killed.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("it can be made");
        runtime.spawn(async move {
            let never = move |_: Load| async move {
                has_begun.add_permits(1);
                std::future::pending::<std::io::Result<u64>>().await
            };
            dying.get_or_load("key", MINUTE, never).await
        });
        let permit = runtime.block_on(waits.acquire());
        drop(permit.expect("it is never closed"));
        runtime.shutdown_background();
    });
    thread.join().expect("it does not panic");
    let load = |_: Load| async { Ok::<_, std::io::Error>(2_u64) };
    let waiting = both[1].get_or_load("key", MINUTE, load);
    let moving = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            clock.advance(Duration::from_millis(100));
        }
    };
    let before = tokio::time::Instant::now();
    let value = tokio::select! {
        value = waiting => value,
        () = moving => unreachable!("it never ends"),
    };
    assert_eq!(value.unwrap(), 2);
    let waited = before.elapsed();
    let lease = Duration::from_secs(2);
    assert!(
        waited > lease / 2 && waited < lease + Duration::from_millis(400),
        "{waited:?}"
    );
}

/// Lets others go on, so many times.
async fn steps(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn in_whatever_order_things_happen_nothing_is_stored_that_was_removed() {
    for race in 0..2_000_u64 {
        let (far, clock) = shared();
        // Without memory of their own, so that nothing may be late.
        let program = || {
            CacheManager::builder()
                .tier(far.clone())
                .clock(Arc::new(clock.clone()))
        };
        let [here, there] = [program(), program()].map(|one| one.build().unwrap());
        let source = Arc::new(AtomicU64::new(1));
        let (before, loads_for, way) = (race % 20, race / 20 % 10, race % 3);
        let loading = async {
            let source = Arc::clone(&source);
            let load = move |_: Load| async move {
                let version = source.load(Ordering::SeqCst);
                steps(loads_for).await;
                Ok::<_, std::io::Error>(version)
            };
            let options = LoadOptions::from(MINUTE).with_tags(["tag"]);
            here.get_or_load("key", options, load).await.unwrap()
        };
        let removing = async {
            steps(before).await;
            source.store(2, Ordering::SeqCst);
            match way {
                0 => drop(there.delete("key").await.unwrap()),
                1 => drop(there.delete_pattern("*").await.unwrap()),
                _ => drop(
                    there
                        .invalidate_tags(&["tag"], TagMatch::Any)
                        .await
                        .unwrap(),
                ),
            }
        };
        let (loaded, ()) = tokio::join!(loading, removing);
        let stored = there.get::<u64>("key").await.unwrap();
        let what = format!("race {race}: loaded {loaded}, way {way}");
        assert!(stored != Some(1), "{what}");
    }
}

#[tokio::test]
async fn what_was_stored_for_a_moment_gets_its_whole_lifetime() {
    let (far, clock) = shared();
    let both = programs(2, &far, &clock);
    let load = |_: Load| async { Ok::<_, std::io::Error>(1_u64) };
    both[0].get_or_load("key", MINUTE, load).await.unwrap();
    let rest = far
        .0
        .memory
        .ttl("key")
        .unwrap()
        .and_then(TtlState::remaining);
    assert_eq!(rest, Some(MINUTE));
    let options = SetOptions::from(MINUTE);
    both[0].set("put", &1, options).await.unwrap();
    assert_eq!(both[1].get::<u64>("put").await.unwrap(), Some(1));
}
