//! Settings of the Redis backend, checked when it is built.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, ConfigError, Result, SystemClock, settings};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, TlsCertificates,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::backend::RedisBackend;
use crate::fleet::{Fleet, Layout};
use crate::node::{Link, Node};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_MAX_CONNECTIONS: usize = 50;
const DEFAULT_HEALTH_CHECK: Duration = Duration::from_secs(30);
/// 64 MiB.
const DEFAULT_MAX_VALUE_BYTES: usize = 64 << 20;
/// What a server takes in one string.
const MOST_VALUE_BYTES: usize = 512 << 20;
/// Bytes of a stored value that are not the value's, about.
const OVERHEAD: usize = 64 << 10;

/// What operations go by.
pub(crate) struct Settings {
    pub(crate) prefix: String,
    pub(crate) default_ttl: Option<Duration>,
    pub(crate) max_value_bytes: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Clone)]
enum Servers {
    Single(String),
    Sentinel(String, Vec<String>),
    Cluster(Vec<String>),
}

/// Settings of a [`RedisBackend`].
///
/// Without any: no prefix, no default lifetime, 5 s to connect and for each operation, at
/// most 50 connections to a server, values up to 64 MiB.
///
/// ```no_run
/// use larder_redis::RedisBackend;
/// use std::time::Duration;
///
/// let cache = RedisBackend::single("rediss://cache.example.com")
///     .username("app")
///     .password("secret")
///     .key_prefix("shop")
///     .default_ttl(Duration::from_secs(300))
///     .timeout(Duration::from_millis(500))
///     .build()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[must_use]
pub struct RedisBuilder {
    servers: Servers,
    username: Option<String>,
    password: Option<String>,
    database: Option<i64>,
    root_certificate: Option<Vec<u8>>,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    prefix: String,
    default_ttl: Option<Duration>,
    max_value_bytes: usize,
    connect_timeout: Duration,
    timeout: Duration,
    max_connections: usize,
    health_check_interval: Duration,
    clock: Option<Arc<dyn Clock>>,
}

impl RedisBuilder {
    pub(crate) fn single(url: &str) -> Self {
        Self::new(Servers::Single(url.to_owned()))
    }

    pub(crate) fn sentinel<U: AsRef<str>>(
        master: String,
        sentinels: impl IntoIterator<Item = U>,
    ) -> Self {
        Self::new(Servers::Sentinel(master, owned(sentinels)))
    }

    pub(crate) fn cluster<U: AsRef<str>>(nodes: impl IntoIterator<Item = U>) -> Self {
        Self::new(Servers::Cluster(owned(nodes)))
    }

    fn new(servers: Servers) -> Self {
        Self {
            servers,
            username: None,
            password: None,
            database: None,
            root_certificate: None,
            client_certificate: None,
            prefix: String::new(),
            default_ttl: None,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            connect_timeout: DEFAULT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            health_check_interval: DEFAULT_HEALTH_CHECK,
            clock: None,
        }
    }

    /// The user of an access list, instead of the URL's.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// The password, instead of the URL's. With Sentinels it is the master's; theirs is
    /// in their URLs.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The number of the database, instead of the URL's.
    pub fn database(mut self, number: i64) -> Self {
        self.database = Some(number);
        self
    }

