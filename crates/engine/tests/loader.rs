//! Promises of loading: one load per key, nobody lost, and a change wins.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod tasks;

use std::convert::Infallible;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use larder_engine::{Cache, Change, Computed};
use tasks::{Gate, Task, block_on};

type Numbers = Cache<String, u32>;

fn cache() -> Numbers {
    Cache::new(100)
}

/// A loader that must not run.
fn never() -> u32 {
    unreachable!("somebody else loads, or the value is there")
}

// covers: R22
#[test]
fn eight_threads_at_once_load_once() {
    let (cache, loads, start) = (cache(), AtomicU32::new(0), Barrier::new(8));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                let value = cache.get_or_insert_with("key", || loads.fetch_add(1, Relaxed) + 7);
                assert_eq!(value, 7);
            });
        }
    });
    assert_eq!(loads.load(Relaxed), 1);
    assert_eq!(cache.stats().sets, 1);
    cache.validate();
}

#[test]
fn threads_and_tasks_wait_for_the_same_load() {
    let (cache, gate) = (cache(), Gate::default());
    let mut loader = Task::new(cache.get_or_load("key", gate.wait()));
    assert!(loader.poll().is_none());
    let mut waiter = Task::new(cache.get_or_load("key", async { never() }));
    assert!(waiter.poll().is_none());
    std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(|| cache.get_or_insert_with("key", never)));
        // They have missed the key, and will find either the load or its value.
        while cache.stats().misses < 5 {
            std::thread::yield_now();
        }
        gate.open(7);
        assert_eq!(loader.poll(), Some(7));
        assert!(waiter.was_woken());
        assert_eq!(waiter.poll(), Some(7));
        assert!(
            threads
                .into_iter()
                .all(|thread| thread.join().unwrap() == 7)
        );
    });
    cache.validate();
}

#[test]
fn a_task_waits_for_a_thread() {
    let cache = &cache();
    let (begun, has_begun) = mpsc::channel();
    let (finish, may_finish) = mpsc::channel();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            cache.get_or_insert_with("key", || {
                begun.send(()).unwrap();
                may_finish.recv().unwrap()
            })
        });
        has_begun.recv().unwrap();
        let mut task = Task::new(cache.get_or_load("key", async { never() }));
        assert!(task.poll().is_none());
        finish.send(7).unwrap();
        assert_eq!(thread.join().unwrap(), 7);
        assert!(task.was_woken());
        assert_eq!(task.poll(), Some(7));
    });
}

#[test]
fn every_caller_that_found_nothing_counts_one_miss_and_a_load_one_set() {
    let (cache, gate) = (cache(), Gate::default());
    let mut tasks = [(); 3].map(|()| Task::new(cache.get_or_load("key", gate.wait())));
    assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
    gate.open(7);
    assert!(tasks.iter_mut().all(|task| task.poll() == Some(7)));
    assert_eq!(cache.get_or_insert_with("key", never), 7);
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.hits, stats.sets), (3, 1, 1));
}

#[test]
fn a_panic_stays_with_its_loader_and_the_next_loads() {
    let (cache, loads, start) = (cache(), AtomicU32::new(0), Barrier::new(4));
    let load = || match loads.fetch_add(1, Relaxed) {
        0 => panic!("the first loader"),
        other => other,
    };
    let panics: usize = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| {
            scope.spawn(|| {
                start.wait();
                let loaded = || cache.get_or_insert_with("key", load);
                catch_unwind(AssertUnwindSafe(loaded)).ok()
            })
        });
        let results = threads.map(|thread| thread.join().unwrap());
        assert!(results.iter().flatten().all(|value| *value == 1));
        results.iter().filter(|result| result.is_none()).count()
    });
    assert_eq!((panics, loads.load(Relaxed)), (1, 2));
    cache.validate();
}

#[test]
fn a_panicking_future_passes_the_turn_on() {
    let (cache, gate) = (cache(), Gate::default());
    let mut first = Task::new(cache.get_or_load("key", async {
        gate.wait().await;
        panic!("after a while")
    }));
    assert!(first.poll().is_none());
    let mut second = Task::new(cache.get_or_load("key", ready(2)));
    assert!(second.poll().is_none());
    gate.open(0);
    assert!(catch_unwind(AssertUnwindSafe(|| first.poll())).is_err());
    assert!(second.was_woken());
    assert_eq!(second.poll(), Some(2));
    cache.validate();
}

