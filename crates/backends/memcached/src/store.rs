//! The operations on one entry, with everything that a server does not do by itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::backend::distinct;
use larder_core::stored::Moment;
use larder_core::{
    Counter, Error, ErrorKind, Metadata, Result, Retry, SetOptions, StatsRecorder, Ttl, counter,
};

use crate::builder::Settings;
use crate::errors::{refused, too_slow, unexpected};
use crate::name::Name;
use crate::pool::Pool;
use crate::protocol::{Answer, Command};
use crate::value::{Content, Item, Marks};

/// A number of seconds up to this is a lifetime; more is a moment of Unix time.
const LONGEST_IN_SECONDS: u64 = 30 * 86_400;
/// Moments beyond are none for the server: then there is no end.
const LAST_MOMENT: u64 = i32::MAX.unsigned_abs() as u64;
/// How often a change is tried again that others were faster with.
const MOST_RACES: usize = 1_000;
/// Items of all servers up to which those of this cache are counted one by one.
const MOST_COUNTED: u64 = 100_000;

/// Servers, settings and counters.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) pool: Pool,
    pub(crate) settings: Settings,
    pub(crate) stats: Arc<StatsRecorder>,
}

/// An item that is there, over or not.
pub(crate) struct Present {
    item: Item,
    /// The rest of its lifetime in the server's seconds.
    seconds: Option<u64>,
    /// Its version.
    cas: Option<u64>,
}

/// What is in an entry, and how much longer it lives.
pub(crate) type Seen = (Content, Option<Duration>);

/// The only answer, or the last of several.
pub(crate) fn last(mut answers: Vec<Answer>) -> Result<Answer> {
    answers.pop().ok_or_else(|| unexpected("a command"))
}

impl Store {
    pub(crate) fn full(&self, key: &str) -> String {
        [&self.settings.prefix, key].concat()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.settings.clock.now()
    }

