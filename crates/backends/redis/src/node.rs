//! One server, and the connections to it.
//!
//! Requests of many callers share a connection and are answered in order, so that one
//! connection serves thousands of them. Another is opened only when all are busy. A
//! connection that ended is noticed at once and replaced by the next caller; one that
//! was silent for long is asked for a sign of life before it is used.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{Clock, Error};
use parking_lot::Mutex;
use redis::aio::{AsyncPushSender, MultiplexedConnection, SendError};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, PushInfo,
    PushKind, RedisConnectionInfo, RedisResult, Value,
};
use tokio::time::{Instant, timeout_at};

use crate::errors::{lost, not_connected, too_slow};

/// Requests under way on a connection from which on it is busy: the more share one, the
/// more go with each write and each read.
const BUSY: usize = 512;

/// How to reach servers, whichever.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) redis: RedisConnectionInfo,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) health_check_interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A connection that callers share.
struct Line {
    connection: MultiplexedConnection,
    under_way: AtomicUsize,
    is_over: Arc<AtomicBool>,
    /// When something was heard from the server, in milliseconds of the clock.
    heard: AtomicU64,
}

/// One request of a line that has not been answered; ends with the caller's patience.
struct UnderWay(Arc<Line>);

impl UnderWay {
    fn on(line: Arc<Line>) -> Self {
        // Ordering: relaxed throughout, these numbers only help to choose.
        line.under_way.fetch_add(1, Ordering::Relaxed);
        Self(line)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A line that was asked for a sign of life: without one, even if the caller has lost
/// patience, it is over.
struct Asked<'a> {
    line: &'a Line,
    is_answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.line.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// Nothing was sent.
    NotSent(Error),
    /// It was sent, or may have been.
    Lost(Error),
}

/// One server.
pub(crate) struct Node {
    address: ConnectionAddr,
    name: String,
    link: Arc<Link>,
    lines: Mutex<Vec<Arc<Line>>>,
    /// One caller connects at a time; the others wait for what becomes of it.
    connecting: tokio::sync::Mutex<LastFailure>,
}

/// When something failed last, and why: for those who waited for it.
#[derive(Default)]
pub(crate) struct LastFailure(Option<(Instant, Error)>);

impl LastFailure {
    /// The error, if it came while somebody waited since `asked`.
    pub(crate) fn since(&self, asked: Instant) -> Option<Error> {
        let (at, error) = self.0.as_ref()?;
        (*at > asked).then(|| error.clone())
    }

