//! Several namespaces in one store.

use larder_core::{Capability, Layer, ManualClock, Pattern, SetOptions, SharedBackend, TagMatch};
use larder_layers::Namespace;
use larder_testkit::ModelBackend;

fn store() -> SharedBackend {
    SharedBackend::new(ModelBackend::with_clock(ManualClock::new()))
}

#[test]
fn nothing_reaches_beyond_the_prefix() {
    let store = store();
    // Prefixes that are patterns, and that begin like each other.
    let prefixes = ["a*:", "ab:", "a%:", "a*:a*:", "[a]:"];
    let spaces = prefixes.map(|prefix| {
        let layer = Namespace::new(prefix).expect("a legal prefix");
        layer.layer(store.clone()).blocking()
    });
    for space in &spaces {
        let options = SetOptions::new().with_tags(["red"]);
        space.set("user:1", "1", options).unwrap();
        space.set("user:2", "2", SetOptions::new()).unwrap();
    }
    let whole = store.blocking();
    // "a*:" holds "a*:a*:" as well, as folders do.
    let expected = [4, 2, 2, 2, 2];
    for (space, count) in spaces.iter().zip(expected) {
        assert_eq!(space.keys(None).unwrap().len(), count);
        assert_eq!(space.stats().unwrap().current_entries, count as u64);
        let glob = Pattern::glob("user:?").unwrap();
        assert_eq!(space.keys(Some(&glob)).unwrap().len(), 2);
        let like = Pattern::like("user:_").unwrap();
        assert_eq!(
            space.scan(Some(&like), None, 9).unwrap().keys(),
            ["user:1", "user:2"]
        );
    }
    assert_eq!(
        spaces[1].invalidate_tags(&["red"], TagMatch::Any).unwrap(),
        Some(1)
    );
    assert_eq!(spaces[4].clear().unwrap(), 2);
    assert_eq!(whole.keys(None).unwrap().len(), 7);
    let gets = spaces[2].get("user:1").unwrap();
    assert_eq!(
        (gets, spaces[2].stats().unwrap().hits),
        (Some("1".into()), 1)
    );
    assert_eq!(spaces[1].stats().unwrap().hits, 0);
}

#[test]
fn an_entry_is_told_under_its_own_name() {
    let space = Namespace::new("n:").unwrap().layer(store()).blocking();
    let options = SetOptions::new().with_tags(["red", "n:blue"]);
    space.set("n:k", "v", options).unwrap();
    let entry = space.get_entry("n:k").unwrap().unwrap();
    assert_eq!(
        (entry.key.as_str(), entry.tags),
        ("n:k", vec!["red".to_owned(), "n:blue".to_owned()])
    );
    assert_eq!(
        space.get_many(&["n:k", "k"]).unwrap(),
        [("n:k".to_owned(), "v".into())]
    );
    assert!(space.capabilities().has(Capability::Tags));
}

#[test]
fn a_prefix_that_could_not_begin_a_key_is_refused() {
    for bad in ["", "a\n", &"x".repeat(65)] {
        let error = Namespace::new(bad).unwrap_err().to_string();
        assert!(error.contains("1 to 64 bytes"), "{error}");
    }
}
