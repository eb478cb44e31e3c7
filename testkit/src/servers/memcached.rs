//! Memcached, and talking to it without the client under test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::{Certificate, PATIENCE, Server, until};

impl Server {
    /// Memcached with 64 MiB, for values up to 8 MiB.
    pub fn memcached() -> Self {
        Self::of("memcached", |_, port| memcached(port))
    }

    /// Memcached that wants a user, as `name:password`.
    pub fn memcached_with_user(user: &'static str) -> Self {
        Self::of("memcached", move |folder, port| {
            let list = folder.join("users");
            fs::write(&list, format!("{user}\n")).expect("the folder can be written to");
            let mut command = memcached(port);
            command.arg("-Y").arg(list);
            command
        })
    }

    /// Memcached behind TLS, with this certificate.
    pub fn memcached_with_tls(certificate: &Certificate) -> Self {
        let certificate = certificate.clone();
        Self::of("memcached", move |folder, port| {
            let (chain, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
            for (path, pem) in [(&chain, &certificate.certificate), (&key, &certificate.key)] {
                fs::write(path, pem).expect("the folder can be written to");
            }
            let (chain, key) = (chain.display(), key.display());
            let mut command = memcached(port);
            command.args(["-Z", "-o", &format!("ssl_chain_cert={chain},ssl_key={key}")]);
            command
        })
    }

    /// A way to talk to it.
    pub fn memcached_shell(&self) -> MemcachedShell {
        MemcachedShell::to(self.address())
    }
}

fn memcached(port: u16) -> Command {
    let mut command = Command::new("memcached");
    command
        .args([
            "-l",
            "127.0.0.1",
            "-U",
            "0",
            "-m",
            "64",
            "-t",
            "2",
            "-I",
            "8m",
        ])
        .args(["-p", &port.to_string(), "-u", "root"]);
    command
}

/// A connection to a Memcached server.
///
/// ```no_run
/// use larder_testkit::servers::Server;
///
/// let memcached = Server::memcached();
/// assert_eq!(memcached.memcached_shell().call("mn"), "MN");
/// ```
#[derive(Debug)]
pub struct MemcachedShell(BufReader<TcpStream>);

impl MemcachedShell {
    /// Connects to a server.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        Self(BufReader::new(stream))
    }

    /// Gives a command and returns the first line that the server says.
    ///
    /// # Panics
    ///
    /// If the connection ends.
    pub fn call(&mut self, command: &str) -> String {
        let sent = format!("{command}\r\n");
        let written = self.0.get_mut().write_all(sent.as_bytes());
        written.expect("the server reads");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the server answers");
        line.trim_end().to_owned()
    }

    /// Has the items whose names begin like this end so much sooner, but for odd names.
    ///
    /// # Panics
    ///
    /// If the server does not tell what it has.
    pub fn pass(&mut self, beginning: &str, time: Duration) {
        // The crawler need not spare others.
        self.call("lru_crawler sleep 0");
        let now = self.now();
        for name in self.names(beginning) {
            let rest = self.call(&format!("mg {name} t"));
            let rest = rest.strip_prefix("HD t").and_then(|rest| rest.parse().ok());
            let Some(rest) = rest.filter(|rest: &i64| *rest >= 0) else {
                continue;
            };
            let left = rest - i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            if left <= 0 {
                self.call(&format!("md {name}"));
            } else {
                // More than 30 days would be taken for a moment.
                self.call(&format!("mg {name} T{}", now + left));
            }
        }
    }

    /// The names of all items that begin like this, as they are sent.
    fn names(&mut self, beginning: &str) -> Vec<String> {
        let mut names = Vec::new();
        let listed = until(PATIENCE, || {
            names.clear();
            let mut line = self.call("lru_crawler metadump hash");
            while line != "END" {
                if line.starts_with("BUSY") {
                    return false;
                }
                let name = line
                    .strip_prefix("key=")
                    .and_then(|rest| rest.split(' ').next());
                names.extend(name.and_then(|name| sent_name(name, beginning)));
                line = self.line();
            }
            true
        });
        assert!(listed, "the crawler tells what there is");
        names
    }

    fn now(&mut self) -> i64 {
        let mut line = self.call("stats");
        let mut now = 0;
        while line != "END" {
            if let Some(time) = line.strip_prefix("STAT time ") {
                now = time.parse().expect("a number");
            }
            line = self.line();
        }
        now
    }
}

/// A name as the crawler escapes it, as it is sent; `None` if it begins otherwise, or has
/// bytes that cannot be sent as they are.
fn sent_name(escaped: &str, beginning: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = escaped.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    if !bytes.starts_with(beginning.as_bytes()) {
        return None;
    }
    let is_plain = bytes.iter().all(u8::is_ascii_graphic);
    String::from_utf8(bytes).ok().filter(|_| is_plain)
}
