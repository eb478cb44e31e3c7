//! What the numbers say.

use larder_core::{CacheStats, Pattern, SetOptions};

use super::OK;
use crate::Subject;

fn stats(subject: &Subject) -> CacheStats {
    subject.cache.stats().expect(OK)
}

/// Each counter counts what its name says, and nothing else.
// covers: C7, B1, B2, B3, B4, B6, B7, B9, B13
pub fn hits_misses_sets_and_deletes_are_counted(subject: &Subject) {
    let cache = &subject.cache;
    assert_eq!(stats(subject).current_entries, 0);
    cache.set("a", "12345", SetOptions::new()).expect(OK);
    cache.set("a", "123", SetOptions::new()).expect(OK);
    cache.set("b", "1234", SetOptions::new()).expect(OK);
    cache.get("a").expect(OK);
    cache.get("a").expect(OK);
    cache.get("b").expect(OK);
    cache.get("c").expect(OK);
    let now = stats(subject);
    assert_eq!((now.hits, now.misses, now.sets, now.deletes), (3, 1, 3, 0));
    assert!((now.hit_rate() - 0.75).abs() < f64::EPSILON);
    assert_eq!((now.current_entries, subject.size_or(7)), (2, 7));
    cache.delete("c").expect(OK);
    assert_eq!(stats(subject).deletes, 0, "nothing was removed");
    cache.delete("a").expect(OK);
    cache.clear().expect(OK);
    let now = stats(subject);
    assert_eq!((now.deletes, now.evictions()), (1, 0), "clear is no delete");
    assert_eq!((subject.entries_or(0), subject.size_or(0)), (0, 0));
}

/// A batch of ten counts as ten.
// covers: B13
pub fn batches_count_per_key(subject: &Subject) {
    let cache = &subject.cache;
    let items = ["a", "b", "c"].map(|key| (key.to_owned(), "1".into()));
    let _ = cache.set_many(items.to_vec(), SetOptions::new()).expect(OK);
    cache.get_many(&["a", "b", "x"]).expect(OK);
    cache.delete_many(&["a", "x"]).expect(OK);
    let now = stats(subject);
    assert_eq!((now.sets, now.hits, now.misses, now.deletes), (3, 2, 1, 1));
    if subject.has(larder_core::Capability::Keys) {
        let all = Pattern::glob("*").expect("a legal pattern");
        cache.delete_pattern(&all).expect(OK);
        assert_eq!(stats(subject).deletes, 3);
    }
}

/// What expired is a miss once looked for, and an eviction, but no delete.
// covers: B5, D06, D07
pub fn an_expired_get_is_a_miss_and_an_eviction(subject: &Subject) {
    let cache = &subject.cache;
    cache.set("key", "value", subject.seconds(1)).expect(OK);
    subject.pass(subject.seconds(1));
    assert_eq!(cache.get("key").expect(OK), None);
    let now = stats(subject);
    assert_eq!((now.hits, now.misses), (0, 1));
    assert_eq!((subject.expired_or(1), now.evicted_capacity), (1, 0));
    assert_eq!(now.evictions(), now.evicted_expired);
    assert_eq!((subject.entries_or(0), now.deletes), (0, 0));
}

/// Asking whether something expired exists is no miss either.
// covers: D07, D43
pub fn an_expired_exists_is_no_miss(subject: &Subject) {
    let cache = &subject.cache;
    cache.set("key", "value", subject.seconds(1)).expect(OK);
    subject.pass(subject.seconds(1));
    assert!(!cache.exists("key").expect(OK));
    let now = stats(subject);
    assert_eq!((now.misses, subject.expired_or(1)), (0, 1));
}

/// Expired entries that nobody touched are not counted as present.
// covers: B6, D-11
pub fn expired_entries_are_not_current(subject: &Subject) {
    for n in 0..100 {
        let ttl = if n % 2 == 0 {
            subject.seconds(1)
        } else {
            subject.seconds(100)
        };
        subject.cache.set(&n.to_string(), "12", ttl).expect(OK);
    }
    subject.pass(subject.seconds(1));
    let now = stats(subject);
    assert_eq!((now.current_entries, subject.size_or(100)), (50, 100));
    assert_eq!(subject.expired_or(50), 50);
}

/// Resetting what `stats` returned resets the cache's counters, not its entries.
// covers: B11, D41
pub fn a_reset_zeroes_live_counters_and_keeps_entries(subject: &Subject) {
    let cache = &subject.cache;
    cache.set("a", "1", SetOptions::new()).expect(OK);
    cache.set("b", "1", subject.seconds(1)).expect(OK);
    cache.get("a").expect(OK);
    cache.get("x").expect(OK);
    cache.delete("x").expect(OK);
    subject.pass(subject.seconds(1));
    let mut before = stats(subject);
    before.reset();
    for now in [before, stats(subject)] {
        assert_eq!((now.hits, now.misses, now.sets), (0, 0, 0));
        assert_eq!((now.deletes, now.evictions()), (0, 0));
        assert_eq!(subject.entries_or(1), 1);
    }
    assert!(cache.exists("a").expect(OK), "entries stay");
    cache.get("a").expect(OK);
    assert_eq!(stats(subject).hits, 1, "counting goes on");
}

/// One failure is one, through any number of handles, and a reset forgets it.
// covers: B11, B16, D41
pub fn a_failure_counts_once_and_is_reset(subject: &Subject) {
    let cache = &subject.cache;
    assert!(cache.get("").is_err());
    if subject.has(larder_core::Capability::Counters) {
        cache.set("text", "x", SetOptions::new()).expect(OK);
        let counted = cache.increment("text", 1, larder_core::Ttl::Default);
        assert!(counted.is_err());
        assert_eq!(stats(subject).errors, 2, "each counted once");
    }
    stats(subject).reset();
    assert_eq!(stats(subject).errors, 0, "after a reset");
}

/// Errors show in the statistics.
// covers: B16
pub fn failures_are_counted(subject: &Subject) {
    assert_eq!(stats(subject).errors, 0);
    assert!(subject.cache.get("").is_err());
    let now = stats(subject);
    assert_eq!((now.errors, now.timeouts, now.misses), (1, 0, 0));
}

/// Nobody deleted what went by itself, however it is asked to go.
// covers: B4, B5, D07
pub fn what_expired_is_no_delete(subject: &Subject) {
    let cache = &subject.cache;
    for key in ["a", "b", "c"] {
        cache.set(key, "1", subject.seconds(1)).expect(OK);
    }
    subject.pass(subject.seconds(1));
    cache.delete("a").expect(OK);
    cache.delete_many(&["a", "b"]).expect(OK);
    cache.set("c", "2", SetOptions::new()).expect(OK);
    let now = stats(subject);
    assert_eq!((now.deletes, subject.expired_or(3)), (0, 3));
    assert_eq!((subject.entries_or(1), subject.size_or(1)), (1, 1));
    assert_eq!((now.hits, now.misses), (0, 0), "a delete is no get");
}