#[test]
fn a_panic_while_the_value_is_handed_out_loses_nobody() {
    struct Fragile(Arc<AtomicU32>);

    impl Clone for Fragile {
        fn clone(&self) -> Self {
            // One for the cache, one for those who wait.
            assert_ne!(self.0.fetch_add(1, Relaxed), 1, "the second clone");
            Self(Arc::clone(&self.0))
        }
    }

    let (cache, gate) = (Cache::<u8, Fragile>::new(9), Gate::default());
    let mut loader = Task::new(cache.get_or_load(&1, async {
        gate.wait().await;
        Fragile(Arc::default())
    }));
    let mut waiter = Task::new(cache.get_or_load(&1, pending()));
    assert!(loader.poll().is_none() && waiter.poll().is_none());
    gate.open(0);
    assert!(catch_unwind(AssertUnwindSafe(|| loader.poll())).is_err());
    assert!(waiter.was_woken());
    assert!(waiter.poll().is_some(), "it was stored before");
    cache.validate();
}

#[test]
fn an_error_goes_to_its_own_caller_only() {
    let (cache, gate) = (cache(), Gate::default());
    let mut first = Task::new(cache.try_get_or_load("key", async { Err(gate.wait().await) }));
    assert!(first.poll().is_none());
    let mut second = Task::new(cache.try_get_or_load("key", async { Err(gate.wait().await + 1) }));
    let mut third = Task::new(cache.try_get_or_load::<_, u32>("key", ready(Ok(3))));
    assert!(second.poll().is_none() && third.poll().is_none());
    gate.open(1);
    assert_eq!(first.poll(), Some(Err(1)));
    assert!(second.was_woken() && !third.was_woken());
    assert_eq!(second.poll(), Some(Err(2)));
    assert!(third.was_woken());
    assert_eq!(third.poll(), Some(Ok(3)));
    assert_eq!(cache.peek("key"), Some(3));

    assert_eq!(cache.try_get_or_insert_with("other", || Err(4)), Err(4));
    assert_eq!(cache.peek("other"), None);
    cache.validate();
}

#[test]
fn a_dropped_loader_passes_the_turn_on_and_so_does_a_dropped_waiter() {
    let cache = cache();
    let mut loader = Task::new(cache.get_or_load("key", pending()));
    let mut waiters = [1, 2, 3, 4].map(|n| Task::new(cache.get_or_load("key", ready(n))));
    assert!(loader.poll().is_none());
    assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_none()));
    let [first, second, third, mut fourth] = waiters;
    drop(second);
    drop(loader);
    assert!(first.was_woken() && !third.was_woken());
    // It has the turn and has not been polled since.
    drop(first);
    assert!(third.was_woken() && !fourth.was_woken());
    drop(third);
    assert_eq!(fourth.poll(), Some(4));
    cache.validate();
}

#[test]
fn nothing_is_left_of_callers_that_all_went_away() {
    let cache = cache();
    let mut tasks = [(); 3].map(|()| Task::new(cache.get_or_load("key", pending())));
    assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
    drop(tasks);
    cache.validate();
    assert_eq!(cache.get_or_insert_with("key", || 7), 7);
    // Never polled, never part of anything.
    drop(cache.get_or_load("other", pending()));
    cache.validate();
}

// covers: R18, D45
#[test]
fn a_loader_that_asks_for_its_own_key_loads_at_once() {
    let cache = cache();
    let nested = |inner| cache.get_or_insert_with("key", || inner) + 1;
    assert_eq!(cache.get_or_insert_with("key", || nested(1)), 2);
    assert_eq!(
        cache.peek("key"),
        Some(2),
        "the outer value is the one stored"
    );
    cache.clear();

    let inner = cache.get_or_load("key", ready(1));
    assert_eq!(
        block_on(cache.get_or_load("key", async { inner.await + 1 })),
        2
    );
    cache.clear();

    // A closure inside a future.
    let outer = cache.get_or_load("key", async { nested(1) });
    assert_eq!(block_on(outer), 2);
    cache.validate();
}

