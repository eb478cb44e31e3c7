//! The meta commands of Memcached, as bytes: requests out, answers in.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::name::Name;
use crate::value::Item;

/// The longest line of an answer.
const LONGEST_LINE: usize = 64 << 10;
/// The largest value that a server could send; what says it is larger is no server.
const LARGEST_VALUE: usize = 1 << 30;
const READ_AT_ONCE: usize = 16 << 10;
/// Flags that are asked for at once.
const MOST_FLAGS: usize = 4;

/// A command, with its value if it has one.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    head: Vec<u8>,
    value: Option<Bytes>,
}

impl Command {
    /// A meta command about a key.
    pub(crate) fn new(verb: &str, name: &Name) -> Self {
        Self::with(verb, name, None)
    }

    /// A meta command that stores an item.
    pub(crate) fn store(name: &Name, item: Item) -> Self {
        let mut command = Self::with("ms", name, Some(item.bytes.len()));
        command.value = Some(item.bytes);
        command.flag('F', item.marks.0)
    }

    fn with(verb: &str, name: &Name, length: Option<usize>) -> Self {
        let mut head = Vec::with_capacity(32 + name.bytes.len());
        head.extend_from_slice(verb.as_bytes());
        head.push(b' ');
        name.put(&mut head);
        if let Some(length) = length {
            head.extend_from_slice(format!(" {length}").as_bytes());
        }
        if name.is_odd {
            head.extend_from_slice(b" b");
        }
        Self { head, value: None }
    }

    /// The same with a flag and its number or word.
    pub(crate) fn flag(mut self, flag: char, word: impl std::fmt::Display) -> Self {
        self.head
            .extend_from_slice(format!(" {flag}{word}").as_bytes());
        self
    }

    /// The same with flags that say it all.
    pub(crate) fn flags(mut self, flags: &str) -> Self {
        for flag in flags.bytes() {
            self.head.extend_from_slice(&[b' ', flag]);
        }
        self
    }

    /// Puts it behind others.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"\r\n");
        if let Some(value) = &self.value {
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `HD` or `VA`: done, or found, with flags and perhaps a value.
    Yes(Flags, Option<Bytes>),
    /// `EN`, `NF`: it is not there.
    Missing,
    /// `NS`: the condition does not hold.
    NotStored,
    /// `EX`: somebody else was faster.
    Exists,
    /// The value is too large for the server.
    TooLarge,
    /// Another refusal, after which the connection can still be used.
    Refused(String),
}

/// The flags of an answer that are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags {
    said: [(u8, i64); MOST_FLAGS],
}

impl Flags {
    fn read(words: &str) -> Self {
        let mut said = [(0, 0); MOST_FLAGS];
        let numbers = words.split(' ').filter_map(|word| {
            let (flag, number) = word.split_at_checked(1)?;
            Some((flag.as_bytes()[0], number.parse().ok()?))
        });
        for (place, number) in said.iter_mut().zip(numbers) {
            *place = number;
        }
        Self { said }
    }

    /// The number behind a flag.
    pub(crate) fn number<T: TryFrom<i64>>(self, flag: char) -> Option<T> {
        let found = self.said.iter().find(|(said, _)| char::from(*said) == flag);
        T::try_from(found?.1).ok()
    }
}

/// The bytes of a connection that were read and not understood yet.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: BytesMut,
}

