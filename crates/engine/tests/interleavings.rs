//! Loading under a checker that tries out many interleavings of a few threads.
//!
//! The files of the engine are compiled once more here, with the locks and atomics
//! of `shuttle` in the place of `crate::sync`. A schedule that fails is printed.
//! `LARDER_SCHEDULES` says how many there are of each kind per case, if not 300.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the engine's own files, of which only a part is used"
)]

#[path = "../src/bounds.rs"]
mod bounds;
#[path = "../src/budget.rs"]
mod budget;
#[path = "../src/builder.rs"]
mod builder;
#[path = "../src/cache.rs"]
mod cache;
#[path = "../src/expiry/mod.rs"]
mod expiry;
#[path = "../src/load/mod.rs"]
mod load;
#[path = "../src/lookup.rs"]
mod lookup;
#[path = "../src/policy/mod.rs"]
mod policy;
#[path = "../src/removal.rs"]
mod removal;
#[path = "../src/room.rs"]
mod room;
#[path = "../src/scan.rs"]
mod scan;
#[path = "../src/shard/mod.rs"]
mod shard;
#[path = "interleavings/sync.rs"]
mod sync;
#[path = "../src/write.rs"]
mod write;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use larder_core::ManualClock;
use libtest_mimic::{Arguments, Trial};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{self, JoinHandle};

pub use cache::Cache;
use sync::{AtomicBool, AtomicU64, Relaxed};
pub use write::Change;

/// The cases. Each runs many times.
const CASES: &[(&str, fn())] = &[
    ("one_load_for_all", one_load_for_all),
    ("failures_pass_the_turn_on", failures_pass_the_turn_on),
    (
        "dropped_futures_pass_the_turn_on",
        dropped_futures_pass_the_turn_on,
    ),
    ("a_removal_wins", || {
        a_change_wins(|cache| assert!(cache.remove(&0).is_none_or(|value| value <= NEW)));
    }),
    ("a_clear_wins", || {
        a_change_wins(|cache| assert!(cache.clear() <= 1));
    }),
    ("an_insert_wins", || {
        a_change_wins(|cache| assert!(cache.insert(0, NEW)));
    }),
    ("an_insert_and_a_removal_win", || {
        a_change_wins(|cache| {
            cache.insert(0, NEW);
            cache.remove(&0);
        });
    }),
    ("an_inserted_value_stays", an_inserted_value_stays),
    ("two_loads_that_need_each_other_end", || circle(2)),
    ("three_loads_that_need_each_other_end", || circle(3)),
    ("failing_loads_that_need_each_other_end", failing_circle),
];

