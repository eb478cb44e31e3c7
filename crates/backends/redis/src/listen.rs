//! Hearing of changes and messages, over connections that do nothing else.
//!
//! Who listens has to know when nothing is heard: between [`Heard::Lost`] and
//! [`Heard::Listening`] changes pass unnoticed, and so they do when they come faster than
//! they are taken. Connections are made again by themselves, in a cluster to every
//! master.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_core::backplane::{self, Boxed};
use redis::aio::{MultiplexedConnection, SendError};
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::fleet::{Fleet, Map};

/// What is heard and not taken yet, at most.
const MOST_UNTAKEN: usize = 4_096;
/// After this long without an end every connection is asked for a sign of life.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Between two attempts to connect; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What a [`Listener`] hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// From now on everything is heard. What was before, nobody knows.
    Listening,
    /// From now on something may be missed.
    Lost,
    /// These keys were written, removed, or have expired.
    Changed(Vec<String>),
    /// Any key may have changed: somebody removed everything.
    ChangedAll,
    /// A message on the channel.
    Message(Bytes),
}

/// Hears of changes or messages until it is dropped.
///
/// ```no_run
/// use larder_redis::{Heard, RedisBackend};
///
/// # async fn example() -> larder_core::Result<()> {
/// let redis = RedisBackend::single("redis://127.0.0.1").build()?;
/// let mut changes = redis.track();
/// while let Some(heard) = changes.next().await {
///     match heard {
///         Heard::Changed(keys) => println!("look again at {keys:?}"),
///         Heard::Lost => println!("trust nothing that is near"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Listener {
    heard: mpsc::Receiver<Heard>,
    state: Arc<State>,
    /// An overflow was told, but not yet whether anything is heard again.
    is_told: bool,
    task: AbortHandle,
}

/// What has to be known even when no more fits into the queue.
#[derive(Debug, Default)]
struct State {
    /// Something did not fit.
    overflow: AtomicBool,
    /// All connections stand.
    is_listening: AtomicBool,
}

/// What to listen to.
#[derive(Debug, Clone)]
pub(crate) enum Topic {
    /// Changes of keys that begin like this.
    Changes(String),
    /// Messages on this channel.
    Channel(String),
}

impl Listener {
    /// What is heard next; waits for it. `None` if the runtime ends.
    pub async fn next(&mut self) -> Option<Heard> {
        let state = &self.state;
        // Ordering: relaxed, whoever sees it late hears it with the next.
        let is_listening = || state.is_listening.load(Ordering::Relaxed);
        if std::mem::take(&mut self.is_told) && is_listening() {
            return Some(Heard::Listening);
        }
        if state.overflow.swap(false, Ordering::Relaxed) {
            self.is_told = true;
            return Some(Heard::Lost);
        }
        self.heard.recv().await
    }

