//! What is in the tables, and who else may use them.

mod client;

use std::sync::Arc;
use std::time::Duration;

use client::{Place, open, open_backend};
use larder_core::{Blocking, ErrorKind, ManualClock, Pattern, SetOptions, Ttl};
use larder_testkit::servers::until;

const SECOND: Duration = Duration::from_secs(1);

fn rows(place: &Place, condition: &str) -> usize {
    place
        .ask(&format!("SELECT 'x' FROM cache_entries WHERE {condition}"))
        .len()
}

// covers: N4, N9, N10
#[test]
fn entries_outlive_programs_and_servers() {
    for place in Place::all() {
        let first = open(place.builder());
        first.set("key", "value", SetOptions::new()).unwrap();
        first.increment("count", 5, Ttl::Default).unwrap();
        drop(first);
        if let Place::Server(server) = &place {
            server.kill();
            server.start();
        }
        let second = open(place.builder().create_table(false));
        assert_eq!(second.get("key").unwrap().unwrap(), "value");
        assert_eq!(second.increment("count", 1, Ttl::Default).unwrap(), 6);
    }
}

// covers: N5, N11
#[test]
fn programs_that_share_a_table_lose_no_update() {
    for place in Place::all() {
        let place = &place;
        // All of them find no table.
        std::thread::scope(|scope| {
            for program in 0..6 {
                scope.spawn(move || {
                    let cache = open(place.builder().timeout(SECOND * 20));
                    for n in 0..50 {
                        cache.increment("shared", 1, Ttl::Default).unwrap();
                        cache.decrement("down", 2, Ttl::Default).unwrap();
                        let items = ["a", "b", "c"].map(|key| (key.to_owned(), "1".into()));
                        assert!(
                            cache
                                .set_many(items.to_vec(), SetOptions::new())
                                .unwrap()
                                .all_ok()
                        );
                        let own = format!("{program}:{n}");
                        let absent =
                            SetOptions::new().with_condition(larder_core::Condition::IfAbsent);
                        assert!(cache.set(&own, "1", absent).unwrap());
                    }
                });
            }
        });
        let cache = open(place.builder());
        assert_eq!(cache.increment("shared", 0, Ttl::Default).unwrap(), 300);
        assert_eq!(cache.decrement("down", 0, Ttl::Default).unwrap(), -600);
        assert_eq!(cache.stats().unwrap().current_entries, 300 + 5);
    }
}

// covers: N8, G6
#[test]
fn keys_that_look_alike_are_different_keys() {
    let keys = [
        "a",
        "A",
        "a ",
        " a",
        "ä",
        "a%",
        "a_",
        "a\\",
        "a'; DROP TABLE cache_entries",
        "🦀",
    ];
    for place in Place::all() {
        let cache = open(place.builder().key_prefix("50%_'\\\"ß"));
        for key in keys {
            cache
                .set(key, format!("<{key}>"), SetOptions::new())
                .unwrap();
        }
        for key in keys {
            assert_eq!(cache.get(key).unwrap().unwrap(), format!("<{key}>"));
        }
        let mut sorted = keys.map(str::to_owned).to_vec();
        sorted.sort();
        assert_eq!(cache.keys(None).unwrap(), sorted);
        let found = |glob| cache.keys(Some(&Pattern::glob(glob).unwrap())).unwrap();
        assert_eq!(found("a%"), ["a%"]);
        assert_eq!(found("a_"), ["a_"]);
        assert_eq!(found("[aä]"), ["a", "ä"]);
        assert_eq!(found(r"a\\"), ["a\\"]);
        assert_eq!(cache.clear().unwrap(), keys.len() as u64);
    }
}

#[test]
fn prefixes_keep_caches_apart_in_one_table() {
    for place in Place::all() {
        let [one, two, all] =
            ["shop", "shop2", ""].map(|prefix| open(place.builder().key_prefix(prefix)));
        one.set("key", "1", SetOptions::new()).unwrap();
        two.set("key", "2", SetOptions::new()).unwrap();
        assert_eq!(all.keys(None).unwrap(), ["shop2:key", "shop:key"]);
        assert_eq!(one.clear().unwrap(), 1);
        assert_eq!(two.get("key").unwrap().unwrap(), "2");
        assert_eq!(
            (
                one.stats().unwrap().current_entries,
                two.stats().unwrap().current_entries
            ),
            (0, 1)
        );
    }
}