    /// Does what takes several exchanges within the time of one.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout_at(self.pool.deadline(), work).await {
            Ok(done) => done,
            Err(_) => Err(too_slow("the server").with_retry(Retry::MaybeApplied)),
        }
    }

    /// The item under a name, over or not.
    pub(crate) async fn look(&self, full: &str, name: &Name) -> Result<Option<Present>> {
        debug_assert!(*name == Name::of(full), "the name is the key's");
        // Asked twice: a server that replaces an item in use tells its old value with the new number.
        let commands = ["c", "vftc"].map(|flags| Command::new("mg", name).flags(flags));
        let answers = self.pool.send(name, &commands, Retry::Safe).await?;
        let mut answers = answers.into_iter();
        let earlier = match answers.next() {
            Some(Answer::Yes(flags, _)) => flags.number('c'),
            other => return present(other),
        };
        let found = present(answers.next())?;
        Ok(found.map(|found| Present {
            cas: earlier,
            ..found
        }))
    }

    /// What is in the items of these keys, each once, with the flags that tell it.
    pub(crate) async fn look_at_all<'a>(
        &self,
        keys: &[&'a str],
        flags: &str,
    ) -> Result<Vec<(&'a str, Seen)>> {
        let named = distinct(keys).map(|key| {
            let full = self.full(key);
            let name = Name::of(&full);
            (key, full, name)
        });
        let keys: Vec<(&str, String, Name)> = named.collect();
        let requests = keys.iter().map(|(_, _, name)| {
            let command = Command::new("mg", name).flags(flags);
            (self.pool.server_of(name), vec![command])
        });
        let answers = self.pool.send_all(requests.collect(), Retry::Safe).await;
        let mut found = Vec::with_capacity(keys.len());
        let (mut answered, mut failed) = (false, None);
        for ((key, full, name), answer) in keys.into_iter().zip(answers) {
            match answer {
                Ok(mut answers) => {
                    answered = true;
                    let item = present(answers.pop())?;
                    found.extend(self.seen(&full, &name, item).map(|seen| (key, seen)));
                }
                Err(error) => {
                    self.stats.add(Counter::Miss, 1);
                    failed = Some(error);
                }
            }
        }
        match failed {
            // A server that is gone is no reason not to use the others.
            Some(error) if !answered => Err(error),
            _ => Ok(found),
        }
    }

    /// What is in an item, counted as a hit or a miss.
    pub(crate) fn seen(&self, full: &str, name: &Name, found: Option<Present>) -> Option<Seen> {
        let now = self.now();
        let alive = found.filter(|found| !found.item.marks.is_over(now));
        let Some(found) = alive else {
            self.stats.add(Counter::Miss, 1);
            return None;
        };
        self.stats.add(Counter::Hit, 1);
        let rest = found.item.marks.rest(now, found.seconds);
        let Some(content) = found.item.open(long(full, name)) else {
            // That it is no hit is said by another counter.
            self.stats.add(Counter::Unreadable, 1);
            return None;
        };
        Some((content, rest))
    }

    /// What is said of a live item beside its value: marks, and the server's seconds.
    pub(crate) async fn marks_of(&self, name: &Name) -> Result<Option<(Marks, Option<u64>)>> {
        let command = Command::new("mg", name).flags("ft");
        match self.pool.send_one(name, command, Retry::Safe).await? {
            Answer::Yes(flags, _) => {
                let marks = Marks(flags.number('f').unwrap_or_default());
                let is_alive = !marks.is_over(self.now());
                Ok(is_alive.then(|| (marks, flags.number('t'))))
            }
            Answer::Missing => Ok(None),
            _ => Err(unexpected("mg")),
        }
    }

    /// The number that tells a server this lifetime.
    async fn seconds(&self, name: &Name, lifetime: Option<Duration>) -> Result<u64> {
        let Some(lifetime) = lifetime else {
            return Ok(0);
        };
        let part = u64::from(lifetime.subsec_nanos() > 0);
        let seconds = lifetime.as_secs().saturating_add(part);
        if seconds <= LONGEST_IN_SECONDS {
            return Ok(seconds.max(1));
        }
        let node = self.pool.node_of(name);
        let end = node.time(node.deadline()).await?.saturating_add(seconds);
        Ok(if end > LAST_MOMENT { 0 } else { end })
    }

    fn lifetime(&self, ttl: Ttl) -> Option<Duration> {
        ttl.resolve(self.settings.default_ttl)
    }

    /// Stores a value, whatever is there.
    pub(crate) async fn set(&self, full: &str, value: Bytes, options: &SetOptions) -> Result<bool> {
        let (name, command) = self.set_command(full, value, options).await?;
        self.was_set(
            self.pool
                .send_one(&name, command, Retry::MaybeApplied)
                .await,
        )
    }

    /// The command that stores a value, whatever is there.
    pub(crate) async fn set_command(
        &self,
        full: &str,
        value: Bytes,
        options: &SetOptions,
    ) -> Result<(Name, Command)> {
        let name = Name::of(full);
        let content = Content {
            value,
            created: Some(Moment::of(self.now())),
            metadata: options.metadata.clone(),
        };
        let command = self
            .store_command(full, &name, content, options.ttl)
            .await?;
        Ok((name, command))
    }

    async fn store_command(
        &self,
        full: &str,
        name: &Name,
        content: Content,
        ttl: Ttl,
    ) -> Result<Command> {
        let lifetime = self.lifetime(ttl);
        let marks = Marks::ending(self.now(), lifetime);
        let item = content.into_item(marks, long(full, name));
        let seconds = self.seconds(name, lifetime).await?;
        Ok(Command::store(name, item).flag('T', seconds))
    }

    /// Whether a value was stored, counted.
    pub(crate) fn was_set(&self, answer: Result<Answer>) -> Result<bool> {
        match answer? {
            Answer::Yes(..) => {
                self.stats.add(Counter::Set, 1);
                Ok(true)
            }
            Answer::TooLarge => {
                // The server has removed the older value.
                self.stats.add(Counter::Rejected, 1);
                Ok(false)
            }
            Answer::Refused(text) => Err(refused(&text)),
            _ => Err(unexpected("ms")),
        }
    }

    /// Stores a value if the condition holds, and nobody changes that meanwhile.
    pub(crate) async fn set_if(
        &self,
        full: &str,
        value: Bytes,
        options: &SetOptions,
    ) -> Result<bool> {
        for _ in 0..MOST_RACES {
            let (name, command) = self.set_command(full, value.clone(), options).await?;
            let found = self.look(full, &name).await?;
            let now = self.now();
            let is_there = found
                .as_ref()
                .is_some_and(|found| !found.item.marks.is_over(now));
            if !options.condition.allows(is_there) {
                return Ok(false);
            }
            let command = only_if_unchanged(command, found.as_ref());
            match self
                .pool
                .send_one(&name, command, Retry::MaybeApplied)
                .await?
            {
                Answer::NotStored | Answer::Exists | Answer::Missing => {}
                answer => return self.was_set(Ok(answer)),
            }
        }
        Err(too_many_races())
    }

    /// Removes names and tells how many of them were there and not over.
    pub(crate) async fn remove(&self, names: Vec<(usize, Name)>) -> Result<u64> {
        let requests = names.into_iter().map(|(server, name)| {
            let commands = vec![
                Command::new("mg", &name).flags("f"),
                Command::new("md", &name),
            ];
            (server, commands)
        });
        let answers = self
            .pool
            .send_all(requests.collect(), Retry::MaybeApplied)
            .await;
        let now = self.now();
        let mut removed = 0;
        for answers in answers {
            let [was, deleted] = &answers?[..] else {
                return Err(unexpected("md"));
            };
            let was_alive = match was {
                Answer::Yes(flags, _) => !Marks(flags.number('f').unwrap_or_default()).is_over(now),
                _ => false,
            };
            match deleted {
                Answer::Yes(..) => removed += u64::from(was_alive),
                Answer::Missing => {}
                Answer::Refused(text) => return Err(refused(text)),
                _ => return Err(unexpected("md")),
            }
        }
        Ok(removed)
    }

    /// Adds to a number, in one round trip if the server can do it alone: it cannot where
    /// something is negative, or there is more to an item than a number.
    pub(crate) async fn count(&self, full: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let name = Name::of(full);
        if let Ok(more) = u64::try_from(delta)
            && !name.is_hash
            && Marks::ending(self.now(), self.lifetime(ttl)) == Marks::default()
            && let Some(sum) = self.count_at_server(&name, more, ttl).await?
        {
            return Ok(sum);
        }
        self.count_here(full, &name, delta, ttl).await
    }

    /// `None` if the server cannot do it alone.
    async fn count_at_server(&self, name: &Name, more: u64, ttl: Ttl) -> Result<Option<i64>> {
        let seconds = self.seconds(name, self.lifetime(ttl)).await?;
        let add = Command::new("ma", name)
            .flag('D', more)
            .flag('J', more)
            .flag('N', seconds)
            .flags("v");
        let commands = [Command::new("mg", name).flags("f"), add];
        let answers = self.pool.send(name, &commands, Retry::MaybeApplied).await?;
        let [was, answer] = &answers[..] else {
            return Err(unexpected("ma"));
        };
        if let Answer::Yes(flags, _) = was
            && Marks(flags.number('f').unwrap_or_default()).is_over(self.now())
        {
            // It has counted on where nothing was any more.
            return Ok(None);
        }
        match answer {
            Answer::Yes(_, Some(sum)) => {
                let sum: Option<u64> = std::str::from_utf8(sum).ok().and_then(|n| n.parse().ok());
                let sum = sum.ok_or_else(|| unexpected("ma"))?;
                if let Ok(sum) = i64::try_from(sum) {
                    return Ok(Some(sum));
                }
                let back = Command::new("ma", name)
                    .flag('D', more)
                    .flags("v")
                    .flag('M', 'D');
                self.pool.send_one(name, back, Retry::MaybeApplied).await?;
                Ok(None)
            }
            Answer::Refused(text) if text.contains("non-numeric") => Ok(None),
            Answer::Refused(text) => Err(refused(text)),
            _ => Err(unexpected("ma")),
        }
    }

    /// Adds to a number that was read, unless it was changed meanwhile.
    async fn count_here(&self, full: &str, name: &Name, delta: i64, ttl: Ttl) -> Result<i64> {
        for _ in 0..MOST_RACES {
            let found = self.look(full, name).await?;
            let now = self.now();
            let alive = found
                .as_ref()
                .filter(|found| !found.item.marks.is_over(now));
            let (sum, command) = if let Some(present) = alive {
                let no_number = || {
                    let message = "the stored value is no decimal number of 64 bits";
                    Error::new(ErrorKind::NotANumber, message)
                };
                let opened = present.item.clone().open(long(full, name));
                let mut content = opened.ok_or_else(no_number)?;
                let sum = counter::add(Some(&content.value), delta)?;
                content.value = sum.to_string().into();
                let item = content.into_item(present.item.marks, long(full, name));
                let rest = present.seconds.map(Duration::from_secs);
                let seconds = self.seconds(name, rest).await?;
                (sum, Command::store(name, item).flag('T', seconds))
            } else {
                let content = Content {
                    value: delta.to_string().into(),
                    created: Some(Moment::of(now)),
                    metadata: Metadata::new(),
                };
                (delta, self.store_command(full, name, content, ttl).await?)
            };
            let command = only_if_unchanged(command, found.as_ref());
            match self
                .pool
                .send_one(name, command, Retry::MaybeApplied)
                .await?
            {
                Answer::Yes(..) => return Ok(sum),
                Answer::NotStored | Answer::Exists | Answer::Missing => {}
                Answer::Refused(text) => return Err(refused(&text)),
                Answer::TooLarge => return Err(unexpected("ms")),
            }
        }
        Err(too_many_races())
    }

    /// Gives an entry another lifetime; whether it was there.
    pub(crate) async fn touch(&self, full: &str, ttl: Ttl) -> Result<bool> {
        let name = Name::of(full);
        let lifetime = self.lifetime(ttl);
        let marks = Marks::ending(self.now(), lifetime);
        for _ in 0..MOST_RACES {
            let Some((old, _)) = self.marks_of(&name).await? else {
                return Ok(false);
            };
            let seconds = self.seconds(&name, lifetime).await?;
            let command = if old.has_end() || marks.has_end() {
                // The marks change too, so the item has to be written again.
                let Some(found) = self.look(full, &name).await? else {
                    return Ok(false);
                };
                let Some(content) = found.item.clone().open(long(full, &name)) else {
                    return Ok(false);
                };
                let item = content.into_item(marks, long(full, &name));
                let command = Command::store(&name, item).flag('T', seconds);
                only_if_unchanged(command, Some(&found))
            } else {
                Command::new("mg", &name).flag('T', seconds)
            };
            match self
                .pool
                .send_one(&name, command, Retry::MaybeApplied)
                .await?
            {
                Answer::Yes(..) => return Ok(true),
                Answer::Exists | Answer::Missing | Answer::NotStored => {}
                Answer::Refused(text) => return Err(refused(&text)),
                Answer::TooLarge => return Err(unexpected("mg")),
            }
        }
        Err(too_many_races())
    }

    /// How many entries there are, and how many bytes they take: of this cache if that
    /// can be counted in a moment, otherwise of the servers.
    pub(crate) async fn census(&self) -> Result<(u64, u64)> {
        let (mut entries, mut bytes) = (0, 0);
        for node in &self.pool.nodes {
            let (items, size) = node.size().await?;
            entries += items;
            bytes += size;
        }
        if entries > MOST_COUNTED {
            return Ok((entries, bytes));
        }
        let (now, mut alive) = (self.now(), 0);
        for node in &self.pool.nodes {
            let listed = match node.list(&self.settings.prefix).await {
                Ok(listed) => listed,
                // A server whose crawler is switched off.
                Err(error) if error.kind() != ErrorKind::Timeout => return Ok((entries, bytes)),
                Err(error) => return Err(error),
            };
            alive += listed
                .iter()
                .filter(|item| !item.marks.is_over(now))
                .count() as u64;
        }
        let share = u128::from(bytes) * u128::from(alive) / u128::from(entries.max(1));
        Ok((alive, u64::try_from(share).unwrap_or(bytes)))
    }
}

/// The item in an answer.
pub(crate) fn present(answer: Option<Answer>) -> Result<Option<Present>> {
    match answer {
        Some(Answer::Yes(flags, Some(bytes))) => Ok(Some(Present {
            item: Item {
                marks: Marks(flags.number('f').unwrap_or_default()),
                bytes,
            },
            seconds: flags.number('t'),
            cas: flags.number('c'),
        })),
        Some(Answer::Missing) => Ok(None),
        Some(Answer::Refused(text)) => Err(refused(&text)),
        _ => Err(unexpected("mg")),
    }
}

/// The key, if its name does not say it.
fn long<'a>(full: &'a str, name: &Name) -> Option<&'a str> {
    name.is_hash.then_some(full)
}

/// The command, for the version that was found, or only where nothing is.
fn only_if_unchanged(command: Command, found: Option<&Present>) -> Command {
    match found {
        Some(found) => command.flag('C', found.cas.unwrap_or_default()),
        None => command.flag('M', 'E'),
    }
}

fn too_many_races() -> Error {
    let message = "others changed the entry each time, at last too often";
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe)
}
