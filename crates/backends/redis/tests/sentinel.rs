//! The master that Sentinels know: found, lost, and found again elsewhere.

mod client;

use std::time::Duration;

use client::{open, until_ok};
use larder_core::{ErrorKind, SetOptions, Ttl};
use larder_redis::RedisBackend;
use larder_testkit::servers::{RedisSentinels, Server};

fn urls(servers: &[Server]) -> Vec<String> {
    let urls = servers
        .iter()
        .map(|server| format!("redis://{}", server.address()));
    urls.collect()
}

// covers: L13
#[test]
fn after_a_failover_the_new_master_is_used_within_a_second() {
    let watched = RedisSentinels::start();
    // One of the sentinels does not run: the next is asked.
    watched.sentinels[0].kill();
    let builder = RedisBackend::sentinel(RedisSentinels::NAME, urls(&watched.sentinels));
    let cache = open(builder.timeout(Duration::from_millis(500)));
    cache.set("key", "value", SetOptions::new()).unwrap();
    watched.sentinels[0].start();
    let [master, replica] = &watched.servers;
    master.shell().expect("1", &["WAIT", "1", "10000"]);

    master.kill();
    let error = cache.get("key").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
        "{error}"
    );
    let successor = replica.shell();
    until_ok(|| match successor.call(&["ROLE"]) {
        role if role.starts_with("master") => Ok(()),
        role => Err(role),
    });
    let (value, took) = until_ok(|| cache.get("key"));
    assert_eq!(value.as_deref(), Some(&b"value"[..]));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(cache.set("key", "new", SetOptions::new()).unwrap());

    // The old master comes back and becomes a replica: nobody writes to it.
    master.start();
    let old = master.shell();
    until_ok(|| match old.call(&["ROLE"]) {
        role if role.starts_with("slave") => Ok(()),
        role => Err(role),
    });
    for round in 1..=20 {
        assert_eq!(cache.increment("n", 1, Ttl::Default).unwrap(), round);
    }
    assert_eq!(successor.call(&["GET", "n"]), "20");
}

#[test]
fn a_master_that_is_demoted_while_connected_is_left() {
    let watched = RedisSentinels::start();
    let builder = RedisBackend::sentinel(RedisSentinels::NAME, urls(&watched.sentinels));
    let cache = open(builder);
    cache.set("key", "old", SetOptions::new()).unwrap();
    let [_, replica] = &watched.servers;
    watched.sentinels[0]
        .shell()
        .expect("OK", &["SENTINEL", "FAILOVER", RedisSentinels::NAME]);
    let successor = replica.shell();
    until_ok(|| match successor.call(&["ROLE"]) {
        role if role.starts_with("master") => Ok(()),
        role => Err(role),
    });
    until_ok(|| cache.set("key", "new", SetOptions::new()));
    until_ok(|| match successor.call(&["STRLEN", "key"]) {
        len if len != "0" => Ok(()),
        len => Err(len),
    });
    assert_eq!(cache.get("key").unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_name_that_no_sentinel_knows_is_said() {
    let watched = RedisSentinels::start();
    let cache = open(RedisBackend::sentinel("other", urls(&watched.sentinels)));
    let error = cache.get("key").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("\"other\""), "{error}");
}
