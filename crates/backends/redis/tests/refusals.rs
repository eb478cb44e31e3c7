//! What is wrong is said: who, what kind, and never a secret.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod client;

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use client::{open, runtime};
use larder_core::{Error, ErrorKind, Pattern, SetOptions, Ttl};
use larder_redis::{RedisBackend, RedisBuilder};
use larder_testkit::servers::{Certificate, Server, free_port};

const SECRET: &str = "s3cret-password";
const USERS: &str = "user default off\n\
    user app on >s3cret-password ~app:* &* +@all -@dangerous +info\n\
    user reader on >s3cret-password ~* &* +@read +ping\n";

fn at(scheme: &str, address: SocketAddr) -> RedisBuilder {
    RedisBackend::single(format!("{scheme}://{address}")).timeout(Duration::from_secs(2))
}

/// The error, after a look whether it says who and where and no secret.
fn refusal(builder: RedisBuilder) -> Error {
    let error = open(builder).get("key").unwrap_err();
    let mut all = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        all += &cause.to_string();
        source = cause.source();
    }
    assert!(!all.contains(SECRET), "{all}");
    assert_eq!(error.backend(), Some("redis"), "{all}");
    assert!(
        error.to_string().starts_with("get \"key\" in redis: "),
        "{all}"
    );
    error
}

