//! Many keys at once.

use bytes::Bytes;
use larder_core::{CacheEntry, Capability, ErrorKind, SetOptions};

use super::OK;
use crate::Subject;

fn items(keys: &[&str]) -> Vec<(String, Bytes)> {
    let item = |key: &&str| ((*key).to_owned(), Bytes::from(format!("value of {key}")));
    keys.iter().map(item).collect()
}

/// The order of the keys, without the missing ones, each key once.
// covers: C8, C13, F1, D56
pub fn get_many_keeps_order_omits_missing_and_repeats_nothing(subject: &Subject) {
    let cache = &subject.cache;
    let _ = cache
        .set_many(items(&["a", "b", "c"]), SetOptions::new())
        .expect(OK);
    let found = cache.get_many(&["c", "missing", "a", "c", "a"]).expect(OK);
    assert_eq!(found, items(&["c", "a"]));
}

/// The entries in the order of the keys, without the missing ones, each key once.
// covers: C20, F1, D56
pub fn get_entries_tells_of_each_what_get_entry_does(subject: &Subject) {
    let cache = &subject.cache;
    if !subject.has(Capability::Entries) {
        let error = cache.get_entries(&["a"]).expect_err("it is not promised");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        return;
    }
    let _ = cache
        .set_many(items(&["a", "b"]), subject.seconds(60).into())
        .expect(OK);
    cache.set("n", "41", SetOptions::new()).expect(OK);
    let found = cache
        .get_entries(&["n", "missing", "b", "n", "a"])
        .expect(OK);
    let keys: Vec<&str> = found.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["n", "b", "a"]);
    for entry in found {
        let alone = cache.get_entry(&entry.key).expect(OK);
        let alone = alone.expect("it was there before");
        assert_eq!(
            (&entry.value, entry.created_at),
            (&alone.value, alone.created_at)
        );
        let rest =
            |entry: &CacheEntry| entry.ttl_remaining(larder_core::Clock::now(subject.clock()));
        match (rest(&entry), rest(&alone)) {
            (Some(one), Some(other)) => assert!(subject.is_about(one, other), "{one:?}"),
            (one, other) => assert_eq!(one, other, "{}", entry.key),
        }
    }
    assert_eq!(cache.get_entries(&[]).expect(OK), []);
}

/// Every item is stored, all with the same lifetime.
// covers: C9, F2, D09
pub fn set_many_stores_all_with_one_lifetime(subject: &Subject) {
    let cache = &subject.cache;
    let ttl = subject.seconds(10);
    let report = cache
        .set_many(items(&["a", "b", "c"]), ttl.into())
        .expect(OK);
    assert_eq!(report.stored(), 3);
    assert!(report.all_ok());
    subject.pass(subject.millis(9_999));
    assert_eq!(cache.get_many(&["a", "b", "c"]).expect(OK).len(), 3);
    subject.pass(subject.millis(1));
    assert_eq!(cache.get_many(&["a", "b", "c"]).expect(OK), []);
}

/// Only what was there counts, and only once.
// covers: C10, F3
pub fn delete_many_counts_what_was_there(subject: &Subject) {
    let cache = &subject.cache;
    let _ = cache
        .set_many(items(&["a", "b", "c"]), SetOptions::new())
        .expect(OK);
    let deleted = cache.delete_many(&["a", "missing", "b", "a"]).expect(OK);
    assert_eq!(deleted, 2);
    assert!(cache.exists("c").expect(OK) && !cache.exists("a").expect(OK));
}

/// Nothing in, nothing out.
// covers: F5
pub fn empty_batches_do_nothing(subject: &Subject) {
    let cache = &subject.cache;
    assert_eq!(cache.get_many(&[]).expect(OK), []);
    assert_eq!(cache.delete_many(&[]).expect(OK), 0);
    let report = cache.set_many(Vec::new(), SetOptions::new()).expect(OK);
    assert!(report.all_ok() && report.stored() == 0);
}

/// A batch is not all or nothing: each item has its own outcome.
// covers: F7, D55
pub fn a_bad_item_fails_alone(subject: &Subject) {
    let cache = &subject.cache;
    let report = cache
        .set_many(items(&["a", "bad\n", "b"]), SetOptions::new())
        .expect(OK);
    assert_eq!(report.stored(), 2);
    let (key, error) = report.failed().first().expect("one item is bad");
    assert_eq!(
        (key.as_str(), error.kind()),
        ("bad\n", ErrorKind::InvalidKey)
    );
    assert_eq!(cache.get_many(&["a", "b"]).expect(OK), items(&["a", "b"]));
}