// covers: N7
#[test]
fn what_has_ended_is_removed_in_batches() {
    for place in Place::all() {
        let clock = ManualClock::new();
        let backend = place
            .builder()
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        let cache = open_backend(backend.clone());
        let items = |count: u32| {
            (0..count)
                .map(|n| (n.to_string(), "value".into()))
                .collect()
        };
        let stored = cache.set_many(items(2_500), SECOND.into()).unwrap();
        assert_eq!(stored.stored(), 2_500);
        cache.touch("7", Ttl::Never).unwrap();
        cache.set("8", "new", SECOND * 2).unwrap();
        clock.advance(SECOND);
        assert_eq!(
            (rows(&place, "1 = 1"), cache.get("9").unwrap()),
            (2_500, None)
        );
        client::RUNTIME.block_on(backend.sweep()).unwrap();
        assert_eq!(rows(&place, "1 = 1"), 2);
        assert_eq!(cache.stats().unwrap().evicted_expired, 2_498);
        assert_eq!(cache.keys(None).unwrap(), ["7", "8"]);
    }
}

#[test]
fn what_has_ended_goes_by_itself() {
    for place in Place::all() {
        let cache = open(place.builder().sweep_every(Duration::from_millis(5)));
        cache
            .set("short", "value", Duration::from_millis(1))
            .unwrap();
        cache.set("long", "value", SECOND * 3_600).unwrap();
        assert!(until(SECOND * 20, || rows(&place, "1 = 1") == 1));
        assert!(cache.exists("long").unwrap());
    }
}

// covers: N6
#[test]
fn the_trail_tells_who_changed_what_and_when() {
    for place in Place::all() {
        let clock = ManualClock::new();
        let builder = place
            .builder()
            .audit("billing's service")
            .clock(Arc::new(clock.clone()));
        let cache = open(builder.key_prefix("shop"));
        cache.set("a", "1", SetOptions::new()).unwrap();
        clock.advance(SECOND);
        cache.increment("a", 4, Ttl::Default).unwrap();
        let _ = cache
            .set_many(
                vec![("b".to_owned(), "1".into()), ("c".to_owned(), "2".into())],
                SetOptions::new(),
            )
            .unwrap();
        cache.touch("b", Ttl::Never).unwrap();
        cache.delete("none").unwrap();
        cache.delete_many(&["b", "none"]).unwrap();
        cache.delete_pattern(&Pattern::glob("c*").unwrap()).unwrap();
        cache.clear().unwrap();
        cache.get("a").unwrap();
        let text = if matches!(&place, Place::Server(server) if server.sql_url().starts_with("mysql"))
        {
            "CHAR"
        } else {
            "TEXT"
        };
        let trail = place.ask(&format!(
            "SELECT CAST(happened_ms AS {text}), actor, operation, COALESCE(cache_key, ''), \
             CAST(changed AS {text}) FROM cache_entries_audit ORDER BY id"
        ));
        let [then, later] = ["1700000000000", "1700000001000"];
        let expected = [
            (then, "set", "a", "1"),
            (later, "count", "a", "1"),
            (later, "set", "b", "1"),
            (later, "set", "c", "1"),
            (later, "touch", "b", "1"),
            (later, "delete", "none", "0"),
            (later, "delete", "b", "1"),
            (later, "delete", "none", "0"),
            (later, "delete_pattern", "c", "1"),
            (later, "clear", "", "1"),
        ];
        let expected = expected.map(|(when, what, key, changed)| {
            [when, "billing's service", what, key, changed]
                .map(str::to_owned)
                .to_vec()
        });
        assert_eq!(trail, expected);
    }
}

