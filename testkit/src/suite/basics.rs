//! Storing, reading, removing.

use bytes::Bytes;
use larder_core::SetOptions;

use super::OK;
use crate::Subject;

/// Values of any size and content come back byte for byte; an empty one is a hit.
// covers: C1, C2, C3, C17, C18, D18, D47, D52
pub fn a_value_comes_back_as_it_was_stored(subject: &Subject) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let values: [(&str, Bytes); 4] = [
        ("empty", Bytes::new()),
        ("text", "hello world".into()),
        ("bytes", all_bytes.into()),
        ("large", vec![7; 1024 * 1024].into()),
    ];
    for (key, value) in &values {
        let stored = subject.cache.set(key, value.clone(), SetOptions::new());
        assert!(stored.expect(OK), "{key} was refused");
    }
    for (key, value) in &values {
        let got = subject.cache.get(key).expect(OK);
        assert!(got.as_ref() == Some(value), "{key} came back changed");
    }
}

/// What was never stored is a miss, not an error.
// covers: C1
pub fn a_missing_key_is_none(subject: &Subject) {
    assert_eq!(subject.cache.get("missing").expect(OK), None);
}

/// A second `set` replaces the value, and its lifetime too.
// covers: D-6
pub fn setting_again_replaces_value_and_lifetime(subject: &Subject) {
    let cache = &subject.cache;
    cache.set("key", "short", subject.seconds(1)).expect(OK);
    cache.set("key", "long", SetOptions::new()).expect(OK);
    subject.pass(subject.seconds(5));
    assert_eq!(cache.get("key").expect(OK).as_deref(), Some(&b"long"[..]));
    let stats = cache.stats().expect(OK);
    assert_eq!((stats.current_entries, stats.evictions()), (1, 0));
}

/// `delete` is true once, for a key that was there.
// covers: C4
pub fn delete_tells_whether_the_key_was_there(subject: &Subject) {
    let cache = &subject.cache;
    assert!(!cache.delete("key").expect(OK), "nothing was there");
    cache.set("key", "value", subject.seconds(1)).expect(OK);
    assert!(cache.delete("key").expect(OK));
    assert!(!cache.delete("key").expect(OK), "deleted twice");
    assert_eq!(cache.get("key").expect(OK), None);

    cache.set("key", "value", subject.seconds(1)).expect(OK);
    subject.pass(subject.seconds(1));
    assert!(!cache.delete("key").expect(OK), "it had expired");
}

/// `exists` answers without counting as a hit or a miss.
// covers: C5, D43
pub fn exists_tells_without_counting(subject: &Subject) {
    let cache = &subject.cache;
    assert!(!cache.exists("key").expect(OK));
    cache.set("key", "", SetOptions::new()).expect(OK);
    assert!(cache.exists("key").expect(OK), "an empty value is there");
    let stats = cache.stats().expect(OK);
    assert_eq!((stats.hits, stats.misses), (0, 0));
}

/// `clear` empties the cache and tells how many entries were alive.
// covers: C6, D08
pub fn clear_removes_everything_and_tells_how_many(subject: &Subject) {
    let cache = &subject.cache;
    assert_eq!(cache.clear().expect(OK), 0);
    for key in ["a", "b", "c"] {
        cache.set(key, "1", SetOptions::new()).expect(OK);
    }
    cache.set("over", "1", subject.seconds(1)).expect(OK);
    subject.pass(subject.seconds(1));
    assert_eq!(
        cache.clear().expect(OK),
        3,
        "an expired entry does not count"
    );
    assert!(!cache.exists("a").expect(OK));
    assert_eq!(subject.entries_or(0), 0);
}

/// Keys are opaque: what means something elsewhere means nothing here.
// covers: D33
pub fn any_legal_key_works(subject: &Subject) {
    let limit = subject.cache.capabilities().max_key_bytes();
    let (longest, longest_wide) = ("k".repeat(limit), "é".repeat(limit / 2));
    let keys = [
        "user:1",
        " ",
        "a b",
        "ключ",
        "日本語",
        "../../etc/passwd",
        "/",
        "a*b?[c]",
        r"back\slash",
        "100%_",
        "'; drop table cache_entries; --",
        "KEY",
        "key",
        &longest,
        &longest_wide,
    ];
    for key in keys {
        let value = Bytes::from(key.to_owned());
        let stored = subject.cache.set(key, value, SetOptions::new());
        assert!(stored.expect(OK), "{key:?} was refused");
    }
    for key in keys {
        let got = subject.cache.get(key).expect(OK);
        assert_eq!(got.as_deref(), Some(key.as_bytes()), "{key:?}");
    }
    for key in keys {
        assert!(subject.cache.delete(key).expect(OK), "{key:?}");
    }
}

/// A clone of the handle is the same cache.
// covers: C15
pub fn clones_are_the_same_cache(subject: &Subject) {
    let other = subject.cache.clone();
    subject
        .cache
        .set("key", "value", SetOptions::new())
        .expect(OK);
    assert!(other.delete("key").expect(OK));
    assert!(!subject.cache.exists("key").expect(OK));
}
