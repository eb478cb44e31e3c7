//! Lifetimes, to the millisecond.

use std::time::Duration;

use larder_core::{Capability, SetOptions, Ttl, TtlState};

use super::OK;
use crate::Subject;

/// Alive a millisecond before the end, gone at the end.
// covers: C1, C2, C5, A8, D-3, D-10
pub fn gone_at_the_very_end(subject: &Subject) {
    let cache = &subject.cache;
    let milli = subject.millis(1);
    let year = Duration::from_secs(86_400 * 365);
    for ttl in [
        subject.millis(1_000),
        subject.millis(1_500),
        milli * 2,
        year,
    ] {
        cache.set("key", "value", ttl).expect(OK);
        subject.pass(ttl.saturating_sub(milli));
        assert!(cache.exists("key").expect(OK), "{ttl:?}: gone too soon");
        assert!(
            cache.get("key").expect(OK).is_some(),
            "{ttl:?}: gone too soon"
        );
        subject.pass(milli);
        assert!(!cache.exists("key").expect(OK), "{ttl:?}: still there");
        assert_eq!(cache.get("key").expect(OK), None, "{ttl:?}: still there");
    }
}

/// No lifetime is no end.
// covers: D01, D52
pub fn without_a_ttl_it_stays(subject: &Subject) {
    let cache = &subject.cache;
    cache.set("omitted", "1", SetOptions::new()).expect(OK);
    cache.set("never", "2", Ttl::Never).expect(OK);
    subject.pass(subject.seconds(86_400 * 3_650));
    assert!(cache.exists("omitted").expect(OK) && cache.exists("never").expect(OK));
}

/// Zero means "already over": done, nothing stored, the old value gone.
// covers: D02
pub fn a_ttl_of_zero_removes_and_is_done(subject: &Subject) {
    let cache = &subject.cache;
    assert!(cache.set("new", "1", Duration::ZERO).expect(OK));
    assert!(!cache.exists("new").expect(OK));
    cache.set("old", "1", SetOptions::new()).expect(OK);
    assert!(cache.set("old", "2", Duration::ZERO).expect(OK));
    assert_eq!(cache.get("old").expect(OK), None);
    let items = vec![("a".to_owned(), "1".into()), ("b".to_owned(), "2".into())];
    let report = cache.set_many(items, Duration::ZERO.into()).expect(OK);
    assert_eq!(report.stored(), 2);
    assert!(!cache.exists("a").expect(OK));
}

/// `touch` gives another lifetime, shorter or longer, and leaves the value.
// covers: I1, I3, I6, D21
pub fn touch_changes_the_lifetime_only(subject: &Subject) {
    if !subject.has(Capability::Touch) {
        return;
    }
    let cache = &subject.cache;
    for key in ["longer", "shorter", "endless"] {
        cache.set(key, "value", subject.seconds(10)).expect(OK);
    }
    assert!(
        cache
            .touch("longer", Ttl::After(subject.seconds(20)))
            .expect(OK)
    );
    assert!(
        cache
            .touch("shorter", Ttl::After(subject.seconds(1)))
            .expect(OK)
    );
    assert!(cache.touch("endless", Ttl::Never).expect(OK));
    subject.pass(subject.seconds(1));
    assert!(!cache.exists("shorter").expect(OK));
    subject.pass(subject.seconds(18));
    assert_eq!(
        cache.get("longer").expect(OK).as_deref(),
        Some(&b"value"[..])
    );
    subject.pass(subject.seconds(86_400));
    assert!(!cache.exists("longer").expect(OK));
    assert_eq!(
        cache.get("endless").expect(OK).as_deref(),
        Some(&b"value"[..])
    );
}

/// What is missing or expired is not created.
// covers: I2, D21
pub fn touch_creates_nothing(subject: &Subject) {
    if !subject.has(Capability::Touch) {
        return;
    }
    let cache = &subject.cache;
    assert!(
        !cache
            .touch("missing", Ttl::After(subject.seconds(1)))
            .expect(OK)
    );
    assert!(!cache.exists("missing").expect(OK));
    cache.set("over", "value", subject.seconds(1)).expect(OK);
    subject.pass(subject.seconds(1));
    assert!(
        !cache
            .touch("over", Ttl::After(subject.seconds(1)))
            .expect(OK)
    );
    assert!(!cache.exists("over").expect(OK));
}

/// A new lifetime of zero is an end.
// covers: D02
pub fn touch_with_zero_removes(subject: &Subject) {
    if !subject.has(Capability::Touch) {
        return;
    }
    let cache = &subject.cache;
    cache.set("key", "value", SetOptions::new()).expect(OK);
    assert!(cache.touch("key", Ttl::After(Duration::ZERO)).expect(OK));
    assert!(!cache.exists("key").expect(OK));
    assert!(!cache.touch("key", Ttl::After(Duration::ZERO)).expect(OK));
}

/// The rest of the lifetime, "never", or nothing.
// covers: I5
pub fn ttl_tells_the_rest(subject: &Subject) {
    if !subject.has(Capability::Entries) {
        return;
    }
    let cache = &subject.cache;
    assert_eq!(cache.ttl("missing").expect(OK), None);
    cache.set("forever", "1", SetOptions::new()).expect(OK);
    assert_eq!(cache.ttl("forever").expect(OK), Some(TtlState::Never));
    cache.set("minute", "1", subject.seconds(60)).expect(OK);
    subject.pass(subject.seconds(15));
    let rest = cache.ttl("minute").expect(OK);
    let rest = rest.and_then(TtlState::remaining).expect("it has an end");
    assert!(subject.is_about(rest, subject.seconds(45)), "{rest:?}");
    subject.pass(subject.seconds(45));
    assert_eq!(cache.ttl("minute").expect(OK), None);
}

/// Whichever way one asks, what is over is not there, and not counted as removed.
// covers: C1, C4, C8, C10, D07, D-3, F3
pub fn what_expired_is_there_for_nobody(subject: &Subject) {
    let cache = &subject.cache;
    for key in ["a", "b"] {
        cache.set(key, "1", subject.seconds(1)).expect(OK);
    }
    subject.pass(subject.seconds(1));
    if subject.has(Capability::Entries) {
        assert_eq!(cache.get_entry("a").expect(OK), None, "get_entry");
        assert_eq!(cache.ttl("a").expect(OK), None, "ttl");
    }
    assert_eq!(cache.get_many(&["a", "b"]).expect(OK), [], "get_many");
    assert_eq!(cache.delete_many(&["a", "b"]).expect(OK), 0, "delete_many");
    assert_eq!(cache.clear().expect(OK), 0, "clear");
}
