//! One connection: what is sent on it, and what comes back.

use std::io;

use futures_util::future::try_join;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::line::Batch;
use crate::node::Link;
use crate::protocol::{Incoming, said};
use crate::tls::secure;

/// Requests up to this size the system takes at once, whatever the server does.
const SMALL: usize = 16 << 10;

/// A connection to a server.
pub(crate) struct Connection {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    incoming: Incoming,
}

impl Connection {
    pub(crate) async fn open(host: &str, port: u16, link: &Link) -> io::Result<Self> {
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
    pub(crate) fn is_open(&self) -> bool {
        let socket = match &self.stream {
            Either::Left(stream) => stream,
            Either::Right(stream) => stream.get_ref().0,
        };
        let nothing = socket.try_read(&mut [0]);
        let is_quiet = matches!(nothing, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        is_quiet && self.incoming.is_empty()
    }

    /// Sends all requests in one go, and gives each its answers as they come. What is
    /// left in the batch has got none.
    pub(crate) async fn run(&mut self, batch: &mut Batch) -> io::Result<()> {
        let out = batch.take_bytes();
        if out.len() <= SMALL {
            self.stream.write_all(&out).await?;
            self.stream.flush().await?;
            return answer_all(&mut self.incoming, &mut self.stream, batch).await;
        }
        // Both at once: neither side waits with its bytes for the other's.
        let (mut from, mut to) = tokio::io::split(&mut self.stream);
        let sending = async {
            to.write_all(&out).await?;
            to.flush().await
        };
        let answering = answer_all(&mut self.incoming, &mut from, batch);
        try_join(sending, answering).await.map(|((), ())| ())
    }

    pub(crate) async fn lines(&mut self, command: &str) -> io::Result<Vec<String>> {
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

async fn answer_all(
    incoming: &mut Incoming,
    from: &mut (impl AsyncRead + Unpin),
    batch: &mut Batch,
) -> io::Result<()> {
    while let Some(count) = batch.next() {
        let mut answers = Vec::with_capacity(count);
        for _ in 0..count {
            answers.push(incoming.answer(from).await?);
        }
        batch.answer(answers);
    }
    Ok(())
}
