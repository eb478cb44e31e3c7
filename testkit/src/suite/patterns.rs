//! Listing, scanning and removing by pattern.

use larder_core::{Capability, Pattern, SetOptions};

use super::OK;
use crate::Subject;

/// Fills the cache with the keys of a small application.
fn fill(subject: &Subject) -> Vec<String> {
    let keys = [
        "user:123:profile",
        "user:123:settings",
        "user:456:profile",
        "session:abc",
        "user:*",
        "100%",
    ];
    for key in keys {
        subject.cache.set(key, key, SetOptions::new()).expect(OK);
    }
    sorted(keys.map(str::to_owned).to_vec())
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

fn glob(text: &str) -> Pattern {
    Pattern::glob(text).expect("a legal pattern")
}

/// Without a pattern: every key that is alive, and no other.
// covers: C12, G1
pub fn keys_lists_what_is_alive(subject: &Subject) {
    if !subject.has(Capability::Keys) {
        return;
    }
    assert_eq!(subject.cache.keys(None).expect(OK), Vec::<String>::new());
    let keys = fill(subject);
    subject
        .cache
        .set("over", "1", subject.seconds(1))
        .expect(OK);
    subject.pass(subject.seconds(1));
    assert_eq!(sorted(subject.cache.keys(None).expect(OK)), keys);
}

/// One grammar on every backend.
// covers: C11, G1, G2, G3, G12, D10
pub fn patterns_pick_the_right_keys(subject: &Subject) {
    if !subject.has(Capability::Keys) {
        return;
    }
    fill(subject);
    let table: [(&str, &[&str]); 9] = [
        ("session:*", &["session:abc"]),
        ("*:profile", &["user:123:profile", "user:456:profile"]),
        ("user:123:*", &["user:123:profile", "user:123:settings"]),
        ("user:?56:*", &["user:456:profile"]),
        ("user:[0-3]*:profile", &["user:123:profile"]),
        ("user:[!0-3]*:profile", &["user:456:profile"]),
        (r"user:\*", &["user:*"]),
        ("100%", &["100%"]),
        ("nothing*", &[]),
    ];
    for (pattern, expected) in table {
        let found = subject.cache.keys(Some(&glob(pattern))).expect(OK);
        assert_eq!(sorted(found), expected, "{pattern}");
    }
}

/// Pages in order cover every matching key exactly once.
// covers: G1, D54
pub fn scan_pages_through_all_keys_once(subject: &Subject) {
    if !subject.has(Capability::Keys) {
        return;
    }
    let all: Vec<String> = (0..1_000).map(|n| format!("item:{n:04}")).collect();
    for key in &all {
        subject.cache.set(key, "1", SetOptions::new()).expect(OK);
    }
    subject
        .cache
        .set("other", "1", SetOptions::new())
        .expect(OK);
    for limit in [0, 1, 7, 999, 1_000, 5_000] {
        let wanted = if limit == 0 { &all[..5] } else { &all[..] };
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        while seen.len() < wanted.len() {
            let page = subject
                .cache
                .scan(Some(&glob("item:*")), after.as_deref(), limit);
            let page = page.expect(OK);
            assert!(page.keys().len() <= limit.max(1), "page of {limit}");
            seen.extend(page.keys().iter().cloned());
            match page.next() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(seen, wanted, "pages of {limit}");
    }
}

/// What matches goes and is counted, the rest stays.
// covers: G7, G10
pub fn delete_pattern_removes_what_matches(subject: &Subject) {
    if !subject.has(Capability::Keys) {
        return;
    }
    let keys = fill(subject);
    assert_eq!(
        subject.cache.delete_pattern(&glob("user:123:*")).expect(OK),
        2
    );
    assert_eq!(
        subject.cache.delete_pattern(&glob("user:123:*")).expect(OK),
        0
    );
    let left = subject.cache.keys(None).expect(OK);
    assert_eq!(left.len(), keys.len() - 2);
    assert!(!left.iter().any(|key| key.starts_with("user:123:")));
    // A prefix by itself clears an application.
    subject.cache.delete_pattern(&glob("user:*")).expect(OK);
    assert_eq!(subject.cache.keys(None).expect(OK).len(), 2);
}

/// Listed names are the names that `get` and `delete_many` take.
// covers: G9, G11
pub fn keys_feed_the_other_methods(subject: &Subject) {
    if !subject.has(Capability::Keys) {
        return;
    }
    fill(subject);
    let keys = subject.cache.keys(Some(&glob("user:[14]*"))).expect(OK);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(keys.len(), 3);
    for key in &keys {
        let value = subject.cache.get(key).expect(OK);
        assert_eq!(value.as_deref(), Some(key.as_bytes()));
    }
    assert_eq!(subject.cache.delete_many(&keys).expect(OK), 3);
    assert_eq!(subject.cache.keys(None).expect(OK).len(), 3);
}

/// What expired is not there to be removed.
// covers: G7, D07
pub fn delete_pattern_does_not_count_what_expired(subject: &Subject) {
    if !subject.has(Capability::Keys) {
        return;
    }
    let (cache, second) = (&subject.cache, subject.seconds(1));
    cache.set("user:1", "1", second).expect(OK);
    cache.set("user:2", "2", second * 2).expect(OK);
    subject.pass(second);
    let deleted = cache.delete_pattern(&glob("user:*")).expect(OK);
    assert_eq!(deleted, 1, "user:1 was gone already");
    let stats = cache.stats().expect(OK);
    assert_eq!(stats.deletes, 1, "deletes counted");
}

/// Size is no excuse to leave one out or to name one twice.
// covers: C12, G1, D54
pub fn thousands_of_keys_are_listed_and_paged(subject: &Subject) {
    if !subject.has(Capability::Keys) {
        return;
    }
    let all: Vec<String> = (0..5_000).map(|n| format!("{n:04}")).collect();
    let items = all.iter().map(|key| (key.clone(), "1".into())).collect();
    let report = subject.cache.set_many(items, SetOptions::new()).expect(OK);
    assert_eq!(report.stored(), 5_000);
    let listed = sorted(subject.cache.keys(None).expect(OK));
    assert!(listed == all, "{} keys listed of 5000", listed.len());
    let (mut paged, mut after) = (Vec::new(), None::<String>);
    for _ in 0..=all.len() / 512 {
        let page = subject.cache.scan(None, after.as_deref(), 512).expect(OK);
        after = page.next().map(str::to_owned);
        paged.extend(page.into_keys());
        if after.is_none() {
            break;
        }
    }
    assert!(paged == all, "{} keys paged of 5000", paged.len());
}
