//! Private servers for tests: started on a free loopback port in a folder of their own,
//! paused, killed and started again by the test, and gone when it is over.
//!
//! ```no_run
//! use larder_testkit::servers::Server;
//!
//! let redis = Server::redis();
//! println!("redis://{}", redis.address());
//! redis.kill();
//! redis.start();
//! ```

mod memcached;
mod process;
mod proxy;
mod redis;
mod shell;
mod sql;
mod trials;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use process::Process;

pub use memcached::MemcachedShell;
pub use process::until;
pub use proxy::{Fault, FaultProxy};
pub use redis::{Certificate, RedisCluster, RedisSentinels};
pub use shell::RedisShell;
pub use trials::Trial;

/// Ports below those that the system gives to connections by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What starts a server in a folder of its own on a port.
type MakeCommand = Box<dyn Fn(&Path, u16) -> Command + Send + Sync>;
/// Whether a server is there for whoever has just connected.
type Greets = fn(&mut TcpStream) -> bool;

/// A server of this test alone.
pub struct Server {
    name: &'static str,
    folder: TempDir,
    port: u16,
    command: MakeCommand,
    greets: Greets,
    process: Mutex<Option<Process>>,
}

impl Server {
    fn of(
        name: &'static str,
        command: impl Fn(&Path, u16) -> Command + Send + Sync + 'static,
    ) -> Self {
        Self::with_greeting(name, command, |_| true)
    }

    /// A server that listens before it is there.
    fn with_greeting(
        name: &'static str,
        command: impl Fn(&Path, u16) -> Command + Send + Sync + 'static,
        greets: Greets,
    ) -> Self {
        let server = Self {
            name,
            folder: tempfile::tempdir().expect("a folder can be made"),
            port: free_port(),
            command: Box::new(command),
            greets,
            process: Mutex::new(None),
        };
        server.start();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Starts it, unless it runs, and waits until it takes connections.
    ///
    /// # Panics
    ///
    /// If it does not within 20 s, with what it printed.
    pub fn start(&self) {
        let mut process = self.process.lock();
        let start = || {
            let command = (self.command)(self.folder.path(), self.port);
            Process::start(command, self.folder.path())
        };
        let process = process.get_or_insert_with(start);
        let answers = until(PATIENCE, || {
            if process.has_ended() {
                // What is left of the one before may still be in its way.
                *process = start();
            }
            self.greets()
        });
        assert!(
            answers,
            "{} does not answer:\n{}",
            self.name,
            process.printed()
        );
    }

    fn greets(&self) -> bool {
        let stream = TcpStream::connect_timeout(&self.address(), PATIENCE);
        stream.is_ok_and(|mut stream| {
            let limited = stream.set_read_timeout(Some(PATIENCE));
            limited.is_ok() && (self.greets)(&mut stream)
        })
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(&self) {
        *self.process.lock() = None;
    }

    /// Keeps it from running, connections and all, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it run again.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.lock();
        process.as_ref().expect("it runs").signal(signal);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    // Where to begin is another place for each process and each call.
    static NEXT: Mutex<u16> = Mutex::new(0);

    let mut next = NEXT.lock();
    let begin = u16::try_from(std::process::id() * 37 % 12_000).expect("below 12,000");
    for _ in PORTS {
        let port = PORTS.start + (begin + *next) % (PORTS.end - PORTS.start);
        *next = (*next + 1) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("all ports of {PORTS:?} are taken")
}
