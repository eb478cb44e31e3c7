//! Single promises of the engine, each in a few lines.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use larder_core::clock::{ManualClock, SystemClock};
use larder_core::options::{Ttl, TtlState};
use larder_engine::{Cache, Change, Computed, Policy, RemovalCause};

const SECOND: Duration = Duration::from_secs(1);

fn by_length(max: u64) -> larder_engine::CacheBuilder<u32, Vec<u8>> {
    Cache::builder()
        .max_weight(max)
        .weigher(|_, value: &Vec<u8>| value.len() as u64)
}

// covers: W1, W2, D-4
#[test]
fn each_policy_evicts_the_true_victim_whatever_the_shard() {
    for shards in [1, 16, 256] {
        for policy in Policy::ALL.into_iter().filter(|policy| policy.is_exact()) {
            let clock = ManualClock::new();
            let cache = Cache::builder()
                .policy(policy)
                .max_entries(100)
                .shards(shards)
                .clock(Arc::new(clock))
                .build()
                .unwrap();
            for key in 0..100_u64 {
                // The later, the sooner it ends.
                cache.insert_with_ttl(key, key, SECOND * u32::try_from(1_000 - key).unwrap());
            }
            for key in (0..100).filter(|key| *key != 42) {
                // Everything but 42 is used, more often the higher the key.
                (0..=key / 10).for_each(|_| assert_eq!(cache.get(&key), Some(key)));
            }
            assert!(cache.insert(1_000, 0));
            let expected = match policy {
                Policy::Lru | Policy::Lfu => 42,
                Policy::Fifo => 0,
                Policy::Ttl => 99,
                other => unreachable!("{other} is not exact"),
            };
            assert!(
                !cache.contains_key(&expected),
                "{policy} in {shards} shards"
            );
            assert_eq!(cache.len(), 100);
        }
    }
}

#[test]
fn a_value_of_most_of_the_limit_fits_whatever_the_shard() {
    for key in 0..50 {
        let cache = by_length(1_000).shards(64).build().unwrap();
        for small in 100..150 {
            assert!(cache.insert(small, vec![0; 20]));
        }
        assert!(cache.insert(key, vec![0; 600]), "60 %");
        assert_eq!((cache.weight(), cache.len()), (1_000, 21));
        assert!(cache.insert(key + 1_000, vec![0; 1_000]), "all of it");
        assert_eq!((cache.weight(), cache.len()), (1_000, 1));
    }
}

// covers: D-8, D19
#[test]
fn a_value_over_the_limit_is_refused_and_only_its_own_key_goes() {
    let cache = by_length(100).build().unwrap();
    cache.insert(1, vec![1; 40]);
    cache.insert(2, vec![2; 40]);
    assert!(!cache.insert(1, vec![0; 101]));
    assert_eq!(cache.get(&1), None);
    assert!(cache.contains_key(&2));
    assert_eq!(cache.stats().rejected, 1);
}

#[test]
fn an_entry_lives_until_its_very_end_and_no_longer() {
    let clock = ManualClock::new();
    let cache = Cache::builder()
        .max_entries(10)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    cache.insert_with_ttl("a", 1, SECOND);
    clock.advance(Duration::from_millis(999));
    assert_eq!(cache.get("a"), Some(1));
    assert_eq!(
        cache.ttl("a"),
        Some(TtlState::Remaining(Duration::from_millis(1)))
    );
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get("a"), None);
    assert_eq!(cache.stats().evicted_expired, 1);
}