// covers: R18
#[test]
fn a_recursive_function_is_loaded_step_by_step() {
    fn fibonacci(cache: &Cache<u32, u64>, n: u32) -> u64 {
        cache.get_or_insert_with(&n, || match n {
            0 | 1 => u64::from(n),
            _ => fibonacci(cache, n - 1) + fibonacci(cache, n - 2),
        })
    }
    let cache = Cache::new(100);
    assert_eq!(fibonacci(&cache, 80), 23_416_728_348_467_685);
    assert_eq!(cache.stats().sets, 81);
    cache.validate();
}

// covers: D45
#[test]
fn two_threads_that_need_each_others_key_both_finish() {
    let (left, right, both_load) = (cache(), cache(), Barrier::new(2));
    let load = |own: &Numbers, other: &Numbers| {
        own.get_or_insert_with("key", || {
            both_load.wait();
            // One of the two waits for the other, and the other does not.
            1 + other.get_or_insert_with("key", || 10)
        })
    };
    let values = std::thread::scope(|scope| {
        let thread = scope.spawn(|| load(&left, &right));
        [load(&right, &left), thread.join().unwrap()]
    });
    assert!(values.contains(&11), "{values:?}");
    for cache in [left, right] {
        assert!(cache.peek("key").is_some());
        cache.validate();
    }
}

// covers: D45
#[test]
fn two_tasks_that_need_each_others_key_both_finish() {
    let (cache, both_load) = (cache(), Gate::default());
    let load = async |own: &str, other: &str| {
        let needs_other = async {
            both_load.wait().await;
            1 + cache.get_or_load(other, ready(10)).await
        };
        cache.get_or_load(own, needs_other).await
    };
    let mut tasks = [Task::new(load("a", "b")), Task::new(load("b", "a"))];
    assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
    both_load.open(0);
    let [first, second] = &mut tasks;
    assert_eq!(first.poll(), None, "waits for b");
    assert_eq!(second.poll(), Some(11), "does not wait for a");
    assert!(first.was_woken());
    assert_eq!(first.poll(), Some(12));
    cache.validate();
}

/// Changes a key while it is loaded, and checks what that load and later ones see.
fn change_during_load(change: impl Fn(&Numbers), stored: Option<u32>) {
    let (cache, gate) = (cache(), Gate::default());
    let mut loader = Task::new(cache.get_or_load("key", gate.wait()));
    let mut waiter = Task::new(cache.get_or_load("key", async { never() }));
    assert!(loader.poll().is_none() && waiter.poll().is_none());
    change(&cache);
    assert_eq!(cache.peek("key"), stored);
    // After the change: a load of its own, or what has been stored.
    let later = Gate::default();
    let mut after = Task::new(cache.get_or_load("key", later.wait()));
    let at_once = after.poll();
    assert_eq!(at_once, stored);
    gate.open(7);
    assert_eq!(loader.poll(), Some(7));
    assert_eq!(waiter.poll(), Some(7));
    assert_eq!(cache.peek("key"), stored, "the old load stores nothing");
    if at_once.is_none() {
        later.open(8);
        assert_eq!(after.poll(), Some(8));
        assert_eq!(cache.peek("key"), Some(8));
    }
    cache.validate();
}

#[test]
fn a_change_during_a_load_wins() {
    change_during_load(|cache| assert_eq!(cache.remove("key"), None), None);
    change_during_load(|cache| assert!(!cache.set_ttl("key", Duration::ZERO)), None);
    change_during_load(|cache| assert_eq!(cache.clear(), 0), None);
    change_during_load(|cache| assert!(cache.insert("key".to_owned(), 5)), Some(5));
    let no_time = |cache: &Numbers| cache.insert_with_ttl("key".to_owned(), 5, Duration::ZERO);
    change_during_load(|cache| assert!(no_time(cache)), None);
    let compute =
        |cache: &Numbers, change: Change<u32>| cache.compute("key".to_owned(), |_| change.clone());
    change_during_load(
        |cache| assert_eq!(compute(cache, Change::Update(5)), Computed::Stored),
        Some(5),
    );
    change_during_load(
        |cache| assert_eq!(compute(cache, Change::Remove), Computed::Kept),
        None,
    );
    // Something was stored and removed again: still older than the removal.
    let both = |cache: &Numbers| {
        cache.insert("key".to_owned(), 5);
        cache.remove("key");
    };
    change_during_load(both, None);
}

