//! Connections that nobody else reads, to whom they are meant for.

mod client;

use std::time::Duration;

use client::open;
use larder_core::{ErrorKind, SetOptions};
use larder_memcached::{MemcachedBackend, MemcachedBuilder};
use larder_testkit::servers::{Certificate, FaultProxy, Server, Trial};

const BUDGET: Duration = Duration::from_millis(300);

fn at(server: &Server) -> MemcachedBuilder {
    MemcachedBackend::at([server.address().to_string()]).timeout(BUDGET)
}

#[test]
fn with_the_right_certificate_everything_works() {
    let certificate = Certificate::new();
    let server = Server::memcached_with_tls(&certificate);
    let pem = &*certificate.certificate;
    let cache = open(at(&server).root_certificate(pem).key_index(true));
    let large = "large".repeat(100_000);
    cache
        .set("large", large.clone(), SetOptions::new())
        .unwrap();
    for _ in 0..3 {
        assert_eq!(cache.get("large").unwrap().unwrap(), large);
    }
    assert_eq!(cache.keys(None).unwrap(), ["large"]);
    let own = at(&server)
        .root_certificate(pem)
        .client_certificate(pem, &*certificate.key);
    assert!(open(own).exists("large").unwrap());
}

#[test]
fn connections_with_tls_fail_in_every_way_too() {
    let certificate = Certificate::new();
    let server = Server::memcached_with_tls(&certificate);
    let proxy = FaultProxy::before(server.address());
    let through = MemcachedBackend::at([proxy.address().to_string()]).timeout(BUDGET);
    let cache = open(through.root_certificate(&*certificate.certificate));
    let trial = Trial::of(&cache, BUDGET);
    trial.bears_faults(&proxy);
    trial.bears_kills(&server);
}

#[test]
fn others_are_not_talked_to() {
    let (ours, other) = (Certificate::new(), Certificate::new());
    let (plain, tls) = (Server::memcached(), Server::memcached_with_tls(&ours));
    for (what, builder) in [
        (
            "another certificate",
            at(&tls).root_certificate(&*other.certificate),
        ),
        (
            "TLS to a plain port",
            at(&plain).root_certificate(&*ours.certificate),
        ),
        ("plain to a TLS port", at(&tls)),
    ] {
        let error = open(builder).get("key").unwrap_err();
        let kind = error.kind();
        assert!(
            matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout),
            "{what}: {error}"
        );
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let at = || MemcachedBackend::at(["127.0.0.1"]);
    let certificate = Certificate::new();
    for builder in [
        at().root_certificate("no PEM"),
        at().root_certificate("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
        at().client_certificate(&*certificate.certificate, "no key"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
