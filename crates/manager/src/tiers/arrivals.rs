//! Noticing that news did not arrive.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use larder_core::Clock;
use larder_core::backplane::{Heard, Listener};
use tokio::time::timeout;

use super::news::{Message, News};

/// So long a message may be on its way after one that was sent later.
const PATIENCE: Duration = Duration::from_millis(500);
/// Senders that are remembered.
const MOST_SENDERS: usize = 10_000;
/// Messages of one sender that are waited for.
const MOST_AWAITED: u64 = 1_000;

/// How often late messages are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// What there is to go by.
#[derive(Debug)]
pub(crate) enum Told {
    /// Somebody has changed something.
    News(News),
    /// From now on everything is heard.
    Listening,
    /// From now on something may be missed.
    Lost,
    /// Something was missed.
    Gap,
}

/// Listens, and notices what does not arrive.
#[derive(Debug)]
pub(crate) struct Hearing {
    listener: Box<dyn Listener>,
    /// Whose messages are one's own.
    node: u64,
    arrivals: Arrivals,
    /// Something was missed, which is told after what was heard.
    has_gap: bool,
}

impl Hearing {
    pub(super) fn new(listener: Box<dyn Listener>, node: u64) -> Self {
        Self {
            listener,
            node,
            arrivals: Arrivals::default(),
            has_gap: false,
        }
    }

    /// What is heard next, by this clock; waits for it. `None` if nothing ever will be.
    pub(crate) async fn next(&mut self, clock: &dyn Clock) -> Option<Told> {
        loop {
            if std::mem::take(&mut self.has_gap) || self.arrivals.is_late(clock.elapsed()) {
                return Some(Told::Gap);
            }
            let heard = if self.arrivals.is_waiting() {
                let Ok(heard) = timeout(LOOK, self.listener.next()).await else {
                    continue;
                };
                heard?
            } else {
                self.listener.next().await?
            };
            match heard {
                Heard::Listening => {
                    self.arrivals.forget();
                    return Some(Told::Listening);
                }
                Heard::Lost => return Some(Told::Lost),
                Heard::Message(text) => {
                    let Some(message) = Message::read(&text) else {
                        // Of another version: who knows what it says.
                        return Some(Told::Gap);
                    };
                    if message.node == self.node {
                        continue;
                    }
                    let now = clock.elapsed();
                    self.has_gap = !self.arrivals.note(message.node, message.number, now);
                    return Some(Told::News(message.news));
                }
                _ => return Some(Told::Gap),
            }
        }
    }
}

/// The numbers of all senders.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    senders: HashMap<u64, Sender>,
}

#[derive(Debug, Default)]
struct Sender {
    /// The number after the highest that has arrived.
    next: u64,
    /// Numbers before that which have not, and since when they are missing.
    awaited: BTreeMap<u64, Duration>,
}

impl Arrivals {
    /// Notes a message; whether everything may still be all right.
    pub(super) fn note(&mut self, node: u64, number: u64, now: Duration) -> bool {
        if self.senders.len() >= MOST_SENDERS && !self.senders.contains_key(&node) {
            // Most of them have ended long ago.
            self.senders.clear();
            return false;
        }
        // What somebody sent before anybody listened does not matter.
        let sender = self.senders.entry(node).or_insert_with(|| Sender {
            next: number,
            ..Sender::default()
        });
        if number < sender.next {
            sender.awaited.remove(&number);
            return true;
        }
        let new = number - sender.next;
        if new > MOST_AWAITED {
            sender.awaited.clear();
            sender.next = number + 1;
            return false;
        }
        sender
            .awaited
            .extend((sender.next..number).map(|number| (number, now)));
        sender.next = number + 1;
        true
    }

    /// Whether something has been on its way for too long; then it is given up.
    pub(super) fn is_late(&mut self, now: Duration) -> bool {
        let mut is_late = false;
        for sender in self.senders.values_mut() {
            let before = sender.awaited.len();
            sender
                .awaited
                .retain(|_, since| now.saturating_sub(*since) < PATIENCE);
            is_late |= sender.awaited.len() < before;
        }
        is_late
    }

    /// Whether anything is awaited.
    pub(super) fn is_waiting(&self) -> bool {
        self.senders
            .values()
            .any(|sender| !sender.awaited.is_empty())
    }

    pub(super) fn forget(&mut self) {
        self.senders.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_overtakes_is_no_gap_and_one_that_never_comes_is() {
        let (mut arrivals, start) = (Arrivals::default(), Duration::ZERO);
        for number in [7, 8, 10, 9, 11] {
            assert!(arrivals.note(1, number, start));
        }
        assert!(!arrivals.is_waiting() && !arrivals.is_late(PATIENCE));
        assert!(arrivals.note(1, 13, start) && arrivals.note(2, 1, start));
        assert!(arrivals.is_waiting());
        assert!(!arrivals.is_late(PATIENCE / 2), "it may still come");
        assert!(arrivals.is_late(PATIENCE));
        assert!(!arrivals.is_late(PATIENCE), "told once");
        assert!(!arrivals.note(1, 5_000, start), "too many at once");
    }
}
