//! What is wrong is said: who, what kind, and never a secret.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod client;

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use client::{Place, open};
use larder_core::{Error, ErrorKind, SetOptions};
use larder_sql::sqlx::postgres::{PgConnectOptions, PgSslMode};
use larder_sql::{SqlBackend, SqlBuilder};
use larder_testkit::servers::{Certificate, Server, free_port};

const SECRET: &str = "s3cret-password";

fn at(url: &str) -> SqlBuilder {
    SqlBackend::at(url).timeout(Duration::from_secs(2))
}

/// The error, after a look whether it says who and where and no secret.
fn refusal(builder: SqlBuilder) -> Error {
    let error = open(builder).get("key").unwrap_err();
    let mut all = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        all += &cause.to_string();
        source = cause.source();
    }
    assert!(!all.contains(SECRET), "{all}");
    assert_eq!(error.backend(), Some("sql"), "{all}");
    assert!(
        error.to_string().starts_with("get \"key\" in sql: "),
        "{all}"
    );
    error
}

#[test]
fn each_mistake_has_its_kind() {
    let nobody = format!("app:{SECRET}@127.0.0.1:{}/cache", free_port());
    let memcached = Server::memcached();
    let memcached = format!("app:{SECRET}@{}/cache", memcached.address());
    for server in [Server::postgres(), Server::mariadb()] {
        let url = server.sql_url();
        let (scheme, _) = url.split_once(':').unwrap();
        for (what, url, kind) in [
            (
                "nobody listens",
                format!("{scheme}://{nobody}"),
                ErrorKind::Unavailable,
            ),
            (
                "wrong password",
                url.replace(SECRET, "wrong"),
                ErrorKind::Denied,
            ),
            (
                "unknown user",
                url.replace("app:", "nobody:"),
                ErrorKind::Denied,
            ),
            (
                "TLS to a plain port",
                format!("{url}?ssl-mode=require"),
                ErrorKind::InvalidConfig,
            ),
            (
                "another server",
                format!("{scheme}://{memcached}"),
                ErrorKind::Unavailable,
            ),
        ] {
            let url = if scheme == "mysql" {
                url.replace("=require", "=required")
            } else {
                url
            };
            let error = refusal(at(&url));
            assert!(
                error.kind() == kind
                    || (what == "another server" && error.kind() == ErrorKind::Timeout),
                "{what}: {error}"
            );
        }
        let error = refusal(at(&url.replace("/cache", "/nosuch")));
        // MariaDB does not tell those who have no rights whether a database is there.
        let expected = if scheme == "mysql" {
            ErrorKind::Denied
        } else {
            ErrorKind::InvalidConfig
        };
        assert_eq!(error.kind(), expected, "unknown database: {error}");
    }
}

#[test]
fn with_tls_it_works_and_without_or_with_another_certificate_it_does_not() {
    let certificate = Certificate::new();
    let server = Server::postgres_with_tls(&certificate);
    let options: PgConnectOptions = server.sql_url().parse().unwrap();
    let options = options.ssl_mode(PgSslMode::VerifyFull);
    let trusting = |pem: &str| options.clone().ssl_root_cert_from_pem(pem.into());
    let cache = open(SqlBackend::postgres(trusting(&certificate.certificate)));
    cache.set("key", "value", SetOptions::new()).unwrap();
    assert_eq!(cache.get("key").unwrap().unwrap(), "value");

    let plain = format!("{}?sslmode=disable", server.sql_url());
    assert_eq!(refusal(at(&plain)).kind(), ErrorKind::Denied);
    let other = trusting(&Certificate::new().certificate);
    let error = refusal(SqlBackend::postgres(other));
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidConfig | ErrorKind::Unavailable
        ),
        "{error}"
    );
}

#[test]
fn files_that_are_no_databases_are_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder/cache.db");
    let error = refusal(SqlBackend::sqlite(missing));
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");

    let text = folder.path().join("text.db");
    fs::write(
        &text,
        "not a database, but long enough to be taken for one".repeat(99),
    )
    .unwrap();
    let error = refusal(SqlBackend::sqlite(&text));
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(
        fs::read(&text).unwrap().starts_with(b"not a database"),
        "it is left alone"
    );

    let error = refusal(SqlBackend::sqlite(folder.path()));
    assert_eq!(error.kind(), ErrorKind::Unavailable, "a folder: {error}");
}

#[test]
fn a_file_that_may_not_be_written_is_denied() {
    let place = Place::file();
    open(place.builder())
        .set("key", "value", SetOptions::new())
        .unwrap();
    let file = place.path().unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let outcome = open(place.builder()).set("key", "other", SetOptions::new());
    // Root may write everywhere.
    if fs::OpenOptions::new().write(true).open(&file).is_err() {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Denied);
    }
}

#[test]
fn a_damaged_database_is_an_error_and_no_wrong_value() {
    let place = Place::file();
    let cache = open(place.builder());
    for n in 0..500 {
        cache
            .set(&format!("key:{n}"), "value".repeat(50), SetOptions::new())
            .unwrap();
    }
    drop(cache);
    place.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    let file = place.path().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5A);
    fs::write(&file, bytes).unwrap();
    let cache = open(place.builder());
    for n in 0..500 {
        match cache.get(&format!("key:{n}")) {
            Ok(value) => assert!(value.is_none_or(|value| value == "value".repeat(50))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupted, "{error}"),
        }
    }
}

// covers: N2
#[test]
fn settings_out_of_range_are_refused() {
    for (field, builder) in [
        ("url", SqlBackend::at("oracle://db/cache")),
        ("table", at("sqlite:x.db").table("cache; DROP TABLE users")),
        ("key_prefix", at("sqlite:x.db").key_prefix("two\nlines")),
        ("timeout", at("sqlite:x.db").timeout(Duration::ZERO)),
        ("sweep_every", at("sqlite:x.db").sweep_every(Duration::ZERO)),
        ("default_ttl", at("sqlite:x.db").default_ttl(Duration::ZERO)),
        ("max_connections", at("sqlite:x.db").max_connections(0)),
        (
            "max_value_bytes",
            at("sqlite:x.db").max_value_bytes(1 << 40),
        ),
        ("audit", at("sqlite:x.db").audit("")),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().starts_with(field), "{error}");
    }
}
