//! What the memory backend promises beyond the contract: its limit, in bytes of values.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{ErrorKind, ManualClock, SetOptions};
use larder_engine::Policy;
use larder_memory::InMemoryBackend;

fn fill(cache: &InMemoryBackend, keys: &[&str], bytes: usize) {
    for key in keys {
        let stored = cache.set(key, vec![0; bytes], SetOptions::new());
        assert!(stored.expect("a legal key"));
    }
}

// covers: D-1, D-2, B8, D52
#[test]
fn the_default_is_100_megabytes_any_number_of_entries_and_no_lifetime() {
    let cache = InMemoryBackend::default();
    assert_eq!(cache.stats().max_size_bytes, Some(104_857_600));
    for n in 0..20_000 {
        cache.set(&n.to_string(), "", SetOptions::new()).unwrap();
    }
    assert_eq!(cache.stats().current_entries, 20_000);
    assert_eq!(
        cache
            .ttl("0")
            .unwrap()
            .and_then(larder_core::TtlState::remaining),
        None
    );
}

// covers: D05, A5, B7, B10
#[test]
fn only_value_bytes_count_against_the_limit() {
    let cache = InMemoryBackend::with_max_size_bytes(100);
    let options = SetOptions::new().with_metadata([("endpoint", "/a/long/path".into())]);
    cache.set(&"k".repeat(200), vec![0; 60], options).unwrap();
    let stats = cache.stats();
    assert_eq!(stats.current_size_bytes, 60);
    assert!((stats.utilization() - 0.6).abs() < f64::EPSILON);
}

// covers: D-4, D-5
#[test]
fn the_least_recently_used_goes_and_reading_or_writing_is_use() {
    let cache = InMemoryBackend::with_max_size_bytes(30);
    fill(&cache, &["a", "b", "c"], 10);
    cache.get("a").unwrap();
    fill(&cache, &["b"], 10);
    // Neither looking nor listing is use.
    assert!(cache.exists("c").unwrap());
    assert_eq!(cache.keys(None).len(), 3);
    fill(&cache, &["d"], 10);
    assert!(!cache.exists("c").unwrap());
    assert_eq!(cache.eviction_order(10), ["a", "b", "d"]);
    assert_eq!(cache.stats().evicted_capacity, 1);
    cache.validate();
}

// covers: D-6, D-7
#[test]
fn a_large_value_takes_as_many_victims_as_it_needs_and_replacing_takes_none() {
    let cache = InMemoryBackend::with_max_size_bytes(100);
    fill(&cache, &["a", "b", "c", "d"], 20);
    fill(&cache, &["a"], 40);
    assert_eq!(
        (cache.stats().evictions(), cache.stats().current_size_bytes),
        (0, 100)
    );
    fill(&cache, &["large"], 60);
    assert_eq!(cache.stats().evicted_capacity, 3);
    assert_eq!(cache.eviction_order(10), ["a", "large"]);
    cache.validate();
}

// covers: D-8, D19, C3
#[test]
fn a_value_larger_than_the_cache_is_refused_and_evicts_nothing_else() {
    let cache = InMemoryBackend::with_max_size_bytes(100);
    fill(&cache, &["a", "b"], 40);
    assert!(!cache.set("a", vec![0; 101], SetOptions::new()).unwrap());
    assert!(!cache.exists("a").unwrap(), "what the application replaced");
    assert!(cache.exists("b").unwrap());
    let stats = cache.stats();
    assert_eq!((stats.rejected, stats.sets, stats.evictions()), (1, 2, 0));
}

// covers: AA5
#[test]
fn the_order_of_eviction_can_be_looked_at() {
    for (policy, expected) in [
        (Policy::Lru, ["b", "c", "a"]),
        (Policy::Lfu, ["b", "c", "a"]),
        (Policy::Fifo, ["a", "b", "c"]),
        (Policy::Ttl, ["c", "b", "a"]),
    ] {
        let cache = InMemoryBackend::builder().policy(policy).build().unwrap();
        for (key, seconds) in [("a", 30), ("b", 20), ("c", 10)] {
            cache.set(key, "1", Duration::from_secs(seconds)).unwrap();
        }
        cache.get("a").unwrap();
        assert_eq!(cache.eviction_order(10), expected, "{policy}");
        assert_eq!(cache.eviction_order(1).len(), 1);
    }
}

// covers: D51, D01
#[test]
fn further_limits_and_a_default_lifetime_are_settings() {
    let clock = ManualClock::new();
    let cache = InMemoryBackend::builder()
        .max_size_bytes(1_000)
        .max_entries(2)
        .max_key_bytes(5)
        .default_ttl(Duration::from_secs(10))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    fill(&cache, &["a", "b", "c"], 1);
    assert_eq!(cache.stats().current_entries, 2);
    assert!(cache.expire("b", larder_core::Ttl::Never).unwrap());
    clock.advance(Duration::from_secs(10));
    assert_eq!(cache.keys(None), ["b"]);
    let error = cache.get("longer").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyTooLong);
    cache.set_max_size_bytes(0);
    assert!(!cache.set("big", "12", SetOptions::new()).unwrap());

    let wrong = InMemoryBackend::builder().max_size_bytes(0).build();
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "max_size_bytes is 0, allowed is at least 1"
    );
}
