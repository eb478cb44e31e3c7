//! Keys spread over a cluster: batches over all nodes, moving slots, a node that dies.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod client;

use std::time::Duration;

use client::{open, until_ok};
use larder_core::{Blocking, ErrorKind, Pattern, SetOptions, Ttl};
use larder_redis::RedisBackend;
use larder_testkit::servers::{RedisCluster, RedisShell, Server};

fn cache_of(cluster: &RedisCluster) -> Blocking {
    let seeds = cluster
        .nodes
        .iter()
        .map(|node| format!("redis://{}", node.address()));
    let seeds: Vec<String> = seeds.take(2).collect();
    open(RedisBackend::cluster(seeds).timeout(Duration::from_secs(2)))
}

/// How often a node found something to read so far.
fn reads(shell: &RedisShell) -> u64 {
    let stats = shell.call(&["INFO", "stats"]);
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_reads_processed:"));
    line.unwrap().trim().parse().unwrap()
}

// covers: F4
#[test]
fn a_batch_over_all_slots_takes_one_round_trip_to_each_node() {
    let cluster = RedisCluster::start(false);
    let cache = cache_of(&cluster);
    let keys: Vec<String> = (0..300).map(|n| format!("key:{n}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    // Connected, and the map is known.
    cache.delete_many(&names).unwrap();
    let shells: Vec<RedisShell> = cluster.nodes.iter().map(Server::shell).collect();
    // The nodes' own talk is not counted, but each look of this test is.
    let trips = |work: &dyn Fn()| {
        let before: Vec<u64> = shells.iter().map(reads).collect();
        work();
        let after = shells.iter().map(reads);
        let trips = after.zip(before).map(|(after, before)| after - before - 1);
        trips.collect::<Vec<u64>>()
    };
    let items = || keys.iter().map(|key| (key.clone(), "value".into()));
    let set = trips(&|| {
        let report = cache
            .set_many(items().collect(), SetOptions::new())
            .unwrap();
        assert_eq!(report.stored(), 300);
    });
    let get = trips(&|| assert_eq!(cache.get_many(&names).unwrap().len(), 300));
    let delete = trips(&|| assert_eq!(cache.delete_many(&names).unwrap(), 300));
    assert_eq!([set, get, delete], [[1, 1, 1], [1, 1, 1], [1, 1, 1]]);
}

#[test]
fn a_slot_that_moves_is_followed_before_during_and_after() {
    let cluster = RedisCluster::start(false);
    let cache = cache_of(&cluster);
    cache.set("{tag}here", "1", SetOptions::new()).unwrap();
    let shells: Vec<RedisShell> = cluster.nodes.iter().map(Server::shell).collect();
    let slot = shells[0].call(&["CLUSTER", "KEYSLOT", "tag"]);
    let from = shells
        .iter()
        .position(|shell| shell.call(&["GET", "{tag}here"]) == "1");
    let from = from.unwrap();
    let to = (from + 1) % 3;
    let ids: Vec<String> = shells
        .iter()
        .map(|shell| shell.call(&["CLUSTER", "MYID"]))
        .collect();

    shells[to].expect(
        "OK",
        &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[from]],
    );
    shells[from].expect("OK", &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[to]]);
    // What is not here any more is there already.
    cache.set("{tag}there", "2", SetOptions::new()).unwrap();
    assert_eq!(cache.increment("{tag}here", 1, Ttl::Default).unwrap(), 2);
    let found = cache.get_many(&["{tag}here", "{tag}there"]).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");

    let port = cluster.nodes[to].address().port().to_string();
    shells[from].expect(
        "OK",
        &["MIGRATE", "127.0.0.1", &port, "{tag}here", "0", "5000"],
    );
    for shell in [&shells[to], &shells[from]] {
        shell.expect("OK", &["CLUSTER", "SETSLOT", &slot, "NODE", &ids[to]]);
    }
    assert_eq!(cache.increment("{tag}here", 1, Ttl::Default).unwrap(), 3);
    assert_eq!(cache.get("{tag}there").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(cache.clear().unwrap(), 2);
}

// covers: L13
#[test]
fn when_a_master_dies_the_others_serve_and_its_replica_takes_over() {
    let cluster = RedisCluster::start(true);
    let cache = cache_of(&cluster);
    let keys: Vec<String> = (0..30).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        cache.set(key, "value", SetOptions::new()).unwrap();
    }
    for node in &cluster.nodes[..3] {
        node.shell().expect("1", &["WAIT", "1", "10000"]);
    }
    let dying = cluster.nodes[1].shell();
    let lost: Vec<&String> = keys
        .iter()
        .filter(|key| dying.call(&["EXISTS", key]) == "1")
        .collect();
    assert!(!lost.is_empty());
    cluster.nodes[1].kill();
    for key in &keys {
        match cache.get(key) {
            Ok(value) => assert_eq!(value.as_deref(), Some(&b"value"[..])),
            Err(error) => {
                assert!(lost.contains(&key), "{error}");
                assert!(
                    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
                    "{error}"
                );
            }
        }
    }
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let found = cache.get_many(&names).unwrap();
    assert!(
        found.len() == keys.len() - lost.len() || found.len() == keys.len(),
        "the others are served, or the replica was very fast: {}",
        found.len()
    );
    let successor = cluster.nodes[4].shell();
    until_ok(|| match successor.call(&["CLUSTER", "INFO"]) {
        info if info.contains("cluster_state:ok")
            && successor.call(&["ROLE"]).starts_with("master") =>
        {
            Ok(())
        }
        info => Err(info),
    });
    let ((), took) = until_ok(|| lost.iter().try_for_each(|key| cache.get(key).map(drop)));
    assert!(took < Duration::from_secs(1), "{took:?}");
    for key in &keys {
        assert_eq!(
            cache.get(key).unwrap().as_deref(),
            Some(&b"value"[..]),
            "{key}"
        );
    }
    let all = Pattern::glob("key:*").unwrap();
    assert_eq!(until_ok(|| cache.delete_pattern(&all)).0, 30);
}
