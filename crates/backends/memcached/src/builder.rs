//! Settings of the Memcached backend, checked when it is built.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, ConfigError, Result, SystemClock, settings};

use crate::backend::MemcachedBackend;
use crate::node::Link;
use crate::pool::Pool;
use crate::store::Store;
use crate::tls::Tls;

const DEFAULT_PORT: u16 = 11_211;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_MAX_CONNECTIONS: usize = 10;
/// What a server takes unless told otherwise, with some room for what comes along.
const DEFAULT_MAX_VALUE_BYTES: usize = (1 << 20) - (16 << 10);

/// What operations go by.
pub(crate) struct Settings {
    pub(crate) prefix: String,
    pub(crate) default_ttl: Option<Duration>,
    pub(crate) max_value_bytes: usize,
    pub(crate) key_index: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Settings of a [`MemcachedBackend`].
///
/// Without any: no prefix, no default lifetime, 5 s to connect, 3 s for each operation, at
/// most 10 connections to a server, values up to 1 MiB less 16 KiB, no key index.
///
/// ```no_run
/// use larder_memcached::MemcachedBackend;
/// use std::time::Duration;
///
/// let cache = MemcachedBackend::at(["memcached://10.0.0.1:11211,10.0.0.2:11211"])
///     .key_prefix("shop")
///     .default_ttl(Duration::from_secs(300))
///     .key_index(true)
///     .build()?;
/// # Ok::<(), larder_core::Error>(())
/// ```
#[must_use]
pub struct MemcachedBuilder {
    servers: Vec<String>,
    user: Option<(String, String)>,
    tls: Option<Tls>,
    prefix: String,
    default_ttl: Option<Duration>,
    max_value_bytes: usize,
    key_index: bool,
    connect_timeout: Duration,
    timeout: Duration,
    max_connections: usize,
    clock: Option<Arc<dyn Clock>>,
}

impl MemcachedBuilder {
    pub(crate) fn new<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Self {
        let servers = servers.into_iter().map(|server| server.as_ref().to_owned());
        Self {
            servers: servers.collect(),
            user: None,
            tls: None,
            prefix: String::new(),
            default_ttl: None,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            key_index: false,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            clock: None,
        }
    }

    /// Signs in with this user and password, for servers with a file of users.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// Talks to the servers through TLS, and trusts whom the system trusts.
    pub fn tls(mut self) -> Self {
        self.tls.get_or_insert_default();
        self
    }

    /// Talks to the servers through TLS, and trusts this certificate alone, as PEM.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.get_or_insert_default().root = Some(pem.into());
        self
    }

    /// Talks to the servers through TLS, and shows them this certificate; both as PEM.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.get_or_insert_default().client = Some((certificate.into(), key.into()));
        self
    }

    /// What all keys of this cache begin with at the servers; a `:` is put behind it if it
    /// has none. [`clear`](larder_core::CacheBackend::clear) and patterns stay within.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long entries live unless told otherwise.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = Some(ttl);
        self
    }

    /// Most bytes of one value; larger ones are refused. More than the usual 1 MiB needs
    /// servers that are started for it.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Lists keys, and so allows patterns, by asking the servers' crawlers. They walk
    /// through everything that is stored, each time.
    pub fn key_index(mut self, is_on: bool) -> Self {
        self.key_index = is_on;
        self
    }

    /// How long connecting may take.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long an exchange with a server may take, with connecting and trying again.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Most connections to one server, at least 1; who needs another one waits.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Where the time comes from that entries are stored at. When they end is for the
    /// servers' clocks to say, but for parts of a second.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The backend. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](larder_core::ErrorKind::InvalidConfig) if a setting is out of
    /// range.
    pub fn build(self) -> Result<MemcachedBackend> {
        self.check()?;
        let servers = self.parse()?;
        let link = Link {
            connect_timeout: self.connect_timeout.min(self.timeout),
            timeout: self.timeout,
            max_connections: self.max_connections,
            tls: self.tls.map(|tls| tls.connector()).transpose()?,
            user: self.user,
        };
        let settings = Settings {
            prefix: settings::with_colon(self.prefix),
            default_ttl: self.default_ttl,
            max_value_bytes: self.max_value_bytes,
            key_index: self.key_index,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
        };
        Ok(MemcachedBackend::new(Store {
            pool: Pool::new(servers, link),
            settings,
            stats: Arc::default(),
        }))
    }

    fn check(&self) -> Result<(), ConfigError> {
        settings::check_times(&[
            ("connect_timeout", Some(self.connect_timeout)),
            ("timeout", Some(self.timeout)),
            ("default_ttl", self.default_ttl),
        ])?;
        settings::check_prefix(&self.prefix)?;
        if self.max_connections == 0 {
            return Err(ConfigError::new("max_connections", 0, "at least 1"));
        }
        if !self.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            let given = format!("{:?}", self.prefix);
            return Err(ConfigError::new(
                "key_prefix",
                given,
                "visible ASCII characters",
            ));
        }
        if let Some((name, password)) = &self.user {
            let is_word =
                |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_word(name) || !is_word(password) {
                let allowed = "a name and a password without spaces";
                return Err(ConfigError::new("user", "not usable", allowed));
            }
        }
        Ok(())
    }

    /// The servers by host and port.
    fn parse(&self) -> Result<Vec<(String, u16)>, ConfigError> {
        let mut servers = Vec::new();
        for text in &self.servers {
            let list = text.strip_prefix("memcached://").unwrap_or(text);
            for server in list.trim_end_matches('/').split(',') {
                servers.push(parse_one(server.trim()).ok_or_else(|| {
                    let given = format!("{server:?}");
                    ConfigError::new("server", given, "host, host:port or [address]:port")
                })?);
            }
        }
        if servers.is_empty() {
            return Err(ConfigError::new("servers", "an empty list", "at least one"));
        }
        Ok(servers)
    }
}

fn parse_one(server: &str) -> Option<(String, u16)> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
    is_host.then(|| (host.to_owned(), port))
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("default_ttl", &self.default_ttl)
            .field("key_index", &self.key_index)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MemcachedBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("MemcachedBuilder")
            .field("servers", &self.servers)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: M1
    #[test]
    fn servers_are_read_in_every_form() {
        let host = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(parse_one("cache"), host("cache", 11_211));
        assert_eq!(parse_one("10.0.0.1:1"), host("10.0.0.1", 1));
        assert_eq!(parse_one("[::1]:5"), host("::1", 5));
        assert_eq!(parse_one("[::1]"), host("::1", 11_211));
        for bad in ["", ":1", "a:b", "a:70000", "http://a", "u@h", "[::1"] {
            assert_eq!(parse_one(bad), None, "{bad}");
        }
    }
}
