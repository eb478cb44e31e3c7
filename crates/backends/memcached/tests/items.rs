//! What Memcached is particular about: sizes, names, lifetimes, users.

mod client;

use std::time::Duration;

use client::{RUNTIME, open};
use larder_core::{ErrorKind, SetOptions, Ttl, TtlState};
use larder_memcached::{MemcachedBackend, MemcachedBuilder};
use larder_testkit::servers::{Server, until};

fn at(server: &Server) -> MemcachedBuilder {
    MemcachedBackend::at([server.address().to_string()]).timeout(Duration::from_secs(5))
}

// covers: M9, D19
#[test]
fn what_the_server_finds_too_large_is_refused_and_the_older_value_goes() {
    let server = Server::memcached();
    let cache = open(at(&server).max_value_bytes(64 << 20));
    assert!(cache.set("key", "small", SetOptions::new()).unwrap());
    assert!(
        !cache
            .set("key", vec![7; 9 << 20], SetOptions::new())
            .unwrap()
    );
    assert_eq!(cache.get("key").unwrap(), None);
    assert_eq!(cache.stats().unwrap().rejected, 1);
    assert!(
        cache
            .set("key", vec![7; 7 << 20], SetOptions::new())
            .unwrap()
    );
    assert_eq!(cache.get("key").unwrap().unwrap().len(), 7 << 20);
    // Many large values at once: neither side waits for the other for ever.
    let keys: Vec<String> = (0..4).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        cache.set(key, vec![1; 4 << 20], SetOptions::new()).unwrap();
    }
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(cache.get_many(&names).unwrap().len(), 4);
}

// covers: M7
#[test]
fn any_key_works_however_long_or_odd_and_is_listed() {
    let server = Server::memcached();
    let cache = open(at(&server).key_prefix("shop").key_index(true));
    let mut keys = vec![
        "plain".to_owned(),
        "with a space".to_owned(),
        "ключ".to_owned(),
        "x".repeat(245),
        "x".repeat(246),
        "y".repeat(250),
        "long and odd é".repeat(15),
    ];
    for key in &keys {
        cache.set(key, key.clone(), SetOptions::new()).unwrap();
    }
    for key in &keys {
        assert_eq!(cache.get(key).unwrap().unwrap(), *key);
        assert!(cache.exists(key).unwrap());
    }
    let mut listed = cache.keys(None).unwrap();
    listed.sort();
    keys.sort();
    assert_eq!(listed, keys);
    for key in &keys {
        cache.set(key, "4", SetOptions::new()).unwrap();
        assert_eq!(cache.increment(key, 3, Ttl::Default).unwrap(), 7, "{key}");
        assert_eq!(cache.decrement(key, 9, Ttl::Default).unwrap(), -2, "{key}");
        assert_eq!(cache.get(key).unwrap().unwrap(), "-2");
    }
    assert_eq!(cache.clear().unwrap(), keys.len() as u64);
}

// covers: M8
#[test]
fn lifetimes_beyond_a_month_are_no_moments_of_1970() {
    let server = Server::memcached();
    let cache = open(at(&server));
    let day = Duration::from_secs(86_400);
    for days in [29, 30, 31, 365, 3_650] {
        let lifetime = day * days;
        cache.set("key", "value", lifetime).unwrap();
        let Some(TtlState::Remaining(rest)) = cache.ttl("key").unwrap() else {
            panic!("{days} days have an end");
        };
        assert!(
            rest.abs_diff(lifetime) < Duration::from_secs(10),
            "{days}: {rest:?}"
        );
        assert!(cache.touch("key", Ttl::After(lifetime * 2)).unwrap());
        assert!(cache.exists("key").unwrap());
    }
    // What the server's calendar cannot say has no end.
    cache.set("key", "value", day * 100_000).unwrap();
    assert_eq!(cache.ttl("key").unwrap(), Some(TtlState::Never));
}

