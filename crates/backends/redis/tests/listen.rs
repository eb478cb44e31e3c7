//! What is heard of changes and messages, and what is said when nothing is heard.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod client;

use std::time::Duration;

use client::{runtime, until_ok};
use larder_core::{CacheBackend, SetOptions};
use larder_redis::{Heard, Listener, RedisBackend};
use larder_testkit::servers::{Fault, FaultProxy, RedisCluster, Server};

fn at(address: std::net::SocketAddr) -> RedisBackend {
    let builder = RedisBackend::single(format!("redis://{address}")).key_prefix("shop");
    builder.timeout(Duration::from_secs(1)).build().unwrap()
}

/// Waits until this is heard, and returns what came before it.
async fn hear(listener: &mut Listener, what: &Heard) -> Vec<Heard> {
    let mut before = Vec::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), listener.next());
        match next.await {
            Ok(Some(heard)) if heard == *what => return before,
            Ok(Some(heard)) => before.push(heard),
            _ => panic!("{what:?} is not heard, only {before:?}"),
        }
    }
}

fn changed(key: &str) -> Heard {
    Heard::Changed(vec![key.to_owned()])
}

#[test]
fn every_change_of_our_keys_is_heard_whoever_makes_it() {
    let server = Server::redis();
    let (backend, shell) = (at(server.address()), server.shell());
    runtime().block_on(async {
        let mut changes = backend.track();
        assert_eq!(changes.next().await, Some(Heard::Listening));
        backend
            .set("own", "1".into(), SetOptions::new())
            .await
            .unwrap();
        hear(&mut changes, &changed("own")).await;
        shell.call(&["SET", "other:key", "1"]);
        shell.call(&["SET", "shop:theirs", "1"]);
        let before = hear(&mut changes, &changed("theirs")).await;
        assert_eq!(before, [], "what is not ours is not heard");
        shell.call(&["PEXPIRE", "shop:theirs", "1"]);
        hear(&mut changes, &changed("theirs")).await;
        backend.delete("own").await.unwrap();
        hear(&mut changes, &changed("own")).await;
        shell.call(&["FLUSHALL"]);
        hear(&mut changes, &Heard::ChangedAll).await;
    });
}

#[test]
fn messages_reach_all_who_listen_on_the_channel() {
    let server = Server::redis();
    let backend = at(server.address());
    runtime().block_on(async {
        let mut listeners = [
            backend.subscribe("news"),
            at(server.address()).subscribe("news"),
        ];
        let mut elsewhere = backend.subscribe("other");
        for listener in listeners.iter_mut().chain([&mut elsewhere]) {
            assert_eq!(listener.next().await, Some(Heard::Listening));
        }
        backend.publish("news", "hello".into()).await.unwrap();
        for listener in &mut listeners {
            assert_eq!(listener.next().await, Some(Heard::Message("hello".into())));
        }
        backend.publish("other", "you".into()).await.unwrap();
        assert_eq!(elsewhere.next().await, Some(Heard::Message("you".into())));
    });
}

#[test]
fn a_loss_is_said_and_made_good_within_a_second_of_the_server_being_back() {
    let server = Server::redis();
    let backend = at(server.address());
    runtime().block_on(async {
        let mut changes = backend.track();
        hear(&mut changes, &Heard::Listening).await;
        server.kill();
        hear(&mut changes, &Heard::Lost).await;
        server.start();
        let heard = tokio::time::timeout(Duration::from_secs(1), changes.next()).await;
        assert_eq!(heard.unwrap(), Some(Heard::Listening));
        server.shell().call(&["SET", "shop:key", "1"]);
        hear(&mut changes, &changed("key")).await;
    });
}

#[test]
fn a_connection_that_only_seems_to_be_there_is_found_out() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let backend = at(proxy.address());
    runtime().block_on(async {
        let mut changes = backend.track();
        hear(&mut changes, &Heard::Listening).await;
        proxy.set(Fault::Swallow);
        hear(&mut changes, &Heard::Lost).await;
        proxy.set(Fault::None);
        hear(&mut changes, &Heard::Listening).await;
        server.shell().call(&["SET", "shop:key", "1"]);
        hear(&mut changes, &changed("key")).await;
    });
}