impl Incoming {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next answer.
    pub(crate) async fn answer(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Answer> {
        let end = self.end_of_line(from).await?;
        let line = text_of(&self.bytes[..end])?;
        let (code, rest) = line.split_at_checked(2).ok_or_else(no_memcached)?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let answer = match code {
            "HD" => Answer::Yes(Flags::read(rest), None),
            "VA" => {
                let (length, flags) = rest.split_once(' ').unwrap_or((rest, ""));
                let length: usize = length.parse().map_err(garbage)?;
                let flags = Flags::read(flags);
                self.bytes.advance(end);
                let value = self.value(from, length).await?;
                return Ok(Answer::Yes(flags, Some(value)));
            }
            "EN" | "NF" => Answer::Missing,
            "NS" => Answer::NotStored,
            "EX" => Answer::Exists,
            _ if line.contains("too large") => Answer::TooLarge,
            _ if line.contains("non-numeric") || line.starts_with("SERVER_ERROR") => {
                Answer::Refused(line.to_owned())
            }
            // After that nobody knows what the server takes for a command.
            _ => return Err(said(line)),
        };
        self.bytes.advance(end);
        Ok(answer)
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
        let end = self.end_of_line(from).await?;
        let line = self.bytes.split_to(end);
        text_of(&line).map(str::to_owned)
    }

    /// Where the next line ends.
    async fn end_of_line(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        let mut seen = 0;
        loop {
            if let Some(end) = memchr(b'\n', &self.bytes[seen..]) {
                return Ok(seen + end + 1);
            }
            seen = self.bytes.len();
            if seen > LONGEST_LINE {
                return Err(no_memcached());
            }
            self.read_some(from).await?;
        }
    }

    async fn value(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        length: usize,
    ) -> io::Result<Bytes> {
        if length > LARGEST_VALUE {
            return Err(no_memcached());
        }
        while self.bytes.len() < length + 2 {
            self.read_some(from).await?;
        }
        let value = if length < READ_AT_ONCE {
            // A part would keep all that was read with it.
            let value = Bytes::copy_from_slice(&self.bytes[..length]);
            self.bytes.advance(length);
            value
        } else {
            self.bytes.split_to(length).freeze()
        };
        if !self.bytes.starts_with(b"\r\n") {
            return Err(no_memcached());
        }
        self.bytes.advance(2);
        Ok(value)
    }

    async fn read_some(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        self.bytes.reserve(READ_AT_ONCE);
        if from.read_buf(&mut self.bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// A line without its end; the crawler's have no return.
fn text_of(line: &[u8]) -> io::Result<&str> {
    let line = std::str::from_utf8(line).map_err(garbage)?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    Ok(line.strip_suffix('\r').unwrap_or(line))
}

/// What a server said that it should not have been asked.
pub(crate) fn said(line: &str) -> io::Error {
    let shown: String = line.chars().take(80).filter(|c| !c.is_control()).collect();
    if line.contains("unauthenticated") || line.contains("authentication failure") {
        return io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the server wants another user",
        );
    }
    if ["ERROR", "CLIENT_ERROR", "SERVER_ERROR"]
        .iter()
        .any(|word| line.starts_with(word))
    {
        return io::Error::other(format!("the server said: {shown}"));
    }
    no_memcached()
}

fn no_memcached() -> io::Error {
    let what = "it does not speak as Memcached does";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn garbage<E>(_error: E) -> io::Error {
    no_memcached()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(text: &'static [u8]) -> Vec<io::Result<Answer>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut incoming, mut from) = (Incoming::default(), text);
            let mut answers = Vec::new();
            loop {
                let answer = incoming.answer(&mut from).await;
                let is_over = answer.is_err();
                answers.push(answer);
                if is_over {
                    return answers;
                }
            }
        })
    }

    #[test]
    fn answers_are_read_one_after_the_other() {
        let text = b"HD\r\nVA 2 t60 c7\r\nhi\r\nVA 0 t-1\r\n\r\nEN\r\nNF\r\nNS\r\nEX\r\n\
            SERVER_ERROR object too large for cache\r\n";
        let mut seen = answers(text);
        assert_eq!(
            seen.pop().unwrap().unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        let seen: Vec<Answer> = seen.into_iter().map(Result::unwrap).collect();
        let Answer::Yes(flags, Some(value)) = &seen[1] else {
            panic!("{seen:?}");
        };
        assert_eq!(
            (flags.number('t'), flags.number('c')),
            (Some(60), Some(7_u64))
        );
        assert_eq!(&value[..], b"hi");
        assert_eq!(
            seen[2..4],
            [
                Answer::Yes(Flags::read("t-1"), Some(Bytes::new())),
                Answer::Missing
            ]
        );
        assert_eq!(
            seen[4..],
            [
                Answer::Missing,
                Answer::NotStored,
                Answer::Exists,
                Answer::TooLarge
            ]
        );
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        for text in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"VA 2\r\nhixx\r\n",
            b"VA 99999999999999\r\n",
            b"VA x\r\n",
            b"\r\n",
            b"\xff\xfe\r\n",
        ] {
            let error = answers(text).pop().unwrap().unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::InvalidData,
                "{text:?}: {error}"
            );
        }
    }
}
