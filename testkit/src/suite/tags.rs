//! Tags: entries that are invalidated together. Backends without them have no promise
//! here; that they say so is a case of the capabilities.

use larder_core::{Capability, ErrorKind, SetOptions, TagMatch};

use super::OK;
use crate::Subject;

fn tagged(tags: &[&str]) -> SetOptions {
    SetOptions::new().with_tags(tags.iter().copied())
}

/// Invalidates, and checks the number if the backend can tell one.
fn invalidate(subject: &Subject, tags: &[&str], which: TagMatch, expected: u64) {
    let told = subject.cache.invalidate_tags(tags, which).expect(OK);
    if let Some(told) = told {
        assert_eq!(told, expected, "{which:?} of {tags:?}");
    }
}

fn is_there(subject: &Subject, key: &str) -> bool {
    subject.cache.get(key).expect(OK).is_some()
}

/// Any: at least one tag in common. All: each of the tags. No tag: nothing.
pub fn any_of_the_tags_or_all_of_them(subject: &Subject) {
    if !subject.has(Capability::Tags) {
        return;
    }
    let cache = &subject.cache;
    let fill = || {
        let sets: [(&str, &[&str]); 5] = [
            ("a", &["a"]),
            ("b", &["b"]),
            ("ab", &["a", "b"]),
            ("abc", &["c", "b", "a"]),
            ("none", &[]),
        ];
        for (key, tags) in sets {
            cache.set(key, key, tagged(tags)).expect(OK);
        }
    };
    let left = || -> Vec<&str> {
        let keys = ["a", "b", "ab", "abc", "none"];
        keys.into_iter()
            .filter(|key| is_there(subject, key))
            .collect()
    };
    fill();
    invalidate(subject, &["a", "b"], TagMatch::All, 2);
    assert_eq!(left(), ["a", "b", "none"]);
    fill();
    invalidate(subject, &["c", "b", "b"], TagMatch::Any, 3);
    assert_eq!(left(), ["a", "none"]);
    invalidate(subject, &["other"], TagMatch::Any, 0);
    invalidate(subject, &["a", "other"], TagMatch::All, 0);
    invalidate(subject, &[], TagMatch::Any, 0);
    invalidate(subject, &[], TagMatch::All, 0);
    assert_eq!(left(), ["a", "none"]);
    invalidate(subject, &["a"], TagMatch::All, 1);
    assert_eq!(left(), ["none"]);
}

/// No method finds what was invalidated.
pub fn whoever_asks_finds_nothing_invalidated(subject: &Subject) {
    if !subject.has(Capability::Tags) {
        return;
    }
    let cache = &subject.cache;
    let fill = || cache.set("key", "value", tagged(&["tag"])).expect(OK);
    let gone = || {
        fill();
        assert!(is_there(subject, "key"));
        invalidate(subject, &["tag"], TagMatch::Any, 1);
    };
    gone();
    assert_eq!(cache.get_many(&["key"]).expect(OK), []);
    gone();
    assert!(!cache.exists("key").expect(OK));
    if subject.has(Capability::Entries) {
        gone();
        assert_eq!(cache.get_entry("key").expect(OK), None);
        gone();
        assert_eq!(cache.get_entries(&["key"]).expect(OK), []);
        gone();
        assert_eq!(cache.ttl("key").expect(OK), None);
    }
    if subject.has(Capability::Touch) {
        gone();
        assert!(!cache.touch("key", subject.seconds(60).into()).expect(OK));
        assert!(!is_there(subject, "key"));
    }
    if subject.has(Capability::Conditions) {
        gone();
        let absent = larder_core::Condition::IfAbsent;
        let options = SetOptions::new().with_condition(absent);
        assert!(cache.set("key", "new", options).expect(OK));
        assert!(is_there(subject, "key"));
    }
}

