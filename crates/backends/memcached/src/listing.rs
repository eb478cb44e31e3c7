//! Which keys there are: the server's crawler walks through its items and tells.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result, Retry};
use tokio::time::timeout;

use crate::name::Name;
use crate::node::{Node, number_in};
use crate::protocol::{Answer, Command};
use crate::value::{Item, Marks};

/// Items asked about in one go.
const AT_ONCE: usize = 1_000;
/// Before a crawler that is busy is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// An item that a server has.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: Name,
    /// With the prefix; `None` if the name is no text.
    pub(crate) key: Option<String>,
    pub(crate) marks: Marks,
}

impl Node {
    /// All items whose names begin like this.
    pub(crate) async fn list(self: &Arc<Self>, prefix: &str) -> Result<Vec<Listed>> {
        let mut names = self.crawl().await?;
        names.retain(|name| name.bytes.starts_with(prefix.as_bytes()));
        let mut listed = Vec::with_capacity(names.len());
        for some in names.chunks(AT_ONCE) {
            let commands: Vec<Command> = some
                .iter()
                .map(|name| Command::new("mg", name).flags("f"))
                .collect();
            let answers = self.ask(&commands).await?;
            for (name, answer) in some.iter().zip(answers) {
                // What is not there any more is not listed.
                if let Answer::Yes(flags, _) = answer {
                    let marks = Marks(flags.number('f').unwrap_or_default());
                    listed.push(Listed {
                        key: String::from_utf8(name.bytes.clone()).ok(),
                        name: name.clone(),
                        marks,
                    });
                }
            }
        }
        self.read_long_keys(&mut listed).await?;
        Ok(listed)
    }

    /// Of those whose names are hashes, the keys.
    async fn read_long_keys(self: &Arc<Self>, listed: &mut [Listed]) -> Result<()> {
        let mut long: Vec<&mut Listed> = listed
            .iter_mut()
            .filter(|item| item.marks.has_key())
            .collect();
        for some in long.chunks_mut(AT_ONCE) {
            let commands: Vec<Command> = some
                .iter()
                .map(|item| Command::new("mg", &item.name).flags("v"))
                .collect();
            for (item, answer) in some.iter_mut().zip(self.ask(&commands).await?) {
                item.key = match answer {
                    Answer::Yes(_, Some(bytes)) => {
                        let marks = item.marks;
                        let opened = Item { marks, bytes }.open_any();
                        let key = opened.and_then(|(key, _)| key);
                        key.and_then(|key| String::from_utf8(key.into()).ok())
                    }
                    _ => None,
                };
            }
        }
        Ok(())
    }

    async fn ask(self: &Arc<Self>, commands: &[Command]) -> Result<Vec<Answer>> {
        let commands: Vec<&Command> = commands.iter().collect();
        let asked = self.run(&commands, self.deadline()).await;
        asked.map_err(crate::node::Failure::into_error)
    }

    /// The names of all items.
    async fn crawl(&self) -> Result<Vec<Name>> {
        let deadline = self.deadline();
        loop {
            let lines = self.lines("lru_crawler metadump hash", deadline).await?;
            if lines.last().is_some_and(|line| line == "END") {
                return Ok(lines.iter().filter_map(|line| name_in(line)).collect());
            }
            if tokio::time::Instant::now() >= deadline {
                let message = "the server's crawler is busy with others";
                return Err(Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe));
            }
            let _ = timeout(PAUSE, std::future::pending::<()>()).await;
        }
    }

    /// How many items the server has, and how many bytes they take.
    pub(crate) async fn size(&self) -> Result<(u64, u64)> {
        let stats = self.lines("stats", self.deadline()).await?;
        let number = |what| number_in(&stats, what).unwrap_or_default();
        Ok((number("curr_items"), number("bytes")))
    }
}

/// The name in a line like `key=user%3A1 exp=-1 …`.
fn name_in(line: &str) -> Option<Name> {
    let escaped = line.strip_prefix("key=")?.split(' ').next()?.as_bytes();
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut at = 0;
    while at < escaped.len() {
        if escaped[at] == b'%' {
            let digits = std::str::from_utf8(escaped.get(at + 1..at + 3)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            bytes.push(escaped[at]);
            at += 1;
        }
    }
    Some(Name::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_crawler_writes_them() {
        let name = |line| name_in(line).map(|name| (name.bytes, name.is_odd));
        let plain = name("key=user%3A1 exp=-1 la=1 cas=1 fetch=no cls=1 size=66");
        assert_eq!(plain, Some((b"user:1".to_vec(), false)));
        let odd = name("key=a%20%C3%A9 exp=5");
        assert_eq!(odd, Some(("a é".as_bytes().to_vec(), true)));
        for bad in ["END", "key=%4", "key=%zz exp=1"] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
