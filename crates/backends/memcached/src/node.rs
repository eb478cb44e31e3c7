//! One server, and the connections to it.
//!
//! An operation has a connection to itself, from a few that are kept open. One that was
//! given up, or that the server has closed, is not used again.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join;
use larder_core::{Error, ErrorKind, Result, Retry};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::errors::{lost, not_connected, too_slow};
use crate::protocol::{Answer, Command, Incoming, said};
use crate::tls::secure;

/// How long it is known what time it is at the server.
const CLOCK_KEPT: Duration = Duration::from_secs(60);

/// A connection that was used so lately is not looked at: that costs as much as half an
/// exchange.
const FRESH: Duration = Duration::from_millis(1);
/// Requests up to this size the system takes at once, whatever the server does.
const SMALL: usize = 16 << 10;

/// How to reach servers, whichever.
pub(crate) struct Link {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) tls: Option<TlsConnector>,
    /// User and password.
    pub(crate) user: Option<(String, String)>,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// Nothing was sent.
    NotSent(Error),
    /// It was sent, or may have been.
    Lost(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::NotSent(error) | Self::Lost(error) => error,
        }
    }
}

/// One server.
pub(crate) struct Node {
    host: String,
    port: u16,
    name: String,
    link: Arc<Link>,
    /// With when they were used last; the last one used is the first one used again.
    idle: Mutex<Vec<(Connection, Instant)>>,
    permits: Semaphore,
    /// The server's Unix time, and when it was asked.
    clock: Mutex<Option<(u64, Instant)>>,
}

impl Node {
    pub(crate) fn new((host, port): (String, u16), link: Arc<Link>) -> Self {
        Self {
            name: format!("{host}:{port}"),
            host,
            port,
            idle: Mutex::default(),
            permits: Semaphore::new(link.max_connections),
            clock: Mutex::default(),
            link,
        }
    }

    /// Until when an operation that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.link.timeout
    }

    /// Sends some commands in one go and waits for all answers.
    pub(crate) async fn run(
        &self,
        commands: &[&Command],
        deadline: Instant,
    ) -> Result<Vec<Answer>, Failure> {
        self.with(deadline, async |connection| connection.run(commands).await)
            .await
    }

    /// Sends a command whose answer is a list, and collects its lines up to the end.
    pub(crate) async fn lines(&self, command: &str, deadline: Instant) -> Result<Vec<String>> {
        let asked = self.with(deadline, async |connection| connection.lines(command).await);
        asked.await.map_err(Failure::into_error)
    }

    /// What time it is at the server, in seconds of Unix.
    pub(crate) async fn time(&self, deadline: Instant) -> Result<u64> {
        let known = *self.clock.lock();
        if let Some((then, asked)) = known
            && asked.elapsed() < CLOCK_KEPT
        {
            return Ok(then + asked.elapsed().as_secs());
        }
        let asked = Instant::now();
        let stats = self.lines("stats", deadline).await?;
        let time = number_in(&stats, "time").ok_or_else(|| {
            let message = format!("{} does not tell what time it is", self.name);
            Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe)
        })?;
        *self.clock.lock() = Some((time, asked));
        Ok(time)
    }

    async fn with<T>(
        &self,
        deadline: Instant,
        work: impl AsyncFnOnce(&mut Connection) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let not_sent = |error| Failure::NotSent(not_connected(&self.name, error));
        let in_time = async {
            let permit = self.permits.acquire().await.expect("it is never closed");
            let connection = match self.kept() {
                Some(connection) => connection,
                None => self.connect().await.map_err(not_sent)?,
            };
            Ok((permit, connection))
        };
        let (_permit, mut connection) = match timeout_at(deadline, in_time).await {
            Ok(opened) => opened?,
            Err(_) => return Err(Failure::NotSent(too_slow(&self.name))),
        };
        match timeout_at(deadline, work(&mut connection)).await {
            Ok(Ok(done)) => {
                self.idle.lock().push((connection, Instant::now()));
                Ok(done)
            }
            Ok(Err(error)) => Err(Failure::Lost(lost(&self.name, error))),
            Err(_) => Err(Failure::Lost(too_slow(&self.name))),
        }
    }

    /// A connection that was kept and still stands.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        while let Some((connection, used)) = idle.pop() {
            if used.elapsed() < FRESH || connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> io::Result<Connection> {
        let opened = Connection::open(&self.host, self.port, &self.link);
        let opened = timeout(self.link.connect_timeout, opened).await;
        opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The number that statistics say of something.
pub(crate) fn number_in(stats: &[String], what: &str) -> Option<u64> {
    stats.iter().find_map(|line| {
        let (name, number) = line.strip_prefix("STAT ")?.split_once(' ')?;
        (name == what).then(|| number.parse().ok()).flatten()
    })
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.name)
            .field("idle", &self.idle.lock().len())
            .finish_non_exhaustive()
    }
}

