//! All servers of a backend, and which of them has a key.
//!
//! A map says which server is responsible: the only one, the present master, or in a
//! cluster the owner of the key's slot. It is made when it is first needed, and again
//! when a server says that it is not responsible any more, or cannot be reached.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Retry};
use parking_lot::{Mutex, RwLock};
use redis::{Cmd, ConnectionAddr, Value};
use tokio::time::Instant;

use crate::errors::{read, refused, unexpected};
use crate::node::{Failure, LastFailure, Link, Node};
use crate::slot::slot_of;

/// Slots of a cluster.
const SLOTS: usize = 16_384;
/// A slot that nobody owns.
const NOBODY: u16 = u16::MAX;

/// How servers find each other.
pub(crate) enum Layout {
    /// There is one.
    Single(ConnectionAddr),
    /// Sentinels know which server is the master of this name.
    Sentinel {
        master: String,
        sentinels: Vec<Arc<Node>>,
    },
    /// Each of many owns some slots; these are asked first.
    Cluster(Vec<ConnectionAddr>),
}

/// Who is responsible for what, as far as is known.
#[derive(Default)]
pub(crate) struct Map {
    /// Servers that take writes.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// The number of the node of each slot; empty where one node has all.
    owners: Vec<u16>,
}

impl Map {
    fn of_one(node: Arc<Node>) -> Self {
        Self {
            nodes: vec![node],
            owners: Vec::new(),
        }
    }

    /// The number of the node that has a slot.
    pub(crate) fn owner(&self, slot: u16) -> Option<usize> {
        if self.owners.is_empty() {
            return (!self.nodes.is_empty()).then_some(0);
        }
        let owner = *self.owners.get(usize::from(slot))?;
        (owner != NOBODY).then_some(usize::from(owner))
    }
}

/// All servers.
pub(crate) struct Fleet {
    layout: Layout,
    link: Arc<Link>,
    map: RwLock<Option<Arc<Map>>>,
    /// One caller makes a map at a time; the others wait for what becomes of it.
    mapping: tokio::sync::Mutex<LastFailure>,
    /// Everyone met so far, so that connections outlive maps.
    met: Mutex<HashMap<String, Arc<Node>>>,
}

impl Fleet {
    pub(crate) fn new(layout: Layout, link: Link) -> Self {
        Self {
            layout,
            link: Arc::new(link),
            map: RwLock::default(),
            mapping: tokio::sync::Mutex::default(),
            met: Mutex::default(),
        }
    }