#[test]
fn what_changes_nothing_leaves_the_load_alone() {
    let (cache, gate) = (cache(), Gate::default());
    let mut loader = Task::new(cache.get_or_load("key", gate.wait()));
    assert!(loader.poll().is_none());
    assert_eq!(
        cache.compute("key".to_owned(), |_| Change::Keep),
        Computed::Kept
    );
    assert!(!cache.set_ttl("key", Duration::from_secs(1)));
    cache.remove("another key");
    cache.sweep();
    gate.open(7);
    assert_eq!(loader.poll(), Some(7));
    assert_eq!(cache.peek("key"), Some(7));
}

#[test]
fn who_waits_for_an_overtaken_load_that_fails_begins_anew() {
    let cache = cache();
    let mut loader = Task::new(cache.get_or_load("key", pending()));
    let mut waiters = [1, 2].map(|n| Task::new(cache.get_or_load("key", ready(n))));
    assert!(loader.poll().is_none());
    assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_none()));
    cache.remove("key");
    let gate = Gate::default();
    let mut newer = Task::new(cache.get_or_load("key", gate.wait()));
    assert!(newer.poll().is_none());
    drop(loader);
    // They wait for the newer load now, and load nothing themselves.
    for waiter in &mut waiters {
        assert!(waiter.was_woken());
        assert!(waiter.poll().is_none());
    }
    gate.open(7);
    assert_eq!(newer.poll(), Some(7));
    assert!(waiters.iter_mut().all(|waiter| waiter.poll() == Some(7)));
    cache.validate();
}

#[test]
fn a_loader_may_change_its_own_key() {
    let cache = cache();
    let load = || {
        cache.insert("key".to_owned(), 1);
        2
    };
    assert_eq!(cache.get_or_insert_with("key", load), 2);
    assert_eq!(cache.peek("key"), Some(1));
    cache.validate();
}

#[test]
fn a_loader_may_give_a_lifetime() {
    let cache = cache();
    let minute = || Ok::<_, Infallible>((7, Duration::from_secs(60)));
    assert_eq!(cache.try_get_or_insert_with_ttl("key", minute), Ok(7));
    assert!(cache.ttl("key").unwrap().remaining().is_some());
    let no_time = ready(Ok::<_, Infallible>((7, Duration::ZERO)));
    let loaded = block_on(cache.try_get_or_load_with_ttl("other", no_time));
    assert_eq!((loaded, cache.peek("other")), (Ok(7), None));
    assert_eq!(cache.stats().deletes, 0);
}

#[test]
fn keys_with_equal_hashes_have_loads_of_their_own() {
    #[derive(Clone, Default)]
    struct Same;
    impl std::hash::BuildHasher for Same {
        type Hasher = Same;
        fn build_hasher(&self) -> Same {
            Same
        }
    }
    impl std::hash::Hasher for Same {
        fn write(&mut self, _: &[u8]) {}
        fn finish(&self) -> u64 {
            7
        }
    }
    let cache: Cache<u8, u8, Same> = Cache::builder()
        .max_entries(9)
        .hasher(Same)
        .build()
        .unwrap();
    let mut tasks = [&1, &2, &3].map(|n| Task::new(cache.get_or_load(n, ready(*n))));
    let nested = cache.get_or_insert_with(&0, || tasks.iter_mut().filter_map(Task::poll).sum());
    assert_eq!(nested, 6);
    assert_eq!(cache.len(), 4);
    cache.validate();
}

#[test]
fn the_futures_are_send_and_hold_little_but_the_loader() {
    const LOADER: usize = 4096;

    fn check(name: &str, future: &(impl Future + Send)) {
        let size = size_of_val(future);
        assert!(size < LOADER + 128, "{name}: {size} bytes");
    }

    async fn load<T>(value: T) -> T {
        let much = [0_u8; LOADER - 64];
        pending::<()>().await;
        assert_eq!(much.len(), LOADER);
        value
    }

    let (cache, minute) = (cache(), Duration::from_secs(60));
    check("get_or_load", &cache.get_or_load("key", load(1)));
    check(
        "try_get_or_load",
        &cache.try_get_or_load("key", load(Ok::<_, ()>(1))),
    );
    check(
        "try_get_or_load_with_ttl",
        &cache.try_get_or_load_with_ttl("key", load(Ok::<_, ()>((1, minute)))),
    );
}