/// A connection that one operation has at a time.
struct Connection {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    incoming: Incoming,
}

impl Connection {
    async fn open(host: &str, port: u16, link: &Link) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let stream = match &link.tls {
            Some(connector) => Either::Right(secure(connector, host, stream).await?),
            None => Either::Left(stream),
        };
        let mut connection = Self {
            stream,
            incoming: Incoming::default(),
        };
        if let Some((user, password)) = &link.user {
            connection.sign_in(user, password).await?;
        }
        Ok(connection)
    }

    async fn sign_in(&mut self, user: &str, password: &str) -> io::Result<()> {
        let length = user.len() + 1 + password.len();
        let sent = format!("set auth 0 0 {length}\r\n{user} {password}\r\n");
        self.send(&sent).await?;
        match self.incoming.line(&mut self.stream).await?.as_str() {
            "STORED" => Ok(()),
            line => Err(said(line)),
        }
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    /// Whether the server has not closed it, and has nothing to say unasked.
    fn is_open(&self) -> bool {
        let socket = match &self.stream {
            Either::Left(stream) => stream,
            Either::Right(stream) => stream.get_ref().0,
        };
        let nothing = socket.try_read(&mut [0]);
        let is_quiet = matches!(nothing, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        is_quiet && self.incoming.is_empty()
    }

    async fn run(&mut self, commands: &[&Command]) -> io::Result<Vec<Answer>> {
        let mut out = Vec::with_capacity(64 * commands.len());
        for command in commands {
            command.put(&mut out);
        }
        if out.len() <= SMALL {
            self.stream.write_all(&out).await?;
            self.stream.flush().await?;
            return answers(&mut self.incoming, &mut self.stream, commands.len()).await;
        }
        // Both at once: neither side waits with its bytes for the other's.
        let (mut from, mut to) = tokio::io::split(&mut self.stream);
        let sending = async {
            to.write_all(&out).await?;
            to.flush().await
        };
        let answers = answers(&mut self.incoming, &mut from, commands.len());
        let ((), answers) = try_join(sending, answers).await?;
        Ok(answers)
    }

    async fn lines(&mut self, command: &str) -> io::Result<Vec<String>> {
        self.send(&format!("{command}\r\n")).await?;
        let mut lines = Vec::new();
        loop {
            let line = self.incoming.line(&mut self.stream).await?;
            let is_end = ["END", "OK"].contains(&line.as_str()) || line.starts_with("BUSY");
            if line.contains("ERROR") && !line.starts_with("STAT ") && !line.starts_with("key=") {
                return Err(said(&line));
            }
            lines.push(line);
            if is_end {
                return Ok(lines);
            }
        }
    }
}

/// So many answers.
async fn answers(
    incoming: &mut Incoming,
    from: &mut (impl AsyncRead + Unpin),
    count: usize,
) -> io::Result<Vec<Answer>> {
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        answers.push(incoming.answer(from).await?);
    }
    Ok(answers)
}