    /// Trusts this certificate, as PEM, instead of those that the system trusts.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificate = Some(pem.into());
        self
    }

    /// Shows this certificate to the server; both as PEM.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// What all keys of this cache begin with at the server; a `:` is put behind it if
    /// it has none. [`clear`](larder_core::CacheBackend::clear) and patterns stay within.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long entries live unless told otherwise.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = Some(ttl);
        self
    }

    /// Most bytes of one value; larger ones are refused.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// How long connecting may take.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long an operation may take, with connecting and trying again; each step of a
    /// walk through keys counts as one.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Most connections to one server, at least 1. Callers share them; another is opened
    /// only when all are busy.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// After this long without an answer a connection is asked for a sign of life before
    /// it is used.
    pub fn health_check_interval(mut self, time: Duration) -> Self {
        self.health_check_interval = time;
        self
    }

    /// Where the time comes from that entries are stored at. When they end is for the
    /// server's clock to say.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The backend. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](larder_core::ErrorKind::InvalidConfig) if a setting is out of
    /// range or a URL cannot be read.
    pub fn build(self) -> Result<RedisBackend> {
        self.check()?;
        // Whoever installs another one first has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = self.clock.clone();
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let (layout, redis) = self.layout(&clock)?;
        let fleet = Fleet::new(layout, self.link(self.signed_in(redis), &clock));
        Ok(RedisBackend::new(
            fleet,
            Settings {
                prefix: settings::with_colon(self.prefix),
                default_ttl: self.default_ttl,
                max_value_bytes: self.max_value_bytes,
                clock,
            },
        ))
    }

    fn check(&self) -> Result<(), ConfigError> {
        settings::check_times(&[
            ("connect_timeout", Some(self.connect_timeout)),
            ("timeout", Some(self.timeout)),
            ("default_ttl", self.default_ttl),
        ])?;
        if self.max_connections == 0 {
            return Err(ConfigError::new("max_connections", 0, "at least 1"));
        }
        let most = MOST_VALUE_BYTES - OVERHEAD;
        if self.max_value_bytes > most {
            let given = self.max_value_bytes;
            return Err(ConfigError::new(
                "max_value_bytes",
                given,
                format!("at most {most}"),
            ));
        }
        settings::check_prefix(&self.prefix)
    }

    /// Who the servers are, and how to sign in.
    fn layout(&self, clock: &Arc<dyn Clock>) -> Result<(Layout, RedisConnectionInfo), ConfigError> {
        match &self.servers {
            Servers::Single(url) => {
                let info = self.parse(url)?;
                Ok((
                    Layout::Single(info.addr().clone()),
                    info.redis_settings().clone(),
                ))
            }
            Servers::Cluster(urls) => {
                let infos = self.parse_all("cluster nodes", urls)?;
                let seeds = infos.iter().map(|info| info.addr().clone()).collect();
                Ok((Layout::Cluster(seeds), infos[0].redis_settings().clone()))
            }
            Servers::Sentinel(master, urls) => {
                let infos = self.parse_all("sentinels", urls)?;
                let sentinel = |info: &ConnectionInfo| {
                    // A sentinel has no databases.
                    let redis = info.redis_settings().clone().set_db(0);
                    let link = self.link(redis, clock);
                    Arc::new(Node::new(info.addr().clone(), Arc::new(link)))
                };
                let layout = Layout::Sentinel {
                    master: master.clone(),
                    sentinels: infos.iter().map(sentinel).collect(),
                };
                let database = infos[0].redis_settings().db();
                Ok((layout, RedisConnectionInfo::default().set_db(database)))
            }
        }
    }

    fn parse_all(
        &self,
        what: &'static str,
        urls: &[String],
    ) -> Result<Vec<ConnectionInfo>, ConfigError> {
        if urls.is_empty() {
            return Err(ConfigError::new(what, "an empty list", "at least one URL"));
        }
        urls.iter().map(|url| self.parse(url)).collect()
    }

    /// A URL is not told in errors: it may have a password in it.
    fn parse(&self, url: &str) -> Result<ConnectionInfo, ConfigError> {
        let allowed = "redis://[user:password@]host[:port][/database], rediss://… or unix:///path";
        let bad = |error| ConfigError::new("url", format!("not readable ({error})"), allowed);
        let info = url.into_connection_info().map_err(bad)?;
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let has_certificates = self.root_certificate.is_some() || self.client_certificate.is_some();
        if !has_certificates {
            return Ok(info);
        }
        if !is_tls {
            let given = "given for a server without TLS";
            return Err(ConfigError::new(
                "certificate",
                given,
                "a rediss:// URL with it",
            ));
        }
        if let Some(pem) = &self.root_certificate
            && !matches!(CertificateDer::pem_slice_iter(pem).next(), Some(Ok(_)))
        {
            return Err(ConfigError::new("certificate", "not usable", "PEM"));
        }
        let client_tls = self.client_certificate.clone();
        let certificates = TlsCertificates {
            client_tls: client_tls.map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            }),
            root_cert: self.root_certificate.clone(),
        };
        let client = Client::build_with_tls(info, certificates).map_err(|error| {
            ConfigError::new("certificate", format!("not usable ({error})"), "PEM")
        })?;
        Ok(client.get_connection_info().clone())
    }

    fn link(&self, redis: RedisConnectionInfo, clock: &Arc<dyn Clock>) -> Link {
        let redis = redis
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("larder", env!("CARGO_PKG_VERSION"));
        Link {
            redis,
            connect_timeout: self.connect_timeout.min(self.timeout),
            timeout: self.timeout,
            max_connections: self.max_connections,
            health_check_interval: self.health_check_interval,
            clock: Arc::clone(clock),
        }
    }

    /// The same with what was said beside the URL.
    fn signed_in(&self, mut redis: RedisConnectionInfo) -> RedisConnectionInfo {
        if let Some(name) = &self.username {
            redis = redis.set_username(name);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password);
        }
        if let Some(number) = self.database {
            redis = redis.set_db(number);
        }
        redis
    }
}

fn owned<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Vec<String> {
    urls.into_iter()
        .map(|url| url.as_ref().to_owned())
        .collect()
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("default_ttl", &self.default_ttl)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither URLs nor passwords.
        f.debug_struct("RedisBuilder")
            .field("prefix", &self.prefix)
            .field("default_ttl", &self.default_ttl)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
