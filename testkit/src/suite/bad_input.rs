//! Bad keys: a typed error, and nothing changed.

use std::time::Duration;

use larder_core::{Capability, Error, ErrorKind, Operation, SetOptions, Ttl};

use super::OK;
use crate::Subject;

/// Keys that no backend takes, with the kind of error they give.
fn bad_keys(subject: &Subject) -> Vec<(String, ErrorKind)> {
    let too_long = subject.cache.capabilities().max_key_bytes() + 1;
    vec![
        (String::new(), ErrorKind::InvalidKey),
        ("line\nbreak".to_owned(), ErrorKind::InvalidKey),
        ("nul\0".to_owned(), ErrorKind::InvalidKey),
        ("\u{7f}".to_owned(), ErrorKind::InvalidKey),
        ("\u{85}".to_owned(), ErrorKind::InvalidKey),
        ("k".repeat(too_long), ErrorKind::KeyTooLong),
        // Bytes count, not characters.
        ("é".repeat(too_long.div_ceil(2)), ErrorKind::KeyTooLong),
    ]
}

/// Two entries that must survive whatever a case does.
fn keepsakes(subject: &Subject) {
    for key in ["kept", "also kept"] {
        subject.cache.set(key, "safe", SetOptions::new()).expect(OK);
    }
}

fn check_keepsakes(subject: &Subject) {
    for key in ["kept", "also kept"] {
        let value = subject.cache.get(key).expect(OK);
        assert_eq!(value.as_deref(), Some(&b"safe"[..]), "{key} was harmed");
    }
    let stats = subject.cache.stats().expect(OK);
    assert_eq!((stats.current_entries, stats.sets), (2, 2));
}

fn check_error<T: std::fmt::Debug>(what: &str, outcome: Result<T, Error>, kind: ErrorKind) {
    let error = outcome.expect_err(what);
    assert_eq!(error.kind(), kind, "{what}: {error}");
    assert_eq!(
        error.operation().map(Operation::name),
        Some(what),
        "{error}"
    );
    assert!(error.to_string().len() < 250, "{error}");
}

/// Every method that takes a key refuses a bad one.
// covers: D33, Y6
pub fn bad_keys_are_refused_everywhere(subject: &Subject) {
    keepsakes(subject);
    let cache = &subject.cache;
    for (key, kind) in bad_keys(subject) {
        check_error("get", cache.get(&key), kind);
        check_error("set", cache.set(&key, "x", SetOptions::new()), kind);
        check_error("set", cache.set(&key, "x", Duration::ZERO), kind);
        check_error("delete", cache.delete(&key), kind);
        check_error("exists", cache.exists(&key), kind);
        check_error("get_entry", cache.get_entry(&key), kind);
        check_error("increment", cache.increment(&key, 1, Ttl::Default), kind);
        check_error("decrement", cache.decrement(&key, 1, Ttl::Default), kind);
        check_error("touch", cache.touch(&key, Ttl::Never), kind);
        check_error("ttl", cache.ttl(&key), kind);
    }
    check_keepsakes(subject);
}

/// A batch with a bad key is refused before anything is done.
// covers: D33
pub fn a_bad_key_in_a_batch_changes_nothing(subject: &Subject) {
    keepsakes(subject);
    for (key, kind) in bad_keys(subject) {
        let keys = ["kept", &key, "also kept"];
        check_error("get_many", subject.cache.get_many(&keys), kind);
        check_error("delete_many", subject.cache.delete_many(&keys), kind);
    }
    check_keepsakes(subject);
}

/// A counter that would be over at once is a mistake.
// covers: D20
pub fn a_counter_cannot_be_born_dead(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    keepsakes(subject);
    let zero = Ttl::After(Duration::ZERO);
    let kind = ErrorKind::InvalidTtl;
    check_error("increment", subject.cache.increment("n", 1, zero), kind);
    check_error("decrement", subject.cache.decrement("n", 1, zero), kind);
    check_keepsakes(subject);
}