    /// It failed just now.
    pub(crate) fn note(&mut self, error: &Error) {
        self.0 = Some((Instant::now(), error.clone()));
    }
}

impl Node {
    pub(crate) fn new(address: ConnectionAddr, link: Arc<Link>) -> Self {
        let over = match address {
            ConnectionAddr::TcpTls { .. } => " over TLS",
            _ => "",
        };
        Self {
            name: format!("{address}{over}"),
            address,
            link,
            lines: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// A server at another place, reached in the same way; without a host it is here.
    pub(crate) fn neighbour(&self, host: &str, port: u16) -> ConnectionAddr {
        match &self.address {
            ConnectionAddr::TcpTls {
                host: here,
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: if host.is_empty() { here } else { host }.to_owned(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            ConnectionAddr::Tcp(here, _) if host.is_empty() => {
                ConnectionAddr::Tcp(here.clone(), port)
            }
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        }
    }

    /// Sends some commands in one go and waits for all answers.
    pub(crate) async fn run(
        &self,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let count = commands.len();
        self.exchange(deadline, async |connection| {
            connection.send_packed_commands(commands, 0, count).await
        })
        .await
    }

    /// Sends a command and waits for the answer.
    pub(crate) async fn run_one(&self, cmd: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        self.exchange(deadline, async |connection| {
            connection.send_packed_command(cmd).await
        })
        .await
    }

    async fn exchange<T>(
        &self,
        deadline: Instant,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let line = match timeout_at(deadline, self.line()).await {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => return Err(Failure::NotSent(error)),
            Err(_) => return Err(Failure::NotSent(too_slow(&self.name))),
        };
        let sent = UnderWay::on(line);
        let line = &sent.0;
        let mut connection = line.connection.clone();
        match timeout_at(deadline, ask(&mut connection)).await {
            Ok(Ok(answer)) => {
                line.heard.store(self.now(), Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) if !error.is_timeout() => {
                line.is_over.store(true, Ordering::Relaxed);
                Err(Failure::Lost(lost(&self.name, error)))
            }
            _ => {
                // Perhaps the server is slow, perhaps nobody is there any more.
                line.is_over.store(true, Ordering::Relaxed);
                Err(Failure::Lost(too_slow(&self.name)))
            }
        }
    }

    /// The connection to use now.
    async fn line(&self) -> Result<Arc<Line>, Error> {
        if let Some(line) = self.least_busy() {
            let is_busy = line.under_way.load(Ordering::Relaxed) >= BUSY;
            if is_busy && self.lines.lock().len() < self.link.max_connections {
                // If someone is connecting already, or it fails, this one will do.
                if let Ok(mut last) = self.connecting.try_lock()
                    && let Ok(line) = self.connect(&mut last).await
                {
                    return Ok(line);
                }
            }
            if self.is_alive(&line).await {
                return Ok(line);
            }
        }
        let asked = Instant::now();
        let mut last = self.connecting.lock().await;
        if let Some(line) = self.least_busy() {
            return Ok(line);
        }
        match last.since(asked) {
            Some(error) => Err(error),
            None => self.connect(&mut last).await,
        }
    }

    fn least_busy(&self) -> Option<Arc<Line>> {
        let mut lines = self.lines.lock();
        lines.retain(|line| !line.is_over.load(Ordering::Relaxed));
        let under_way = |line: &&Arc<Line>| line.under_way.load(Ordering::Relaxed);
        lines.iter().min_by_key(under_way).cloned()
    }

    /// Whether a connection works, as far as one can know without asking too often.
    async fn is_alive(&self, line: &Arc<Line>) -> bool {
        let silent = self.now() - line.heard.load(Ordering::Relaxed).min(self.now());
        if u128::from(silent) < self.link.health_check_interval.as_millis() {
            return true;
        }
        let mut asked = Asked {
            line,
            is_answered: false,
        };
        let mut connection = line.connection.clone();
        let answer: RedisResult<()> = redis::cmd("PING").query_async(&mut connection).await;
        line.heard.store(self.now(), Ordering::Relaxed);
        asked.is_answered = answer.is_ok();
        asked.is_answered
    }

    async fn connect(&self, last: &mut LastFailure) -> Result<Arc<Line>, Error> {
        let opened = self.open().await.map_err(|error| {
            let error = not_connected(&self.name, error);
            last.note(&error);
            error
        });
        let line = Arc::new(opened?);
        self.lines.lock().push(Arc::clone(&line));
        Ok(line)
    }

    async fn open(&self) -> RedisResult<Line> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let hear = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.store(true, Ordering::Relaxed);
            }
            Ok::<(), SendError>(())
        };
        Ok(Line {
            connection: self.open_ear(hear).await?,
            under_way: AtomicUsize::new(0),
            is_over,
            heard: AtomicU64::new(self.now()),
        })
    }

    /// A connection whose unasked-for news somebody hears.
    pub(crate) async fn open_ear(
        &self,
        hear: impl AsyncPushSender,
    ) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.link.connect_timeout))
            // Whoever asks looks at the time.
            .set_response_timeout(None)
            .set_push_sender(hear);
        let client = self.client()?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// What connects to this server.
    fn client(&self) -> RedisResult<Client> {
        let info = self.address.clone().into_connection_info()?;
        Client::open(
            info.set_redis_settings(self.link.redis.clone())
                .set_tcp_settings(TcpSettings::default().set_nodelay(true)),
        )
    }

    fn now(&self) -> u64 {
        u64::try_from(self.link.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.name)
            .field("connections", &self.lines.lock().len())
            .finish_non_exhaustive()
    }
}
