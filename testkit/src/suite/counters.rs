//! Numbers that are changed in one step.

use larder_core::{Capability, ErrorKind, SetOptions, Ttl};

use super::OK;
use crate::Subject;

/// A missing key counts as zero, and there is no floor.
// covers: H1, H2, H4, H5, D20
pub fn counting_starts_at_zero_and_goes_below(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    let cache = &subject.cache;
    assert_eq!(cache.increment("up", 1, Ttl::Default).expect(OK), 1);
    assert_eq!(cache.increment("up", 41, Ttl::Default).expect(OK), 42);
    assert_eq!(cache.increment("up", 0, Ttl::Default).expect(OK), 42);
    assert_eq!(cache.decrement("up", 50, Ttl::Default).expect(OK), -8);
    assert_eq!(cache.decrement("down", 3, Ttl::Default).expect(OK), -3);
    assert_eq!(cache.increment("down", -2, Ttl::Default).expect(OK), -5);
}

/// Counters are plain decimals, both ways.
// covers: H6
pub fn a_stored_number_counts_and_a_counter_reads_as_a_number(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    let cache = &subject.cache;
    cache.set("n", "0", SetOptions::new()).expect(OK);
    assert_eq!(cache.increment("n", 5, Ttl::Default).expect(OK), 5);
    assert_eq!(cache.get("n").expect(OK).as_deref(), Some(&b"5"[..]));
    cache
        .set("n", "-9223372036854775808", SetOptions::new())
        .expect(OK);
    assert_eq!(cache.increment("n", i64::MAX, Ttl::Default).expect(OK), -1);
}

/// Counting does not prolong a life.
// covers: H7
pub fn counting_keeps_the_lifetime(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    let cache = &subject.cache;
    cache.set("n", "1", subject.seconds(10)).expect(OK);
    subject.pass(subject.seconds(9));
    let later = Ttl::After(subject.seconds(100));
    assert_eq!(cache.increment("n", 1, later).expect(OK), 2);
    subject.pass(subject.seconds(1));
    assert_eq!(cache.get("n").expect(OK), None);
    assert_eq!(
        cache.increment("n", 1, Ttl::Default).expect(OK),
        1,
        "a new one"
    );
}

/// A counter that is created lives as long as it was told to.
// covers: D20
pub fn a_new_counter_gets_the_lifetime_asked_for(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    let cache = &subject.cache;
    let minute = Ttl::After(subject.seconds(60));
    cache.increment("limited", 1, minute).expect(OK);
    cache.increment("endless", 1, Ttl::Never).expect(OK);
    subject.pass(subject.seconds(60));
    assert!(!cache.exists("limited").expect(OK));
    assert!(cache.exists("endless").expect(OK));
}

/// Text is not counted, and not harmed.
// covers: H8
pub fn what_is_no_number_stays(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    let cache = &subject.cache;
    for text in ["", "abc", "1.5", " 1", "1 ", "9223372036854775808"] {
        cache.set("text", text, SetOptions::new()).expect(OK);
        let error = cache.increment("text", 1, Ttl::Default).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::NotANumber, "{text:?}");
        let value = cache.get("text").expect(OK);
        assert_eq!(value.as_deref(), Some(text.as_bytes()));
    }
}

/// A sum beyond 64 bits is an error and leaves the number as it was.
// covers: H8
pub fn an_overflow_changes_nothing(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    let cache = &subject.cache;
    for (start, delta) in [(i64::MAX, 1), (i64::MIN, -1)] {
        cache
            .set("n", start.to_string(), SetOptions::new())
            .expect(OK);
        let error = cache.increment("n", delta, Ttl::Default);
        assert_eq!(
            error.expect_err("beyond 64 bits").kind(),
            ErrorKind::Overflow
        );
        let value = cache.get("n").expect(OK);
        assert_eq!(value.as_deref(), Some(start.to_string().as_bytes()));
    }
    let error = cache.decrement("n", i64::MIN, Ttl::Default);
    assert_eq!(
        error.expect_err("no positive form").kind(),
        ErrorKind::Overflow
    );
}
