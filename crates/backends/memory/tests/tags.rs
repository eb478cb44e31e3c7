//! What the memory backend knows of its tags, whatever happens at the same time.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Bytes, ManualClock, SetOptions, TagMatch, Ttl};
use larder_memory::InMemoryBackend;

fn tagged(tags: &[&str]) -> SetOptions {
    SetOptions::new().with_tags(tags.iter().copied())
}

#[test]
fn nothing_is_kept_of_what_left_in_any_way() {
    let clock = ManualClock::new();
    let cache = InMemoryBackend::builder().clock(Arc::new(clock.clone()));
    let cache = cache.max_size_bytes(100).build().unwrap();
    let minute = Duration::from_secs(60);
    cache
        .set("expires", "1", tagged(&["a"]).with_ttl(minute))
        .unwrap();
    cache.set("counter", "1", tagged(&["a", "b"])).unwrap();
    cache.increment("counter", 1, Ttl::Default).unwrap();
    cache.set("deleted", "1", tagged(&["a"])).unwrap();
    cache.validate();
    cache.delete("deleted").unwrap();
    clock.advance(minute);
    // Refused: too large. Without a lifetime: not stored.
    assert!(!cache.set("large", vec![0; 101], tagged(&["c"])).unwrap());
    cache
        .set("over", "1", tagged(&["c"]).with_ttl(Duration::ZERO))
        .unwrap();
    cache.validate();
    // Everything makes room for this one.
    cache.set("room", vec![0; 100], tagged(&["d"])).unwrap();
    cache.validate();
    cache.clear();
    cache.validate();
    assert_eq!(
        cache.invalidate_tags(&["a", "b", "c", "d"], TagMatch::Any),
        0
    );
}

#[test]
fn a_counter_keeps_its_tags() {
    let cache = InMemoryBackend::default();
    cache.set("hits", "1", tagged(&["page"])).unwrap();
    assert_eq!(cache.increment("hits", 1, Ttl::Default).unwrap(), 2);
    assert_eq!(cache.get_entry("hits").unwrap().unwrap().tags, ["page"]);
    assert_eq!(cache.invalidate_tags(&["page"], TagMatch::Any), 1);
    assert!(!cache.exists("hits").unwrap());
}

#[test]
fn what_was_stored_before_an_invalidation_is_gone_after_it() {
    let cache = InMemoryBackend::builder().max_entries(50).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                let own = format!("thread:{thread}");
                for round in 0..2_000 {
                    // Others store and remove it too.
                    let shared = format!("shared:{}", round % 20);
                    cache.set(&shared, "1", tagged(&["all", &own])).unwrap();
                    cache.set(&own, "1", tagged(&["all", &own])).unwrap();
                    let tags = [["all"], [own.as_str()]][round % 2];
                    let which = [TagMatch::Any, TagMatch::All][round / 2 % 2];
                    cache.invalidate_tags(&tags, which);
                    assert!(!cache.exists(&own).unwrap(), "round {round}");
                    if round % 7 == 0 {
                        cache.set(&shared, "2", SetOptions::new()).unwrap();
                        cache.delete(&shared).unwrap();
                    }
                }
            });
        }
    });
    cache.validate();
}

#[test]
fn what_was_decoded_belongs_to_its_bytes() {
    let cache = InMemoryBackend::default();
    let length = |bytes: &Bytes| Ok(Arc::new(bytes.len()));
    cache.set("key", "abc", SetOptions::new()).unwrap();
    let first = cache.get_as("key", length).unwrap().unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &cache.get_as("key", length).unwrap().unwrap()
    ));
    // Another type is decoded each time, and does not disturb the first.
    let text = |bytes: &Bytes| Ok(String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(cache.get_as("key", text).unwrap().as_deref(), Some("abc"));
    assert!(Arc::ptr_eq(
        &first,
        &cache.get_as("key", length).unwrap().unwrap()
    ));
    // Replaced while somebody decodes: that is not kept for the new bytes.
    cache.set("key", "abcd", SetOptions::new()).unwrap();
    let late = |bytes: &Bytes| {
        cache.set("key", "abcde", SetOptions::new()).unwrap();
        length(bytes)
    };
    assert_eq!(*cache.get_as("key", late).unwrap().unwrap(), 4);
    assert_eq!(*cache.get_as("key", length).unwrap().unwrap(), 5);
    assert_eq!(cache.get_as("missing", length).unwrap(), None);
    assert!(cache.get_as("", length).is_err());
}