#[test]
fn idle_entries_expire_and_use_keeps_them_but_not_beyond_their_lifetime() {
    let clock = ManualClock::new();
    let cache = Cache::builder()
        .max_entries(10)
        .time_to_idle(SECOND * 10)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    cache.insert_with_ttl("short", 1, SECOND * 25);
    cache.insert("used", 2);
    cache.insert("idle", 3);
    for _ in 0..4 {
        clock.advance(SECOND * 6);
        let _ = (cache.get("short"), cache.get("used"));
    }
    assert!(!cache.contains_key("idle"));
    assert!(cache.contains_key("short") && cache.contains_key("used"));
    clock.advance(SECOND);
    assert!(!cache.contains_key("short"), "its lifetime is over");
    assert!(cache.contains_key("used"));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_lifetime_can_be_changed_made_endless_and_ended() {
    let clock = ManualClock::new();
    let cache = Cache::builder()
        .max_entries(10)
        .time_to_live(SECOND)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    cache.insert("a", 1);
    assert!(cache.set_ttl("a", Ttl::Never));
    clock.advance(SECOND * 1_000_000);
    assert_eq!(cache.ttl("a"), Some(TtlState::Never));
    assert!(cache.set_ttl("a", Ttl::Default));
    assert_eq!(cache.ttl("a"), Some(TtlState::Remaining(SECOND)));
    assert!(cache.set_ttl("a", Duration::ZERO));
    assert!(!cache.contains_key("a") && !cache.set_ttl("a", SECOND));
    // Longer than the clock can tell: it simply does not end.
    assert!(cache.insert_with_ttl("b", 1, Duration::MAX));
    assert!(cache.contains_key("b"));
}

#[test]
fn what_expired_goes_before_what_is_alive() {
    let clock = ManualClock::new();
    let cache = Cache::builder()
        .max_entries(3)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    cache.insert("old", 0);
    cache.insert_with_ttl("over", 1, SECOND);
    cache.insert("new", 2);
    clock.advance(SECOND);
    cache.insert("more", 3);
    assert!(cache.contains_key("old"));
    let stats = cache.stats();
    assert_eq!((stats.evicted_expired, stats.evicted_capacity), (1, 0));
}

#[test]
fn the_listener_hears_each_removal_once_with_its_cause_and_may_use_the_cache() {
    let clock = ManualClock::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (log, own) = (
        Arc::clone(&heard),
        Arc::new(Mutex::new(None::<Cache<&str, u32>>)),
    );
    let seen_by_listener = Arc::clone(&own);
    let cache = Cache::builder()
        .policy(Policy::Lru)
        .max_entries(2)
        .clock(Arc::new(clock.clone()))
        .on_removal(move |key: &&str, value: &u32, cause| {
            if let Some(cache) = &*seen_by_listener.lock().unwrap() {
                assert_ne!(cache.peek(key), Some(*value), "it is gone by now");
            }
            log.lock().unwrap().push((*key, *value, cause));
        })
        .build()
        .unwrap();
    *own.lock().unwrap() = Some(cache.clone());
    cache.insert("a", 1);
    cache.insert("a", 2);
    cache.insert("b", 3);
    cache.insert("c", 4);
    let _ = cache.remove("b");
    cache.insert_with_ttl("d", 5, SECOND);
    clock.advance(SECOND);
    cache.sweep();
    cache.clear();
    *own.lock().unwrap() = None;
    let heard = heard.lock().unwrap();
    assert_eq!(
        *heard,
        [
            ("a", 1, RemovalCause::Replaced),
            ("a", 2, RemovalCause::Capacity),
            ("b", 3, RemovalCause::Removed),
            ("d", 5, RemovalCause::Expired),
            ("c", 4, RemovalCause::Removed),
        ]
    );
}

// covers: K8
#[test]
fn limits_can_be_changed_while_in_use() {
    let cache = by_length(1_000).max_entries(50).build().unwrap();
    for key in 0..50 {
        cache.insert(key, vec![0; 20]);
    }
    cache.set_max_entries(10);
    assert_eq!(cache.len(), 10);
    assert!(
        (40..50).all(|key| cache.contains_key(&key)),
        "the newest stay"
    );
    cache.set_max_weight(60);
    assert_eq!((cache.len(), cache.weight()), (3, 60));
    cache.set_max_entries(1_000);
    cache.set_max_weight(1_000);
    for key in 0..60 {
        cache.insert(key, vec![0; 20]);
    }
    assert_eq!((cache.len(), cache.weight()), (50, 1_000));
    cache.validate();
}

// covers: D-3, D-12
#[test]
fn a_sweep_gives_back_all_that_expired_without_touching_the_rest() {
    let clock = ManualClock::new();
    let cache = Cache::builder()
        .max_entries(100_000)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let value = Arc::new(());
    for key in 0..20_000_u32 {
        let ttl = if key % 2 == 0 { SECOND } else { SECOND * 60 };
        cache.insert_with_ttl(key, Arc::clone(&value), ttl);
    }
    clock.advance(SECOND);
    cache.sweep();
    assert_eq!(Arc::strong_count(&value), 10_001);
    cache.validate();
    clock.advance(SECOND * 60);
    cache.sweep();
    assert_eq!(Arc::strong_count(&value), 1);
}

// covers: W7
#[test]
fn on_the_system_clock_expired_entries_go_by_themselves() {
    let (sender, gone) = std::sync::mpsc::channel();
    let sender = Mutex::new(sender);
    let cache = Cache::builder()
        .max_entries(10)
        .on_removal(move |key: &u32, (): &(), cause| {
            sender.lock().unwrap().send((*key, cause)).unwrap();
        })
        .build()
        .unwrap();
    cache.insert_with_ttl(1, (), Duration::from_millis(20));
    let heard = gone.recv_timeout(SECOND * 30);
    assert_eq!(heard, Ok((1, RemovalCause::Expired)), "nobody touched it");
    // The janitor keeps no cache alive.
    drop(cache);
    assert!(
        gone.recv_timeout(SECOND * 30).is_err(),
        "listener and cache are dropped"
    );
}

#[test]
fn a_clock_of_ones_own_can_be_the_system_clock() {
    let cache = Cache::builder()
        .max_entries(10)
        .clock(Arc::new(SystemClock::new()))
        .time_to_live(SECOND * 1_000)
        .build()
        .unwrap();
    cache.insert(1, 1);
    assert_eq!(cache.get(&1), Some(1));
}

/// A value that uses the cache when it is dropped.
struct Nosy(u64);

static NOSY: OnceLock<Cache<u8, Nosy>> = OnceLock::new();

impl Drop for Nosy {
    fn drop(&mut self) {
        // Would wait for ever if the shard were locked.
        let _ = NOSY.get().map(|cache| cache.remove(&200));
    }
}

#[test]
fn no_value_is_dropped_under_a_lock() {
    let cache = NOSY.get_or_init(|| {
        let builder = Cache::builder().max_weight(10).shards(1);
        builder.weigher(|_, value: &Nosy| value.0).build().unwrap()
    });
    assert!(cache.insert(1, Nosy(5)));
    assert!(cache.insert(1, Nosy(5)), "replaced");
    assert!(!cache.insert(1, Nosy(11)), "refused");
    assert!(
        cache.insert_with_ttl(1, Nosy(1), Duration::ZERO),
        "not stored"
    );
    for key in 0..10 {
        assert!(cache.insert(key, Nosy(3)), "evicting");
    }
    let mut weight = 3;
    let computed = cache.compute(9, |_| {
        weight += 2;
        Change::Update(Nosy(weight))
    });
    assert_eq!(
        computed,
        Computed::Stored,
        "after being computed more than once"
    );
    assert!(cache.remove(&9).is_some());
    cache.clear();
}

#[test]
fn large_values_kept_inline_need_no_large_stack() {
    let cache = Cache::new(4);
    std::thread::Builder::new()
        .stack_size(768 * 1024)
        .spawn(move || {
            for key in 0..10 {
                cache.insert(key, [0_u8; 16 * 1024]);
            }
            assert_eq!(cache.len(), 4);
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_walk_meets_every_entry_that_stays_once_while_the_tables_grow_and_shrink() {
    let cache = Cache::builder()
        .max_entries(200_000)
        .shards(2)
        .build()
        .unwrap();
    let stays = 0..10_000_u32;
    for key in stays.clone() {
        cache.insert(key, key);
    }
    let mut seen = vec![0; stays.len()];
    let mut others = stays.end..;
    for (step, (key, _)) in cache.iter().enumerate() {
        if let Some(times) = seen.get_mut(key as usize) {
            *times += 1;
        }
        match step {
            // From 10,000 to 60,000 entries, and back again.
            ..5_000 => others.by_ref().take(10).for_each(|key| {
                cache.insert(key, key);
            }),
            5_000 => (stays.end..60_000).for_each(|key| {
                cache.remove(&key);
            }),
            _ => {}
        }
    }
    assert!(seen.iter().all(|times| *times == 1), "{seen:?}");
    assert_eq!(cache.len(), stays.len() as u64);
    cache.validate();
}