fn main() {
    let schedules = std::env::var("LARDER_SCHEDULES").map_or(300, |number| {
        number.parse().expect("LARDER_SCHEDULES is a number")
    });
    let trials = CASES.iter().map(|(name, case)| {
        Trial::test(*name, move || {
            run(RandomScheduler::new(schedules), *case);
            // Few changes of the thread that runs, but unusual ones.
            run(PctScheduler::new(3, schedules), *case);
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn run(scheduler: impl Scheduler + 'static, case: fn()) {
    let mut config = shuttle::Config::new();
    // That every atomic is taken for a sequentially consistent one: the engine's
    // argument for relaxed ones is the lock around them.
    config.silence_warnings = true;
    shuttle::Runner::new(scheduler, config).run(case);
}

type Numbers = Cache<u64, u64>;

fn cache() -> Numbers {
    let builder = Cache::builder().max_entries(100).shards(1);
    let clock = Arc::new(ManualClock::new());
    builder.clock(clock).build().expect("there is a limit")
}

fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread
            .join()
            .expect("a thread fails with the whole schedule");
    }
}

/// What is loaded, and whether it is being loaded.
#[derive(Default)]
struct Origin {
    value: AtomicU64,
    loads: AtomicU64,
    is_loading: AtomicBool,
}

impl Origin {
    /// Loads while nobody else does.
    fn load_alone(&self) -> u64 {
        assert!(!self.is_loading.swap(true, Relaxed), "two loads at once");
        let value = self.load();
        self.is_loading.store(false, Relaxed);
        value
    }

    fn load(&self) -> u64 {
        self.loads.fetch_add(1, Relaxed);
        let value = self.value.load(Relaxed);
        // The answer takes its time, and may be old when it is here.
        thread::yield_now();
        thread::yield_now();
        value
    }
}

fn one_load_for_all() {
    let (cache, origin) = (cache(), Arc::new(Origin::default()));
    let threads = (0..3).map(|number| {
        let (cache, origin) = (cache.clone(), Arc::clone(&origin));
        thread::spawn(move || {
            let value = if number == 0 {
                block_on(cache.get_or_load(&0, async { origin.load_alone() }))
            } else {
                cache.get_or_insert_with(&0, || origin.load_alone())
            };
            assert_eq!(value, 0);
        })
    });
    join_all(threads.collect::<Vec<_>>());
    assert_eq!(origin.loads.load(Relaxed), 1);
    assert_eq!(cache.stats().sets, 1);
    cache.validate();
}

fn failures_pass_the_turn_on() {
    let (cache, origin) = (cache(), Arc::new(Origin::default()));
    let threads = (0..4).map(|number| {
        let (cache, origin) = (cache.clone(), Arc::clone(&origin));
        thread::spawn(move || match number {
            0 => {
                let failed = cache.try_get_or_insert_with(&0, || Err(origin.load_alone()));
                assert!(failed.is_err() || failed == Ok(0));
            }
            1 => {
                let load = || {
                    origin.load_alone();
                    std::panic::resume_unwind(Box::new("a loader"));
                };
                let load = || cache.get_or_insert_with(&0, load);
                let _ = catch_unwind(AssertUnwindSafe(load));
            }
            2 => assert_eq!(cache.get_or_insert_with(&0, || origin.load_alone()), 0),
            _ => {
                let load = async { origin.load_alone() };
                assert_eq!(block_on(cache.get_or_load(&0, load)), 0);
            }
        })
    });
    join_all(threads.collect::<Vec<_>>());
    assert!((1..=3).contains(&origin.loads.load(Relaxed)));
    assert_eq!(cache.peek(&0), Some(0));
    cache.validate();
}

fn dropped_futures_pass_the_turn_on() {
    let (cache, origin) = (cache(), Arc::new(Origin::default()));
    let threads = (0..4).map(|number| {
        let (cache, origin) = (cache.clone(), Arc::clone(&origin));
        thread::spawn(move || {
            if number >= 2 {
                assert_eq!(cache.get_or_insert_with(&0, || origin.load_alone()), 0);
                return;
            }
            // Loads or waits, and is dropped at some moment after that.
            let mut future = pin!(cache.get_or_load(&0, std::future::pending()));
            for _ in 0..2 {
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                    assert_eq!(value, 0);
                    return;
                }
                thread::yield_now();
            }
        })
    });
    join_all(threads.collect::<Vec<_>>());
    assert_eq!(origin.loads.load(Relaxed), 1);
    cache.validate();
}

/// The value after the change.
const NEW: u64 = 2;

/// The origin changes, then the cache is told; nothing older may be seen after.
fn a_change_wins(tell: fn(&Numbers)) {
    let (cache, origin) = (cache(), Arc::new(Origin::default()));
    let threads = (0..4).map(|number| {
        let (cache, origin) = (cache.clone(), Arc::clone(&origin));
        thread::spawn(move || match number {
            0 => {
                thread::yield_now();
                origin.value.store(NEW, Relaxed);
                tell(&cache);
                thread::yield_now();
                assert_eq!(cache.get_or_insert_with(&0, || origin.load()), NEW);
            }
            1 => drop(cache.try_get_or_insert_with(&0, || Err(origin.load()))),
            _ => assert!(cache.get_or_insert_with(&0, || origin.load()) <= NEW),
        })
    });
    join_all(threads.collect::<Vec<_>>());
    assert_eq!(cache.get(&0), Some(NEW));
    cache.validate();
}

/// No load that began before an insert replaces what was inserted.
fn an_inserted_value_stays() {
    let (cache, origin) = (cache(), Arc::new(Origin::default()));
    let threads = (0..3).map(|number| {
        let (cache, origin) = (cache.clone(), Arc::clone(&origin));
        thread::spawn(move || {
            if number == 0 {
                thread::yield_now();
                assert!(cache.insert(0, NEW));
                assert_eq!(cache.get(&0), Some(NEW));
            } else {
                cache.get_or_insert_with(&0, || origin.load());
            }
        })
    });
    join_all(threads.collect::<Vec<_>>());
    assert_eq!(cache.peek(&0), Some(NEW));
    cache.validate();
}

/// Each of several threads loads a key and needs the next one's for it.
fn circle(threads: u64) {
    let cache = cache();
    let handles = (0..threads).map(|key| {
        let cache = cache.clone();
        thread::spawn(move || {
            let next = (key + 1) % threads;
            let value = if key == 0 {
                let needs = async { 1 + cache.get_or_load(&next, async { 0 }).await };
                block_on(cache.get_or_load(&key, needs))
            } else {
                cache.get_or_insert_with(&key, || 1 + cache.get_or_insert_with(&next, || 0))
            };
            assert!(value <= threads);
        })
    });
    join_all(handles.collect::<Vec<_>>());
    assert_eq!(cache.len(), threads);
    cache.validate();
}

/// The same, while loads fail and change hands.
fn failing_circle() {
    let cache = cache();
    let handles = (0..4).map(|number| {
        let cache = cache.clone();
        thread::spawn(move || {
            let (key, next) = (number % 2, (number + 1) % 2);
            let load = || {
                let needed = cache.get_or_insert_with(&next, || 0);
                if number < 2 { Err(()) } else { Ok(needed + 1) }
            };
            let loaded = cache.try_get_or_insert_with(&key, load);
            assert!(number < 2 || loaded.is_ok());
        })
    });
    join_all(handles.collect::<Vec<_>>());
    cache.validate();
}