#[test]
fn each_mistake_has_its_kind() {
    let plain = Server::redis();
    let users = Server::redis_with_users(USERS);
    let certificate = Certificate::new();
    let tls = Server::redis_with_tls(&certificate);
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let memcached = Server::memcached();
    let signed_in = |user: &str, password: &str| {
        at("redis", users.address())
            .username(user)
            .password(password)
    };
    for (what, builder, kind) in [
        (
            "nobody listens",
            at("redis", nobody),
            ErrorKind::Unavailable,
        ),
        (
            "no password",
            at("redis", users.address()),
            ErrorKind::Denied,
        ),
        (
            "wrong password",
            signed_in("app", "wrong"),
            ErrorKind::Denied,
        ),
        (
            "unknown user",
            signed_in("nobody", SECRET),
            ErrorKind::Denied,
        ),
        (
            "not allowed to see the key",
            signed_in("app", SECRET),
            ErrorKind::Denied,
        ),
        (
            "unknown database",
            at("redis", plain.address()).database(99),
            ErrorKind::InvalidConfig,
        ),
        (
            "TLS to a plain port",
            at("rediss", plain.address()),
            ErrorKind::Timeout,
        ),
        (
            "plain to a TLS port",
            at("redis", tls.address()),
            ErrorKind::Unavailable,
        ),
        (
            "a certificate that nobody knows",
            at("rediss", tls.address()),
            ErrorKind::Unavailable,
        ),
        (
            "no Redis at all",
            at("redis", memcached.address()),
            ErrorKind::Unavailable,
        ),
    ] {
        let error = refusal(builder);
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
}

// covers: L2, L16
#[test]
fn with_tls_and_as_a_user_it_works() {
    let certificate = Certificate::new();
    let tls = Server::redis_with_tls(&certificate);
    let builder = at("rediss", tls.address()).root_certificate(&*certificate.certificate);
    let cache = open(builder);
    cache.set("key", "value", SetOptions::new()).unwrap();
    assert_eq!(cache.get("key").unwrap().as_deref(), Some(&b"value"[..]));

    let users = Server::redis_with_users(USERS);
    let app = || {
        at("redis", users.address())
            .username("app")
            .password(SECRET)
    };
    let cache = open(app().key_prefix("app"));
    cache.set("key", "value", SetOptions::new()).unwrap();
    assert_eq!(
        cache
            .increment("n", 2, Ttl::After(Duration::from_secs(9)))
            .unwrap(),
        2
    );
    assert_eq!(cache.keys(None).unwrap().len(), 2);
    assert_eq!(cache.stats().unwrap().current_entries, 2);
    assert_eq!(cache.clear().unwrap(), 2);

    let url = format!("redis://reader:{SECRET}@{}", users.address());
    let reader = open(RedisBackend::single(url));
    assert_eq!(reader.get("app:key").unwrap(), None);
    let error = reader.set("app:key", "1", SetOptions::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[test]
fn what_other_programs_left_is_read_or_missed_and_never_an_error() {
    let server = Server::redis();
    let shell = server.shell();
    shell.expect("OK", &["SET", "text", "hello"]);
    shell.expect("OK", &["SET", "number", "41"]);
    shell.expect("1", &["RPUSH", "list", "a"]);
    let cache = open(at("redis", server.address()));
    assert_eq!(cache.get("text").unwrap().as_deref(), Some(&b"hello"[..]));
    assert_eq!(cache.increment("number", 1, Ttl::Default).unwrap(), 42);
    assert_eq!(shell.call(&["GET", "number"]), "42");
    assert_eq!(cache.get("list").unwrap(), None);
    assert_eq!(cache.get_many(&["list", "text"]).unwrap().len(), 1);
    let stats = cache.stats().unwrap();
    // Asked for several, the server does not tell a list from nothing.
    assert_eq!((stats.hits, stats.misses, stats.unreadable), (2, 2, 1));
    let error = cache.increment("list", 1, Ttl::Default).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotANumber, "{error}");
    assert!(cache.set("list", "now a value", SetOptions::new()).unwrap());

    // Garbage that looks like ours.
    cache
        .set("torn", "a value that is torn", SetOptions::new())
        .unwrap();
    shell.call(&["SETRANGE", "torn", "1", "\u{7f}"]);
    assert_eq!(cache.get("torn").unwrap(), None);
    assert_eq!(cache.get_entry("torn").unwrap(), None);
}

// covers: L14, D46, G7
#[test]
fn clearing_stays_within_the_prefix_and_flushing_does_not() {
    let server = Server::redis();
    let shell = server.shell();
    shell.expect("OK", &["SET", "other", "1"]);
    // A `*` in a prefix is only a star.
    for prefix in ["shop*", "shop"] {
        let cache = open(at("redis", server.address()).key_prefix(prefix));
        cache.set("key", "value", SetOptions::new()).unwrap();
    }
    let backend = at("redis", server.address())
        .key_prefix("shop")
        .build()
        .unwrap();
    let cache = open(at("redis", server.address()).key_prefix("shop"));
    assert_eq!(cache.clear().unwrap(), 1);
    let all = Pattern::glob("*").unwrap();
    assert_eq!(cache.delete_pattern(&all).unwrap(), 0);
    assert_eq!(shell.call(&["EXISTS", "other", "shop*:key"]), "2");
    let commands = shell.call(&["INFO", "commandstats"]);
    assert!(!commands.contains("cmdstat_keys") && !commands.contains("cmdstat_flush"));
    runtime().block_on(backend.flush_all()).unwrap();
    assert_eq!(shell.call(&["DBSIZE"]), "0");
}

#[test]
fn wrong_settings_say_what_is_allowed_and_no_secret() {
    let good = "redis://127.0.0.1";
    for (setting, builder) in [
        (
            "url",
            RedisBackend::single(format!("http://u:{SECRET}@127.0.0.1")),
        ),
        (
            "url",
            RedisBackend::single(format!("redis://u:{SECRET}@127.0.0.1/zero")),
        ),
        ("cluster nodes", RedisBackend::cluster([""; 0])),
        ("sentinels", RedisBackend::sentinel("main", [""; 0])),
        (
            "timeout",
            RedisBackend::single(good).timeout(Duration::ZERO),
        ),
        (
            "default_ttl",
            RedisBackend::single(good).default_ttl(Duration::ZERO),
        ),
        (
            "max_connections",
            RedisBackend::single(good).max_connections(0),
        ),
        (
            "max_value_bytes",
            RedisBackend::single(good).max_value_bytes(usize::MAX),
        ),
        ("key_prefix", RedisBackend::single(good).key_prefix("a\nb")),
        (
            "certificate",
            RedisBackend::single(good).root_certificate("pem"),
        ),
        (
            "certificate",
            RedisBackend::single("rediss://127.0.0.1").root_certificate("pem"),
        ),
    ] {
        assert!(!format!("{builder:?}").contains(SECRET));
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        let text = error.to_string();
        assert!(
            text.starts_with(setting) && text.contains("allowed is"),
            "{text}"
        );
        assert!(!text.contains(SECRET), "{text}");
    }
}
