//! Promises that hold with many threads at once.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use larder_engine::{Cache, Change, Computed, Policy, RemovalCause};

const THREADS: u64 = 8;

fn mix(n: u64) -> u64 {
    (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

/// What came in, and what went for which reason.
#[derive(Default)]
struct Ledger {
    stored: AtomicU64,
    gone: AtomicU64,
}

// covers: D-13, D-4
#[test]
fn limits_hold_at_every_moment_and_no_entry_is_lost_or_counted_twice() {
    for policy in Policy::ALL {
        let ledger = Arc::new(Ledger::default());
        let heard = Arc::clone(&ledger);
        let cache: Cache<u64, u64> = Cache::builder()
            .policy(policy)
            .max_weight(5_000)
            .max_entries(400)
            .weigher(|_, weight| *weight)
            .on_removal(move |_, _, _: RemovalCause| {
                heard.gone.fetch_add(1, Relaxed);
            })
            .build()
            .unwrap();
        for round in 0..4 {
            hammer(&cache, &ledger, round);
            cache.validate();
        }
        let present = cache.len();
        let (stored, gone) = (ledger.stored.load(Relaxed), ledger.gone.load(Relaxed));
        assert_eq!(stored, present + gone, "{policy}");
    }
}

/// Eight threads write and read at random while a ninth watches the limits.
fn hammer(cache: &Cache<u64, u64>, ledger: &Ledger, round: u64) {
    let done = AtomicBool::new(false);
    let start = Barrier::new(usize::try_from(THREADS).unwrap() + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for n in 0..4_000 {
                        operate(cache, ledger, mix(round << 40 | thread << 32 | n));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            start.wait();
            while !done.load(Relaxed) {
                assert!(cache.weight() <= 5_000);
                assert!(cache.len() <= 400);
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Relaxed);
    });
}

fn operate(cache: &Cache<u64, u64>, ledger: &Ledger, random: u64) {
    let key = random % 1_000;
    match (random >> 10) % 10 {
        0..4 => {
            // Up to 60 % of the limit at once.
            let weight = if (random >> 14).is_multiple_of(64) {
                3_000
            } else {
                random >> 20 & 31
            };
            assert!(cache.insert(key, weight));
            ledger.stored.fetch_add(1, Relaxed);
        }
        4 => {
            let ttl = Duration::from_millis(random >> 20 & 1);
            assert!(cache.insert_with_ttl(key, 5, ttl));
            if !ttl.is_zero() {
                ledger.stored.fetch_add(1, Relaxed);
            }
        }
        5 => {
            let _ = cache.remove(&key);
        }
        _ => {
            let _ = cache.get(&key);
        }
    }
}

// covers: H3
#[test]
fn computing_loses_no_update_even_when_room_is_scarce() {
    let cache: Cache<u64, u64> = Cache::new(64);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..2_000 {
                    let computed =
                        cache.compute(n % 8, |sum| Change::Update(sum.copied().unwrap_or(0) + 1));
                    assert_eq!(computed, Computed::Stored);
                }
            });
        }
    });
    let total: u64 = cache.iter().map(|(_, sum)| sum).sum();
    assert_eq!(total, THREADS * 2_000);
}

#[test]
fn a_reader_never_misses_a_key_that_is_only_replaced() {
    let cache: Cache<u64, u64> = Cache::builder()
        .policy(Policy::Lru)
        .max_weight(1_000)
        .weigher(|_, weight| *weight)
        .build()
        .unwrap();
    cache.insert(0, 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..20_000 {
                // The key that is read is always the most recently used one.
                assert!(cache.insert(0, 1 + n % 300));
                assert!(cache.insert(1 + n % 50, 20));
            }
            done.store(true, Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Relaxed) {
                assert!(cache.get(&0).is_some());
            }
        });
    });
}
