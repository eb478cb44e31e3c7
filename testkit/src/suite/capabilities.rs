//! Capabilities, both ways: what is promised works, what is not is `Unsupported`
//! and changes nothing.

use std::time::Duration;

use larder_core::{
    Capability, Condition, Error, ErrorKind, Pattern, Result, SetOptions, TagMatch, Ttl,
};

use super::OK;
use crate::Subject;

/// Runs `works` if the capability is promised, and otherwise checks that each of
/// the operations is unsupported and the cache unchanged.
fn both_ways<const N: usize>(
    subject: &Subject,
    capability: Capability,
    operations: [(&str, &dyn Fn() -> Result<()>); N],
    works: impl FnOnce(),
) {
    subject.cache.set("key", "1", SetOptions::new()).expect(OK);
    if subject.has(capability) {
        return works();
    }
    for (name, operation) in operations {
        let error: Error = operation().expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
    }
    let value = subject.cache.get("key").expect(OK);
    assert_eq!(
        value.as_deref(),
        Some(&b"1"[..]),
        "changed although unsupported"
    );
    assert_eq!(subject.cache.stats().expect(OK).current_entries, 1);
}

/// `keys`, `scan` and `delete_pattern`.
// covers: C11, C14, C21, G5, H10
pub fn listing_works_or_is_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    let all = Pattern::glob("*").expect("a legal pattern");
    both_ways(
        subject,
        Capability::Keys,
        [
            ("keys", &|| cache.keys(None).map(drop)),
            ("scan", &|| cache.scan(None, None, 10).map(drop)),
            ("delete_pattern", &|| cache.delete_pattern(&all).map(drop)),
        ],
        || {
            assert_eq!(cache.keys(None).expect(OK), ["key"]);
            assert_eq!(cache.scan(None, None, 10).expect(OK).keys(), ["key"]);
            assert_eq!(cache.delete_pattern(&all).expect(OK), 1);
        },
    );
}

/// `increment` and `decrement`.
// covers: C21, H10
pub fn counting_works_or_is_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    both_ways(
        subject,
        Capability::Counters,
        [
            ("increment", &|| {
                cache.increment("key", 1, Ttl::Default).map(drop)
            }),
            ("decrement", &|| {
                cache.decrement("key", 1, Ttl::Default).map(drop)
            }),
        ],
        || assert_eq!(cache.increment("key", 1, Ttl::Default).expect(OK), 2),
    );
}

/// `touch`.
// covers: C21
pub fn touching_works_or_is_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    both_ways(
        subject,
        Capability::Touch,
        [("touch", &|| cache.touch("key", Ttl::Never).map(drop))],
        || assert!(cache.touch("key", Ttl::Never).expect(OK)),
    );
}

/// `get_entry` and `ttl`.
// covers: C20, C21, A2, A3, A4, A5
pub fn entries_work_or_are_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    both_ways(
        subject,
        Capability::Entries,
        [
            ("get_entry", &|| cache.get_entry("key").map(drop)),
            ("get_entries", &|| cache.get_entries(&["key"]).map(drop)),
            ("ttl", &|| cache.ttl("key").map(drop)),
        ],
        || {
            let now = larder_core::Clock::now(subject.clock());
            let ttl = subject.seconds(60);
            cache.set("timed", "value", ttl).expect(OK);
            subject.pass(subject.seconds(10));
            let entry = cache.get_entry("timed").expect(OK).expect("it is there");
            assert_eq!(
                (entry.key.as_str(), &entry.value[..]),
                ("timed", &b"value"[..])
            );
            assert_eq!(entry.created_at, now);
            let end = entry.expires_at.expect("it has an end");
            let lifetime = end.duration_since(now).expect("it ends later");
            assert!(subject.is_about(lifetime, ttl), "{lifetime:?}");
            assert_eq!(entry.size_bytes, 5);
            assert!(cache.get_entry("missing").expect(OK).is_none());
        },
    );
}

/// Metadata comes back, or is not taken.
// covers: C2, C19, C20, C21, A7
pub fn metadata_is_kept_or_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    let options =
        || SetOptions::new().with_metadata([("endpoint", "/api/users".into()), ("n", 1.into())]);
    both_ways(
        subject,
        Capability::Metadata,
        [("set", &|| cache.set("key", "2", options()).map(drop))],
        || {
            cache.set("key", "2", options()).expect(OK);
            let entry = cache.get_entry("key").expect(OK).expect("it is there");
            assert_eq!(entry.metadata, options().metadata);
            cache.set("key", "3", SetOptions::new()).expect(OK);
            let entry = cache.get_entry("key").expect(OK).expect("it is there");
            assert!(entry.metadata.is_empty(), "the old metadata stayed");
        },
    );
}

