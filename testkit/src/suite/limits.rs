//! A limit in bytes of values, and who makes room.

use larder_core::{Capability, SetOptions};

use super::OK;
use crate::Subject;

/// Largest limit that a case fills with a single value.
const FILLABLE: usize = 16 * 1024 * 1024;

/// Stores a value of this many bytes.
fn put(subject: &Subject, key: &str, bytes: u64) {
    let bytes = usize::try_from(bytes).expect("a limit that a test may fill");
    let stored = subject.cache.set(key, vec![0; bytes], SetOptions::new());
    assert!(stored.expect(OK), "{key} of {bytes} bytes was refused");
}

/// Fills the cache with four values, and returns the size of one.
fn fill(subject: &Subject) -> Option<u64> {
    let quarter = subject.max_size_bytes()? / 4;
    for key in ["a", "b", "c", "d"] {
        put(subject, key, quarter);
    }
    Some(quarter)
}

/// Checks which of the keys are there, without using them.
fn check_present(subject: &Subject, expected: &[&str]) {
    let keys = ["a", "b", "c", "d", "new"];
    let is_there = |key: &&str| subject.cache.exists(key).expect(OK);
    let present: Vec<&str> = keys.into_iter().filter(is_there).collect();
    assert_eq!(present, expected, "the keys that are left");
}

fn evicted(subject: &Subject) -> u64 {
    subject.cache.stats().expect(OK).evicted_capacity
}

/// The application has just replaced the old value: it must not be served again.
// covers: C3, D-8, D19, B3
pub fn a_value_over_the_limit_is_refused_and_the_old_one_goes(subject: &Subject) {
    let cache = &subject.cache;
    let limit = cache.capabilities().max_value_bytes();
    let limit = match subject.max_size_bytes() {
        Some(size) => limit.min(usize::try_from(size).unwrap_or(usize::MAX)),
        None => limit,
    };
    // A backend without a limit, or with one that no test should fill, refuses nothing.
    if limit > FILLABLE {
        return;
    }
    cache.set("old", "1", SetOptions::new()).expect(OK);
    cache.set("other", "1", SetOptions::new()).expect(OK);
    let stored = cache.set("old", vec![0; limit + 1], SetOptions::new());
    assert!(!stored.expect(OK), "{limit} + 1 bytes were stored");
    assert_eq!(cache.get("old").expect(OK), None, "the old value stayed");
    assert!(cache.exists("other").expect(OK), "another entry went");
    let stats = cache.stats().expect(OK);
    assert_eq!(
        (stats.rejected, stats.sets, stats.evictions()),
        (1, 2, 0),
        "rejected, sets, evictions"
    );
}

/// The limit itself is allowed, and then nothing else has room.
// covers: D-4, D-7, B8
pub fn a_value_exactly_as_large_as_the_limit_fits(subject: &Subject) {
    let Some(limit) = subject.max_size_bytes() else {
        return;
    };
    put(subject, "a", 1);
    put(subject, "new", limit);
    check_present(subject, &["new"]);
    let stats = subject.cache.stats().expect(OK);
    assert_eq!(stats.current_size_bytes, limit, "the cache is full");
    assert_eq!(stats.max_size_bytes, Some(limit), "the limit reported");
}

/// Reading and writing are use; whoever was used longest ago goes first.
// covers: D-4, D-5, B5
pub fn the_least_recently_used_makes_room(subject: &Subject) {
    let Some(quarter) = fill(subject) else {
        return;
    };
    subject.cache.get("a").expect(OK);
    put(subject, "b", quarter);
    put(subject, "new", quarter);
    check_present(subject, &["a", "b", "d", "new"]);
    subject.cache.get("a").expect(OK);
    put(subject, "c", quarter);
    check_present(subject, &["a", "b", "c", "new"]);
    assert_eq!(evicted(subject), 2, "one victim for each");
}

/// Asking, listing and counting do not keep an entry.
// covers: D-5, C5, D43
pub fn looking_is_no_use(subject: &Subject) {
    let Some(quarter) = fill(subject) else {
        return;
    };
    assert!(subject.cache.exists("a").expect(OK));
    if subject.has(Capability::Keys) {
        subject.cache.keys(None).expect(OK);
    }
    if subject.has(Capability::Entries) {
        subject.cache.ttl("a").expect(OK);
    }
    subject.cache.stats().expect(OK);
    put(subject, "new", quarter);
    check_present(subject, &["b", "c", "d", "new"]);
}

/// Only the difference counts, and no other entry goes for it.
// covers: D-6, B7
pub fn replacing_adjusts_the_size_and_evicts_nothing(subject: &Subject) {
    let Some(quarter) = fill(subject) else {
        return;
    };
    for (bytes, total) in [(quarter / 2, 3 * quarter + quarter / 2), (0, 3 * quarter)] {
        put(subject, "a", bytes);
        let stats = subject.cache.stats().expect(OK);
        assert_eq!(stats.current_size_bytes, total, "after a of {bytes} bytes");
    }
    put(subject, "a", quarter);
    check_present(subject, &["a", "b", "c", "d"]);
    let stats = subject.cache.stats().expect(OK);
    assert_eq!(stats.current_size_bytes, 4 * quarter);
    assert_eq!(stats.evictions(), 0, "nothing had to go");
}

/// Three small ones for one large one, and not one more.
// covers: D-7
pub fn a_large_value_takes_as_many_victims_as_it_needs(subject: &Subject) {
    let Some(quarter) = fill(subject) else {
        return;
    };
    put(subject, "new", 3 * quarter);
    check_present(subject, &["d", "new"]);
    assert_eq!(evicted(subject), 3, "victims for the large value");
}

/// A live entry stays as long as an expired one can make room.
// covers: W8, D-3
pub fn what_expired_goes_before_what_lives(subject: &Subject) {
    let Some(quarter) = fill(subject) else {
        return;
    };
    let second = subject.seconds(1);
    let bytes = usize::try_from(quarter).expect("a limit that a test may fill");
    let stored = subject.cache.set("d", vec![0; bytes], second);
    assert!(stored.expect(OK));
    subject.pass(second);
    put(subject, "new", quarter);
    check_present(subject, &["a", "b", "c", "new"]);
    let stats = subject.cache.stats().expect(OK);
    assert_eq!(
        (stats.evicted_capacity, stats.evicted_expired),
        (0, 1),
        "capacity, expired"
    );
}

/// Whatever comes in, the sum of what is there stays within the limit.
// covers: D-4, B7
pub fn the_size_never_exceeds_the_limit(subject: &Subject) {
    let Some(limit) = subject.max_size_bytes() else {
        return;
    };
    for n in 0..200_u64 {
        let bytes = (n * 7_919) % (limit / 3);
        put(subject, &format!("key:{}", n % 40), bytes);
        let size = subject.cache.stats().expect(OK).current_size_bytes;
        assert!(size <= limit, "{size} bytes after {n}, allowed are {limit}");
        assert!(size >= bytes, "{size} bytes, but {bytes} were just stored");
    }
}