#[test]
fn who_does_not_keep_up_is_told() {
    let server = Server::redis();
    let (backend, shell) = (at(server.address()), server.shell());
    runtime().block_on(async {
        let mut changes = backend.track();
        hear(&mut changes, &Heard::Listening).await;
        for n in 0..6_000 {
            shell.call(&["SET", &format!("shop:{n}"), "1"]);
        }
        // Nobody takes any before there is no more room.
        until(&changes, "untaken: 4096").await;
        hear(&mut changes, &Heard::Lost).await;
        assert_eq!(changes.next().await, Some(Heard::Listening));
        let mut rest = 0;
        while tokio::time::timeout(Duration::from_millis(200), changes.next())
            .await
            .is_ok()
        {
            rest += 1;
        }
        assert!(rest < 6_000, "{rest}");
        shell.call(&["SET", "shop:key", "1"]);
        hear(&mut changes, &changed("key")).await;
    });
}

#[test]
fn a_loss_that_no_more_fits_is_said_too_and_not_taken_for_the_end_of_it() {
    let server = Server::redis();
    let proxy = FaultProxy::before(server.address());
    let backend = at(proxy.address());
    let shell = server.shell();
    runtime().block_on(async {
        let mut changes = backend.track();
        hear(&mut changes, &Heard::Listening).await;
        for n in 0..6_000 {
            shell.call(&["SET", &format!("shop:{n}"), "1"]);
        }
        // All that will come has come, and now nothing will.
        assert_eq!(shell.call(&["PING"]), "PONG");
        until(&changes, "untaken: 4096").await;
        proxy.set(Fault::Cut);
        until(&changes, "is_listening: false").await;
        let mut heard = Vec::new();
        while let Ok(next) = tokio::time::timeout(Duration::from_millis(300), changes.next()).await
        {
            heard.push(next.unwrap());
        }
        assert_eq!(heard[0], Heard::Lost);
        assert!(!heard.contains(&Heard::Listening), "nobody listens");
        proxy.set(Fault::None);
        hear(&mut changes, &Heard::Listening).await;
        shell.call(&["SET", "shop:key", "1"]);
        hear(&mut changes, &changed("key")).await;
    });
}

/// Waits until a listener says this of itself.
async fn until(listener: &Listener, what: &str) {
    let seen = async {
        while !format!("{listener:?}").contains(what) {
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(20), seen).await;
    assert!(seen.is_ok(), "{listener:?} never has {what}");
}

#[test]
fn in_a_cluster_all_masters_are_heard_the_new_ones_too() {
    let cluster = RedisCluster::start(true);
    let seed = format!("redis://{}", cluster.nodes[0].address());
    let builder = RedisBackend::cluster([seed]).timeout(Duration::from_secs(1));
    let backend = builder.build().unwrap();
    runtime().block_on(async {
        let mut changes = backend.track();
        let mut news = backend.subscribe("news");
        hear(&mut changes, &Heard::Listening).await;
        hear(&mut news, &Heard::Listening).await;
        // These are in the slots of three nodes.
        let keys = ["foo", "bar", "hello"];
        for key in keys {
            backend
                .set(key, "1".into(), SetOptions::new())
                .await
                .unwrap();
            hear(&mut changes, &changed(key)).await;
        }
        backend.publish("news", "hello".into()).await.unwrap();
        hear(&mut news, &Heard::Message("hello".into())).await;

        cluster.nodes[2].kill();
        hear(&mut changes, &Heard::Lost).await;
        hear(&mut changes, &Heard::Listening).await;
    });
    for key in ["foo", "bar", "hello"] {
        until_ok(|| runtime().block_on(backend.set(key, "2".into(), SetOptions::new())));
    }
}