#[test]
fn a_part_of_a_second_is_no_whole_one() {
    let server = Server::memcached();
    let cache = open(at(&server));
    let short = Duration::from_millis(150);
    cache.set("key", "value", short).unwrap();
    cache.increment("n", 5, Ttl::After(short)).unwrap();
    let Some(TtlState::Remaining(rest)) = cache.ttl("key").unwrap() else {
        panic!("it has an end");
    };
    assert!(rest <= short);
    let patience = Duration::from_secs(20);
    assert!(until(patience, || !cache.exists("key").unwrap()));
    assert_eq!(cache.get("key").unwrap(), None);
    assert!(!cache.touch("key", Ttl::Never).unwrap());
    assert!(!cache.delete("key").unwrap());
    assert!(until(patience, || !cache.exists("n").unwrap()));
    assert_eq!(
        cache.increment("n", 1, Ttl::Default).unwrap(),
        1,
        "it began again"
    );
}

// covers: D20, H5
#[test]
fn counters_of_many_callers_lose_nothing_above_and_below_zero() {
    let server = Server::memcached();
    let cache = open(at(&server).timeout(Duration::from_secs(20)));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..50 {
                    let delta = if (n + thread) % 2 == 0 { 3 } else { -4 };
                    cache.increment("n", delta, Ttl::Default).unwrap();
                }
            });
        }
    });
    let sum = 8 * 25 * 3 - 8 * 25 * 4;
    assert_eq!(cache.increment("n", 0, Ttl::Default).unwrap(), sum);
}

#[test]
fn users_sign_in_and_mistakes_are_said_without_secrets() {
    const SECRET: &str = "s3cret-password";

    let server = Server::memcached_with_user("app:s3cret-password");
    let cache = open(at(&server).user("app", SECRET));
    cache.set("key", "value", SetOptions::new()).unwrap();
    assert_eq!(cache.get("key").unwrap().unwrap(), "value");
    for builder in [
        at(&server),
        at(&server).user("app", "wrong"),
        at(&server).user("no", SECRET),
    ] {
        let error = open(builder).get("key").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(!format!("{error} {error:?}").contains(SECRET));
    }
    // A Redis server is none.
    let redis = Server::redis();
    let error = open(at(&redis)).get("key").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");

    let good = "127.0.0.1";
    for (setting, builder) in [
        ("server", MemcachedBackend::at(["127.0.0.1:port"])),
        ("servers", MemcachedBackend::at([""; 0])),
        (
            "timeout",
            MemcachedBackend::at([good]).timeout(Duration::ZERO),
        ),
        (
            "max_connections",
            MemcachedBackend::at([good]).max_connections(0),
        ),
        ("key_prefix", MemcachedBackend::at([good]).key_prefix("a b")),
        (
            "default_ttl",
            MemcachedBackend::at([good]).default_ttl(Duration::ZERO),
        ),
        ("user", MemcachedBackend::at([good]).user("a b", SECRET)),
    ] {
        assert!(!format!("{builder:?}").contains(SECRET));
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        let text = error.to_string();
        assert!(
            text.starts_with(setting) && !text.contains(SECRET),
            "{text}"
        );
    }
}

#[test]
fn clearing_stays_within_the_prefix_and_flushing_does_not() {
    let server = Server::memcached();
    let other = open(at(&server));
    other.set("other", "1", SetOptions::new()).unwrap();
    other.set("garbage", "1", SetOptions::new()).unwrap();
    let cache = open(at(&server).key_prefix("shop"));
    cache.set("key", "value", SetOptions::new()).unwrap();
    assert_eq!(cache.stats().unwrap().current_entries, 1);
    assert_eq!(cache.clear().unwrap(), 1);
    assert!(other.exists("other").unwrap());
    let backend = at(&server).build().unwrap();
    RUNTIME.block_on(backend.flush_all()).unwrap();
    assert!(!other.exists("other").unwrap());

    // What looks like ours and is torn is a miss.
    let mut shell = server.memcached_shell();
    assert_eq!(shell.call("ms torn 3\r\n\u{7f}ab"), "HD");
    assert_eq!(shell.call("ms torn 2 F1\r\nab"), "HD");
    assert_eq!(other.get("torn").unwrap(), None);
    assert_eq!(other.stats().unwrap().unreadable, 1);
}