/// Storing a key again gives it the new tags only.
pub fn what_replaces_has_its_own_tags(subject: &Subject) {
    if !subject.has(Capability::Tags) {
        return;
    }
    let cache = &subject.cache;
    cache.set("key", "1", tagged(&["old"])).expect(OK);
    cache.set("key", "2", tagged(&["new"])).expect(OK);
    invalidate(subject, &["old"], TagMatch::Any, 0);
    assert!(is_there(subject, "key"));
    invalidate(subject, &["new"], TagMatch::Any, 1);
    assert!(!is_there(subject, "key"));
    cache.set("key", "3", tagged(&["old", "new"])).expect(OK);
    cache.set("key", "4", SetOptions::new()).expect(OK);
    invalidate(subject, &["old", "new"], TagMatch::Any, 0);
    assert!(is_there(subject, "key"));
    cache.set("key", "5", tagged(&["last"])).expect(OK);
    assert!(cache.delete("key").expect(OK));
    invalidate(subject, &["last"], TagMatch::Any, 0);
}

/// An invalidation is about the past.
pub fn what_is_stored_after_an_invalidation_lives(subject: &Subject) {
    if !subject.has(Capability::Tags) {
        return;
    }
    for round in 0..3 {
        let value = round.to_string();
        subject
            .cache
            .set("key", value, tagged(&["a", "b"]))
            .expect(OK);
        assert!(is_there(subject, "key"), "round {round}");
        let which = [TagMatch::Any, TagMatch::All][round % 2];
        invalidate(subject, &["a", "b"], which, 1);
        assert!(!is_there(subject, "key"), "round {round}");
    }
}

/// What is stored together is tagged together.
pub fn a_batch_has_the_same_tags(subject: &Subject) {
    if !subject.has(Capability::Tags) {
        return;
    }
    let cache = &subject.cache;
    let keys: Vec<String> = (0..50).map(|number| format!("key:{number}")).collect();
    let items = keys
        .iter()
        .map(|key| (key.clone(), "value".into()))
        .collect();
    let report = cache
        .set_many(items, tagged(&["batch", "other"]))
        .expect(OK);
    assert_eq!(report.stored(), 50);
    cache.set("alone", "value", tagged(&["alone"])).expect(OK);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(cache.get_many(&keys).expect(OK).len(), 50);
    invalidate(subject, &["batch"], TagMatch::Any, 50);
    assert_eq!(cache.get_many(&keys).expect(OK), []);
    assert!(is_there(subject, "alone"));
}

/// `get_entry` tells the tags, in the order in which they were given.
// covers: D48
pub fn entries_tell_their_tags(subject: &Subject) {
    if !subject.has(Capability::Tags) || !subject.has(Capability::Entries) {
        return;
    }
    let cache = &subject.cache;
    cache.set("key", "1", tagged(&["b", "a"])).expect(OK);
    let entry = cache.get_entry("key").expect(OK).expect("it was stored");
    assert_eq!(entry.tags, ["b", "a"]);
    assert_eq!(entry.value, "1");
    assert_eq!(cache.get_entries(&["key"]).expect(OK)[0].tags, ["b", "a"]);
    // Saying it twice is no harm.
    cache.set("key", "2", tagged(&["a", "b", "a"])).expect(OK);
    assert!(is_there(subject, "key"));
    invalidate(subject, &["a"], TagMatch::Any, 1);
    assert!(!is_there(subject, "key"));
}

/// An empty tag, one with a control character, one that is too long, and too many.
pub fn bad_tags_change_nothing(subject: &Subject) {
    if !subject.has(Capability::Tags) {
        return;
    }
    let cache = &subject.cache;
    cache.set("key", "1", SetOptions::new()).expect(OK);
    let too_many = vec!["tag"; 257];
    let too_long = "t".repeat(251);
    let bad: [(&[&str], ErrorKind); 4] = [
        (&["fine", ""], ErrorKind::InvalidKey),
        (&["line\nbreak"], ErrorKind::InvalidKey),
        (&[too_long.as_str()], ErrorKind::KeyTooLong),
        (&too_many, ErrorKind::TooLarge),
    ];
    for (tags, kind) in bad {
        let error = cache.set("key", "2", tagged(tags)).expect_err("bad tags");
        assert_eq!(error.kind(), kind);
        let error = cache.invalidate_tags(tags, TagMatch::Any);
        assert_eq!(error.expect_err("bad tags").kind(), kind);
    }
    assert_eq!(cache.get("key").expect(OK).as_deref(), Some(&b"1"[..]));
}