#[test]
fn other_programs_can_write_too_and_their_garbage_is_a_miss() {
    for place in Place::all() {
        let cache = open(place.builder());
        assert!(!cache.exists("any").unwrap());
        place.execute(
            "INSERT INTO cache_entries (cache_key, created_ms, number, metadata, content) VALUES \
             ('text', 0, NULL, NULL, 'by hand'), ('number', 0, 41, NULL, NULL), \
             ('empty', 0, NULL, NULL, NULL), ('torn', 0, NULL, '{', 'x')",
        );
        assert_eq!(cache.get("text").unwrap().unwrap(), "by hand");
        assert_eq!(cache.increment("number", 1, Ttl::Default).unwrap(), 42);
        let before = cache.stats().unwrap();
        assert_eq!(cache.get("empty").unwrap(), None);
        assert_eq!(cache.get_entry("torn").unwrap(), None);
        let counted = cache.increment("empty", 1, Ttl::Default).unwrap_err();
        assert_eq!(counted.kind(), ErrorKind::NotANumber);
        let now = cache.stats().unwrap();
        assert_eq!(
            (
                now.unreadable - before.unreadable,
                now.misses - before.misses
            ),
            (2, 2)
        );
    }
}

#[test]
fn long_lists_come_in_pages() {
    for place in Place::all() {
        let cache = open(place.builder());
        let items = (0..12_000).map(|n| (format!("key:{n:05}"), "1".into()));
        let stored = cache.set_many(items.collect(), SetOptions::new()).unwrap();
        assert!(stored.all_ok());
        let all = cache.keys(None).unwrap();
        assert_eq!((all.len(), all.is_sorted()), (12_000, true));
        // A class is no part of LIKE: nine of ten that the database finds do not match.
        let odd = Pattern::glob("key:*[7]").unwrap();
        assert_eq!(cache.keys(Some(&odd)).unwrap().len(), 1_200);
        let page = cache.scan(Some(&odd), Some("key:00007"), 3).unwrap();
        assert_eq!(page.keys(), ["key:00017", "key:00027", "key:00037"]);
        assert_eq!(page.next(), Some("key:00037"));
        assert_eq!(cache.delete_pattern(&odd).unwrap(), 1_200);
        assert_eq!(cache.clear().unwrap(), 10_800);
    }
}

#[test]
fn a_table_of_a_later_version_is_left_alone() {
    for place in Place::all() {
        open(place.builder())
            .set("key", "value", SetOptions::new())
            .unwrap();
        place.execute("UPDATE larder_tables SET version = 99");
        let error = open(place.builder()).get("key").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("version 99"), "{error}");
        let other = open(place.builder().table("another"));
        other.set("key", "value", SetOptions::new()).unwrap();
    }
}

#[test]
fn a_table_is_made_only_if_that_is_allowed() {
    for place in Place::all() {
        open(place.builder().table("first")).exists("key").unwrap();
        let builder = || place.builder().table("second").create_table(false);
        let error = open(builder()).get("key").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("may not be made"), "{error}");
        let error = open(
            place
                .builder()
                .table("first")
                .create_table(false)
                .audit("me"),
        );
        assert_eq!(
            error.get("key").unwrap_err().kind(),
            ErrorKind::InvalidConfig
        );
    }
}

#[test]
fn a_table_that_somebody_drops_is_made_again() {
    for place in Place::all() {
        // Nothing happens in the background, which would notice too.
        let cache = open(place.builder().clock(Arc::new(ManualClock::new())));
        cache.set("key", "value", SetOptions::new()).unwrap();
        place.execute("DROP TABLE cache_entries; DROP TABLE larder_tables");
        let error = cache.get("key").unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Unavailable, larder_core::Retry::Safe),
            "{error}"
        );
        assert_eq!(cache.get("key").unwrap(), None);
    }
}

#[test]
fn callers_at_once_share_what_a_commit_costs() {
    let place = Place::file();
    let cache: Blocking = open(place.builder());
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..50 {
                    let key = format!("{thread}:{n}");
                    cache.set(&key, key.clone(), SetOptions::new()).unwrap();
                    assert_eq!(
                        cache.get(&key).unwrap().unwrap(),
                        key,
                        "a write is seen at once"
                    );
                }
            });
        }
    });
    assert_eq!(cache.clear().unwrap(), 800);
}