    pub(crate) fn start(fleet: Arc<Fleet>, topic: Topic) -> Self {
        let (sender, heard) = mpsc::channel(MOST_UNTAKEN);
        let state = Arc::new(State::default());
        let ear = Ear {
            topic,
            sender,
            state: Arc::clone(&state),
            ended: Arc::default(),
        };
        let task = tokio::spawn(async move { ear.listen(&fleet).await });
        Self {
            heard,
            state,
            is_told: false,
            task: task.abort_handle(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("untaken", &self.heard.len())
            .field(
                "is_listening",
                &self.state.is_listening.load(Ordering::Relaxed),
            )
            .finish_non_exhaustive()
    }
}

/// The side that listens.
#[derive(Clone)]
struct Ear {
    topic: Topic,
    sender: mpsc::Sender<Heard>,
    state: Arc<State>,
    /// A connection ended.
    ended: Arc<Notify>,
}

impl Ear {
    async fn listen(&self, fleet: &Fleet) {
        let (mut pause, mut old) = (FIRST_PAUSE, None);
        loop {
            let deadline = fleet.deadline();
            let map = match fleet.renew(old.as_ref(), deadline).await {
                Ok(map) => map,
                Err(_) => fleet.map(deadline).await.unwrap_or_default(),
            };
            if let Some(mut lines) = self.connect(fleet, &map).await {
                pause = FIRST_PAUSE;
                self.state.is_listening.store(true, Ordering::Relaxed);
                self.say(Heard::Listening);
                self.wait_for_the_end(fleet, &map, &mut lines).await;
                self.state.is_listening.store(false, Ordering::Relaxed);
                self.say(Heard::Lost);
            } else {
                // Ends early if nobody wants to hear any more.
                let _ = timeout(pause, self.sender.closed()).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            old = Some(map);
        }
    }

    /// Connections to all whom the topic concerns, or none.
    async fn connect(&self, fleet: &Fleet, map: &Map) -> Option<Vec<MultiplexedConnection>> {
        let mut lines = Vec::new();
        for node in &map.nodes {
            let ear = self.clone();
            let hear = move |push: PushInfo| {
                ear.hear(push);
                Ok::<(), SendError>(())
            };
            let opened = async {
                let mut line = node.open_ear(hear).await.ok()?;
                self.begin().query_async::<Value>(&mut line).await.ok()?;
                Some(line)
            };
            match timeout(fleet.timeout(), opened).await.ok().flatten() {
                Some(line) => lines.push(line),
                None if matches!(self.topic, Topic::Channel(_)) => continue,
                None => return None,
            }
            if matches!(self.topic, Topic::Channel(_)) {
                // Every node passes on what any of them is told.
                break;
            }
        }
        (!lines.is_empty()).then_some(lines)
    }

    /// The command that makes a connection listen.
    fn begin(&self) -> Cmd {
        match &self.topic {
            Topic::Channel(name) => {
                let mut cmd = redis::cmd("SUBSCRIBE");
                cmd.arg(name);
                cmd
            }
            Topic::Changes(prefix) => {
                let mut cmd = redis::cmd("CLIENT");
                cmd.arg("TRACKING").arg("ON").arg("BCAST");
                if !prefix.is_empty() {
                    cmd.arg("PREFIX").arg(prefix);
                }
                cmd
            }
        }
    }

    async fn wait_for_the_end(
        &self,
        fleet: &Fleet,
        map: &Map,
        lines: &mut [MultiplexedConnection],
    ) {
        while timeout(HEARTBEAT, self.ended.notified()).await.is_err() {
            for line in &mut *lines {
                let asked = redis::cmd("PING");
                let asked = asked.query_async::<Value>(line);
                if !matches!(timeout(fleet.timeout(), asked).await, Ok(Ok(_))) {
                    return;
                }
            }
            let now = fleet.known();
            let mut nodes = now.iter().flat_map(|now| &now.nodes);
            if !nodes.all(|node| map.nodes.iter().any(|known| Arc::ptr_eq(known, node))) {
                // There is a master that nobody listens to.
                return;
            }
        }
    }

    /// What a connection brings.
    fn hear(&self, push: PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.ended.notify_one(),
            PushKind::Invalidate => {
                let Topic::Changes(prefix) = &self.topic else {
                    return;
                };
                let Some(Value::Array(keys)) = push.data.into_iter().next() else {
                    return self.say(Heard::ChangedAll);
                };
                let keys = keys.into_iter().filter_map(|key| {
                    let key: String = redis::from_redis_value(key).ok()?;
                    Some(key.strip_prefix(prefix)?.to_owned())
                });
                self.say(Heard::Changed(keys.collect()));
            }
            PushKind::Message => {
                if let Some(Value::BulkString(message)) = push.data.into_iter().nth(1) {
                    self.say(Heard::Message(message.into()));
                }
            }
            _ => {}
        }
    }

    fn say(&self, heard: Heard) {
        if self.sender.try_send(heard).is_err() {
            self.state.overflow.store(true, Ordering::Relaxed);
        }
    }
}

/// A [`Listener`] to a channel, for those who do not mind which server it is.
#[derive(Debug)]
pub(crate) struct Ears(pub(crate) Listener);

impl backplane::Listener for Ears {
    fn next(&mut self) -> Boxed<'_, Option<backplane::Heard>> {
        Box::pin(async {
            loop {
                return Some(match self.0.next().await? {
                    Heard::Listening => backplane::Heard::Listening,
                    Heard::Lost => backplane::Heard::Lost,
                    Heard::Message(message) => {
                        let text = String::from_utf8_lossy(&message).into_owned();
                        backplane::Heard::Message(text)
                    }
                    // Nobody asked for those.
                    Heard::Changed(_) | Heard::ChangedAll => continue,
                });
            }
        })
    }
}
