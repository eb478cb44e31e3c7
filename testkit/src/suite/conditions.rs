//! Storing only if the key is there, or only if it is not.

use std::time::Duration;

use bytes::Bytes;
use larder_core::{Capability, Condition, SetOptions};

use super::OK;
use crate::Subject;

fn when(condition: Condition) -> SetOptions {
    SetOptions::new().with_condition(condition)
}

/// What is over does not hold a place, and cannot be replaced.
// covers: C2, C4, D-3
pub fn an_expired_key_counts_as_absent(subject: &Subject) {
    if !subject.has(Capability::Conditions) {
        return;
    }
    let (cache, second) = (&subject.cache, subject.seconds(1));
    for key in ["taken", "gone"] {
        cache.set(key, "old", second).expect(OK);
    }
    let early = cache.set("taken", "new", when(Condition::IfAbsent));
    assert!(!early.expect(OK), "it was still there");
    subject.pass(second);
    let replaced = cache.set("gone", "new", when(Condition::IfPresent));
    assert!(!replaced.expect(OK), "nothing was there to replace");
    assert!(!cache.exists("gone").expect(OK), "it came back");
    let taken = cache.set("taken", "new", when(Condition::IfAbsent));
    assert!(taken.expect(OK), "the place was free");
    subject.pass(second * 100);
    let value = cache.get("taken").expect(OK);
    assert_eq!(value.as_deref(), Some(&b"new"[..]), "the new value");
}

/// Value, lifetime and numbers stay as they were.
// covers: B3, C3, D02
pub fn a_refused_set_counts_no_set_and_changes_nothing(subject: &Subject) {
    if !subject.has(Capability::Conditions) {
        return;
    }
    let (cache, minute) = (&subject.cache, subject.seconds(60));
    cache.set("key", "old", minute).expect(OK);
    for ttl in [Duration::ZERO, minute * 2] {
        let refused = cache.set("key", "new", when(Condition::IfAbsent).with_ttl(ttl));
        assert!(!refused.expect(OK), "stored with {ttl:?} although present");
        let refused = cache.set("no", "new", when(Condition::IfPresent).with_ttl(ttl));
        assert!(!refused.expect(OK), "stored with {ttl:?} although absent");
    }
    let stats = cache.stats().expect(OK);
    assert_eq!((stats.sets, stats.deletes), (1, 0), "sets, deletes");
    assert_eq!((stats.hits, stats.misses), (0, 0), "a set is no get");
    let value = cache.get("key").expect(OK);
    assert_eq!(value.as_deref(), Some(&b"old"[..]), "the value changed");
    subject.pass(minute);
    assert!(!cache.exists("key").expect(OK), "the lifetime changed");
}

/// Each item for itself, in the order given.
// covers: C9, F7, D09, D55
pub fn a_condition_holds_for_each_item_of_a_batch(subject: &Subject) {
    if !subject.has(Capability::Conditions) {
        return;
    }
    let cache = &subject.cache;
    cache.set("there", "old", SetOptions::new()).expect(OK);
    let items = ["a", "there", "b", "a"].map(|key| (key.to_owned(), Bytes::from("new")));
    let report = cache
        .set_many(items.to_vec(), when(Condition::IfAbsent))
        .expect(OK);
    assert_eq!(report.stored(), 2, "a and b");
    assert_eq!(report.refused(), ["there", "a"], "what was there by then");
    assert!(report.failed().is_empty(), "refused is not failed");
    let value = cache.get("there").expect(OK);
    assert_eq!(value.as_deref(), Some(&b"old"[..]), "the value changed");
}
