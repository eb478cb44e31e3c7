//! Talking to a Redis server as a person would, without the client under test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;

use super::{PATIENCE, until};

/// Has the keys that match end so much sooner.
const PASS: &str = "local cursor = '0'
repeat
  local found = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = found[1]
  for _, key in ipairs(found[2]) do
    local left = redis.call('PTTL', key)
    if left >= 0 then
      left = left - tonumber(ARGV[2])
      if left <= 0 then
        redis.call('DEL', key)
      else
        redis.call('PEXPIRE', key, string.format('%.0f', left))
      end
    end
  end
until cursor == '0'
return 'done'";

/// A connection to a Redis server.
///
/// ```no_run
/// use larder_testkit::servers::{RedisShell, Server};
///
/// let redis = Server::redis();
/// assert_eq!(RedisShell::to(redis.address()).call(&["PING"]), "PONG");
/// ```
#[derive(Debug)]
pub struct RedisShell {
    place: Place,
    stream: Mutex<BufReader<Stream>>,
}

/// Where a server listens.
#[derive(Debug)]
enum Place {
    Address(SocketAddr),
    Socket(PathBuf),
}

/// What bytes go through.
trait Wire: Read + Write + Send + std::fmt::Debug {}

impl<T: Read + Write + Send + std::fmt::Debug> Wire for T {}

type Stream = Box<dyn Wire>;

impl RedisShell {
    /// Connects to a server.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn to(address: SocketAddr) -> Self {
        Self::at(Place::Address(address))
    }

    /// Connects to a server of this machine by its socket, which needs no TLS.
    pub(super) fn through(socket: PathBuf) -> Self {
        let place = Place::Socket(socket);
        // It is made a moment after the port.
        until(PATIENCE, || connect(&place).is_ok());
        Self::at(place)
    }

    fn at(place: Place) -> Self {
        Self {
            stream: Mutex::new(connect(&place).expect("the server listens")),
            place,
        }
    }

    /// Gives a command and returns what the server says, a list with a line for each. If
    /// the connection has ended, on another one.
    ///
    /// # Panics
    ///
    /// If that ends too, or what comes is no answer.
    pub fn call(&self, words: &[&str]) -> String {
        let count = format!("*{}\r\n", words.len());
        let words = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let command: String = std::iter::once(count).chain(words).collect();
        let mut stream = self.stream.lock();
        ask(&mut stream, &command)
            .or_else(|_| {
                *stream = connect(&self.place)?;
                ask(&mut stream, &command)
            })
            .expect("the server answers")
    }

    /// Gives a command whose answer is known.
    ///
    /// # Panics
    ///
    /// If it is another one.
    pub fn expect(&self, answer: &str, words: &[&str]) {
        assert_eq!(self.call(words), answer, "{words:?}");
    }

    /// Has the keys that match a pattern of Redis end so much sooner.
    pub fn pass(&self, keys: &str, time: Duration) {
        let millis = time.as_millis().to_string();
        let done = self.call(&["EVAL", PASS, "0", keys, &millis]);
        assert_eq!(done, "done", "the server cannot let time pass");
    }
}

fn connect(place: &Place) -> io::Result<BufReader<Stream>> {
    let stream: Stream = match place {
        Place::Address(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Place::Socket(path) => Box::new(UnixStream::connect(path)?),
    };
    Ok(BufReader::new(stream))
}

fn ask(stream: &mut BufReader<Stream>, command: &str) -> io::Result<String> {
    stream.get_mut().write_all(command.as_bytes())?;
    answer(stream)
}

fn answer(from: &mut BufReader<Stream>) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (kind, rest) = line.trim_end().split_at_checked(1).expect("an answer");
    match kind {
        "$" => {
            let Ok(length) = rest.parse::<usize>() else {
                return Ok(String::new());
            };
            let mut text = vec![0; length + 2];
            from.read_exact(&mut text)?;
            text.truncate(length);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        "*" => {
            let length = rest.parse().unwrap_or(0);
            let parts: io::Result<Vec<String>> = (0..length).map(|_| answer(from)).collect();
            Ok(parts?.join("\n"))
        }
        _ => Ok(rest.to_owned()),
    }
}