    /// Until when an operation that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.link.timeout
    }

    /// How long an operation may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.link.timeout
    }

    /// The map, if there is one.
    pub(crate) fn known(&self) -> Option<Arc<Map>> {
        self.map.read().clone()
    }

    /// Whether keys are spread over several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.layout, Layout::Cluster(_))
    }

    /// The slot of a key. A server that is alone has only one.
    pub(crate) fn slot(&self, key: &[u8]) -> u16 {
        if self.is_cluster() { slot_of(key) } else { 0 }
    }

    /// Whether another look may find another server.
    pub(crate) fn can_change(&self) -> bool {
        !matches!(self.layout, Layout::Single(_))
    }

    /// The map, made if there is none.
    pub(crate) async fn map(&self, deadline: Instant) -> Result<Arc<Map>, Error> {
        match self.known() {
            Some(map) => Ok(map),
            None => self.renew(None, deadline).await,
        }
    }

    /// A map that is newer than this one.
    pub(crate) async fn renew(
        &self,
        old: Option<&Arc<Map>>,
        deadline: Instant,
    ) -> Result<Arc<Map>, Error> {
        let asked = Instant::now();
        let mut last = self.mapping.lock().await;
        if let Some(known) = self.known()
            && old.is_none_or(|old| !Arc::ptr_eq(old, &known))
        {
            return Ok(known);
        }
        if let Some(error) = last.since(asked) {
            return Err(error);
        }
        match self.find(old, deadline).await {
            Ok(map) => {
                let map = Arc::new(map);
                *self.map.write() = Some(Arc::clone(&map));
                // Who is in no map any more, and has no request, is forgotten.
                let is_wanted = |node: &Arc<Node>| Arc::strong_count(node) > 1;
                self.met.lock().retain(|_, node| is_wanted(node));
                Ok(map)
            }
            Err(error) => {
                last.note(&error);
                Err(error)
            }
        }
    }

    async fn find(&self, old: Option<&Arc<Map>>, deadline: Instant) -> Result<Map, Error> {
        match &self.layout {
            Layout::Single(address) => Ok(Map::of_one(self.meet(address))),
            Layout::Sentinel { master, sentinels } => {
                self.ask_sentinels(master, sentinels, deadline).await
            }
            Layout::Cluster(seeds) => self.ask_cluster(seeds, old, deadline).await,
        }
    }

    /// The node of an address, with the connections that it has.
    pub(crate) fn meet(&self, address: &ConnectionAddr) -> Arc<Node> {
        let mut met = self.met.lock();
        let node = met
            .entry(address.to_string())
            .or_insert_with(|| Arc::new(Node::new(address.clone(), Arc::clone(&self.link))));
        Arc::clone(node)
    }

    /// The node that a server names as `host:port`; without a host it means itself.
    pub(crate) fn meet_named(&self, name: &str, by: &Node) -> Option<Arc<Node>> {
        let (host, port) = name.rsplit_once(':')?;
        Some(self.meet(&by.neighbour(host, port.parse().ok()?)))
    }

    async fn ask_sentinels(
        &self,
        master: &str,
        sentinels: &[Arc<Node>],
        deadline: Instant,
    ) -> Result<Map, Error> {
        let mut last = no_master(master, "no sentinel knows it");
        for sentinel in sentinels {
            match self.ask_sentinel(master, sentinel, deadline).await {
                Ok(Some(node)) => return Ok(Map::of_one(node)),
                Ok(None) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The master that one sentinel knows, if it already takes writes.
    async fn ask_sentinel(
        &self,
        master: &str,
        sentinel: &Node,
        deadline: Instant,
    ) -> Result<Option<Arc<Node>>, Error> {
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let answer = ask_one(sentinel, ask, deadline).await?;
        let found: Option<(String, u16)> = read(answer, "SENTINEL")?;
        let Some((host, port)) = found else {
            return Ok(None);
        };
        let node = self.meet(&sentinel.neighbour(&host, port));
        if is_master(&node, deadline).await? {
            return Ok(Some(node));
        }
        Err(no_master(master, "its successor is not ready yet"))
    }

    async fn ask_cluster(
        &self,
        seeds: &[ConnectionAddr],
        old: Option<&Arc<Map>>,
        deadline: Instant,
    ) -> Result<Map, Error> {
        let known = old.into_iter().flat_map(|map| map.nodes.iter().cloned());
        let nodes = known.chain(seeds.iter().map(|seed| self.meet(seed)));
        let mut last = Error::new(ErrorKind::InvalidConfig, "no node of the cluster is given");
        for node in nodes {
            let mut ask = redis::cmd("CLUSTER");
            ask.arg("SLOTS");
            match ask_one(&node, ask, deadline).await {
                Ok(answer) => match self.read_slots(answer, &node) {
                    Some(map) => return Ok(map),
                    None => last = unexpected("CLUSTER SLOTS"),
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The map that `CLUSTER SLOTS` describes: first slot, last slot, master, replicas.
    fn read_slots(&self, answer: Value, by: &Node) -> Option<Map> {
        let mut map = Map {
            nodes: Vec::new(),
            owners: vec![NOBODY; SLOTS],
        };
        let Value::Array(ranges) = answer else {
            return None;
        };
        for range in ranges {
            let Value::Array(parts) = range else {
                return None;
            };
            let [
                Value::Int(first),
                Value::Int(last),
                Value::Array(master),
                ..,
            ] = &parts[..]
            else {
                return None;
            };
            let [host, Value::Int(port), ..] = &master[..] else {
                return None;
            };
            let host: String = redis::from_redis_value_ref(host).unwrap_or_default();
            let node = self.meet(&by.neighbour(&host, u16::try_from(*port).ok()?));
            let same = map.nodes.iter().position(|other| Arc::ptr_eq(other, &node));
            let number = same.unwrap_or_else(|| {
                map.nodes.push(node);
                map.nodes.len() - 1
            });
            let slots = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
            map.owners.get_mut(slots)?.fill(u16::try_from(number).ok()?);
        }
        (!map.nodes.is_empty()).then_some(map)
    }
}

/// Sends one command to one server.
pub(crate) async fn ask_one(node: &Node, cmd: Cmd, deadline: Instant) -> Result<Value, Error> {
    match node.run_one(&cmd, deadline).await {
        Ok(Value::ServerError(error)) => Err(refused(error.into())),
        Ok(answer) => Ok(answer),
        Err(Failure::NotSent(error) | Failure::Lost(error)) => Err(error),
    }
}

/// Whether a server takes writes.
async fn is_master(node: &Node, deadline: Instant) -> Result<bool, Error> {
    let answer = ask_one(node, redis::cmd("ROLE"), deadline).await?;
    let Value::Array(parts) = answer else {
        return Err(unexpected("ROLE"));
    };
    let role = parts
        .into_iter()
        .next()
        .map(redis::from_redis_value::<String>);
    Ok(matches!(role, Some(Ok(role)) if role == "master"))
}

fn no_master(name: &str, why: &str) -> Error {
    let message = format!("there is no master {name:?}: {why}");
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe)
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = self.met.lock();
        f.debug_list().entries(met.values()).finish()
    }
}