/// Tags are kept and can be invalidated, or are not taken.
// covers: C21
pub fn tags_work_or_are_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    let tagged = || SetOptions::new().with_tags(["a"]);
    both_ways(
        subject,
        Capability::Tags,
        [
            ("set", &|| cache.set("key", "2", tagged()).map(drop)),
            ("invalidate", &|| {
                cache.invalidate_tags(&["a"], TagMatch::Any).map(drop)
            }),
        ],
        || {
            cache.set("one", "1", tagged()).expect(OK);
            let gone = cache.invalidate_tags(&["a"], TagMatch::Any);
            assert!(matches!(gone.expect(OK), Some(1) | None));
            assert_eq!(cache.get("one").expect(OK), None);
            assert!(cache.exists("key").expect(OK));
        },
    );
}

/// A `set` under a condition that does not hold changes nothing.
// covers: C2, C21, D02
pub fn conditions_hold_or_are_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    let absent = || SetOptions::new().with_condition(Condition::IfAbsent);
    let present = || SetOptions::new().with_condition(Condition::IfPresent);
    both_ways(
        subject,
        Capability::Conditions,
        [
            ("set", &|| cache.set("key", "2", absent()).map(drop)),
            ("set", &|| cache.set("new", "2", present()).map(drop)),
        ],
        || {
            assert!(!cache.set("key", "2", absent()).expect(OK));
            assert!(cache.set("new", "2", absent()).expect(OK));
            assert!(cache.set("key", "3", present()).expect(OK));
            assert!(!cache.set("other", "3", present()).expect(OK));
            assert!(!cache.exists("other").expect(OK));
            assert_eq!(cache.get("key").expect(OK).as_deref(), Some(&b"3"[..]));
            let zero = Duration::ZERO;
            assert!(!cache.set("key", "4", absent().with_ttl(zero)).expect(OK));
            assert!(cache.exists("key").expect(OK));
            assert!(cache.set("key", "4", present().with_ttl(zero)).expect(OK));
            assert!(!cache.exists("key").expect(OK));
            assert!(!cache.set("key", "4", present().with_ttl(zero)).expect(OK));
        },
    );
}

/// `LIKE` only where it is promised; what it means is the same everywhere.
// covers: G6, D10
pub fn patterns_by_name_work_or_are_unsupported(subject: &Subject) {
    let cache = &subject.cache;
    let like = Pattern::like("k_y%").expect("a legal pattern");
    both_ways(
        subject,
        Capability::LikePatterns,
        [
            ("keys", &|| cache.keys(Some(&like)).map(drop)),
            ("delete_pattern", &|| cache.delete_pattern(&like).map(drop)),
        ],
        || {
            cache.set("k%y", "1", SetOptions::new()).expect(OK);
            cache.set("kx", "1", SetOptions::new()).expect(OK);
            let mut found = cache.keys(Some(&like)).expect(OK);
            found.sort();
            assert_eq!(found, ["k%y", "key"]);
        },
    );
}

/// Regular expressions only where they are promised; the whole key has to match.
///
/// Needs the feature `regex`; without it there is no such pattern to try.
// covers: G4, D10, C21
pub fn regular_expressions_work_or_are_unsupported(subject: &Subject) {
    #[cfg(not(feature = "regex"))]
    let _ = subject;
    #[cfg(feature = "regex")]
    {
        let cache = &subject.cache;
        let regex = Pattern::regex("k[a-z]+").expect("a legal pattern");
        both_ways(
            subject,
            Capability::RegexPatterns,
            [
                ("keys", &|| cache.keys(Some(&regex)).map(drop)),
                ("delete_pattern", &|| cache.delete_pattern(&regex).map(drop)),
            ],
            || {
                for key in ["kind", "k1", "a key"] {
                    cache.set(key, "1", SetOptions::new()).expect(OK);
                }
                let mut found = cache.keys(Some(&regex)).expect(OK);
                found.sort();
                assert_eq!(found, ["key", "kind"]);
                assert_eq!(cache.delete_pattern(&regex).expect(OK), 2);
            },
        );
    }
}
