//! Redis in all its forms: with TLS, with users, watched by Sentinels, as a cluster.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{PATIENCE, RedisShell, Server, free_port, until};

/// For talking to a server from this machine, TLS or not.
const SOCKET: &str = "socket";

/// The options of every server: nothing on disk, nobody but this machine.
fn redis(folder: &Path, port: u16) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .arg("--unixsocket")
        .arg(folder.join(SOCKET));
    command
}

impl Server {
    /// Redis, with nothing on disk.
    pub fn redis() -> Self {
        Self::of("redis", redis)
    }

    /// Redis with users, a line of an access list each.
    pub fn redis_with_users(users: &'static str) -> Self {
        Self::of("redis", move |folder, port| {
            let list = folder.join("users.acl");
            fs::write(&list, users).expect("the folder can be written to");
            let mut command = redis(folder, port);
            command.arg("--aclfile").arg(list);
            command
        })
    }

    /// Redis behind TLS, with this certificate.
    pub fn redis_with_tls(certificate: &Certificate) -> Self {
        let certificate = certificate.clone();
        Self::of("redis", move |folder, port| {
            let mut command = redis(folder, 0);
            command.args(["--tls-port", &port.to_string()]);
            command.args(["--tls-auth-clients", "optional"]);
            for (name, option, pem) in [
                (
                    "certificate.pem",
                    "--tls-cert-file",
                    &certificate.certificate,
                ),
                ("key.pem", "--tls-key-file", &certificate.key),
                ("root.pem", "--tls-ca-cert-file", &certificate.certificate),
            ] {
                fs::write(folder.join(name), pem).expect("the folder can be written to");
                command.arg(option).arg(folder.join(name));
            }
            command
        })
    }

    /// A way to talk to it.
    pub fn shell(&self) -> RedisShell {
        RedisShell::through(self.folder.path().join(SOCKET))
    }
}

/// A certificate of this machine that nobody else trusts, and its key.
///
/// ```
/// use larder_testkit::servers::Certificate;
///
/// assert!(Certificate::new().certificate.starts_with("-----BEGIN CERTIFICATE"));
/// ```
#[derive(Clone)]
pub struct Certificate {
    /// As PEM.
    pub certificate: String,
    /// As PEM.
    pub key: String,
}

impl Certificate {
    /// Another one each time.
    pub fn new() -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).expect("legal names");
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// A master, a replica and three Sentinels that know it as `main`.
///
/// ```no_run
/// use larder_testkit::servers::RedisSentinels;
///
/// let watched = RedisSentinels::start();
/// watched.servers[0].kill();
/// ```
#[derive(Debug)]
pub struct RedisSentinels {
    /// The first master, and its replica.
    pub servers: [Server; 2],
    /// Who decides which is the master.
    pub sentinels: Vec<Server>,
}

impl RedisSentinels {
    /// The name of the master.
    pub const NAME: &str = "main";

    /// Starts all of them and waits until they know each other.
    pub fn start() -> Self {
        let master = Server::redis();
        let port = master.address().port();
        let replica = Server::of("redis", move |folder, own| {
            let mut command = redis(folder, own);
            command.args(["--replicaof", &format!("127.0.0.1 {port}")]);
            command.args(["--repl-diskless-sync-delay", "0"]);
            command
        });
        let online = || replica.shell().call(&["INFO", "replication"]);
        let is_online = until(PATIENCE, || online().contains("master_link_status:up"));
        assert!(is_online, "the replica finds its master");
        let sentinels: Vec<Server> = (0..3).map(|_| sentinel_of(port)).collect();
        let watched = Self {
            servers: [master, replica],
            sentinels,
        };
        watched.wait_until_ready();
        watched
    }

    /// Waits until every Sentinel knows the others and the replica.
    fn wait_until_ready(&self) {
        for sentinel in &self.sentinels {
            let shell = sentinel.shell();
            let is_ready = until(PATIENCE, || {
                let known = shell.call(&["INFO", "sentinel"]);
                known.contains("slaves=1") && known.contains("sentinels=3")
            });
            assert!(is_ready, "the sentinels find each other");
        }
    }
}

fn sentinel_of(master: u16) -> Server {
    let name = RedisSentinels::NAME;
    Server::of("sentinel", move |folder, port| {
        let settings = folder.join("sentinel.conf");
        if !settings.exists() {
            let text = format!(
                "bind 127.0.0.1\nport {port}\ndir {place}\nunixsocket {place}/{SOCKET}\n\
                 sentinel monitor {name} 127.0.0.1 {master} 2\n\
                 sentinel down-after-milliseconds {name} 1000\n\
                 sentinel failover-timeout {name} 3000\n",
                place = folder.display()
            );
            fs::write(&settings, text).expect("the folder can be written to");
        }
        let mut command = Command::new("redis-server");
        command.arg(settings).arg("--sentinel");
        command
    })
}

/// A cluster of three masters, with a replica each if wanted.
///
/// ```no_run
/// use larder_testkit::servers::RedisCluster;
///
/// let cluster = RedisCluster::start(true);
/// cluster.nodes[0].kill();
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, then their replicas in the same order.
    pub nodes: Vec<Server>,
}

impl RedisCluster {
    const MASTERS: usize = 3;
    const SLOTS: usize = 16_384;

    /// Starts all of them and waits until each knows who has which slot.
    pub fn start(with_replicas: bool) -> Self {
        let count = if with_replicas { 2 } else { 1 } * Self::MASTERS;
        let buses: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let nodes: Vec<Server> = buses.iter().map(|bus| node_with(*bus)).collect();
        let shells: Vec<RedisShell> = nodes.iter().map(Server::shell).collect();
        let port = nodes[0].address().port().to_string();
        for (number, shell) in shells.iter().enumerate() {
            if number < Self::MASTERS {
                let bound = |number: usize| number * Self::SLOTS / Self::MASTERS;
                let [first, last] = [bound(number), bound(number + 1) - 1].map(|n| n.to_string());
                shell.expect("OK", &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            }
            if number > 0 {
                let bus = buses[0].to_string();
                shell.expect("OK", &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        let cluster = Self { nodes };
        cluster.wait_until_all_know(&shells, "cluster_state:ok");
        for (number, shell) in shells.iter().enumerate().skip(Self::MASTERS) {
            let master = shells[number - Self::MASTERS].call(&["CLUSTER", "MYID"]);
            shell.expect("OK", &["CLUSTER", "REPLICATE", &master]);
            let is_online = until(PATIENCE, || {
                let about = shell.call(&["INFO", "replication"]);
                about.contains("master_link_status:up")
            });
            assert!(is_online, "a replica finds its master");
        }
        cluster
    }

    /// Waits until each node knows all others, and says this of the cluster.
    fn wait_until_all_know(&self, shells: &[RedisShell], state: &str) {
        let all = format!("cluster_known_nodes:{}", shells.len());
        for shell in shells {
            let is_ready = until(PATIENCE, || {
                let about = shell.call(&["CLUSTER", "INFO"]);
                about.contains(state) && about.lines().any(|line| line.trim() == all)
            });
            assert!(is_ready, "{:?} do not find each other", self.nodes);
        }
    }
}

fn node_with(bus: u16) -> Server {
    Server::of("cluster node", move |folder, port| {
        let mut command = redis(folder, port);
        command
            .args(["--cluster-enabled", "yes", "--cluster-node-timeout", "500"])
            .args(["--cluster-port", &bus.to_string()])
            .args(["--cluster-require-full-coverage", "no"])
            .args(["--cluster-config-file", "nodes.conf"]);
        command
    })
}
