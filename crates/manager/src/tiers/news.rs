//! News of changes: what programs tell each other over a backplane.
//!
//! A message carries who sends it and a number in a row. Who listens finds out by the
//! numbers if one did not arrive. Messages of one sender may overtake each other on the
//! way, so one is missed only after a while (`arrivals.rs`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_core::backplane::{Listener, MAX_MESSAGE_BYTES};
use larder_core::{Backplane, Capability, Pattern, Result, TagMatch};
use serde::{Deserialize, Serialize};

use crate::random;

/// Something that has changed, and that others may have copies of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum News {
    /// These keys.
    Keys(Vec<String>),
    /// What has any or all of these tags.
    Tags(Vec<String>, TagMatch),
    /// What matches.
    Pattern(Kind, String),
    Everything,
}

/// What the text of a pattern is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Glob,
    /// Of those that not everybody may be able to read.
    Other,
}

/// News on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Who sends it.
    pub(crate) node: u64,
    /// The how manieth it is.
    pub(crate) number: u64,
    pub(crate) news: News,
}

/// Tells the others.
pub(crate) struct Teller {
    backplane: Arc<dyn Backplane>,
    channel: String,
    pub(crate) node: u64,
    last: AtomicU64,
}

impl News {
    pub(crate) fn keys(keys: &[&str]) -> Self {
        Self::Keys(keys.iter().map(ToString::to_string).collect())
    }

    pub(crate) fn tags(tags: &[&str], which: TagMatch) -> Self {
        Self::Tags(tags.iter().map(ToString::to_string).collect(), which)
    }

    pub(crate) fn pattern(pattern: &Pattern) -> Self {
        let kind = match pattern.capability() {
            Capability::Keys => Kind::Glob,
            _ => Kind::Other,
        };
        Self::Pattern(kind, pattern.as_str().to_owned())
    }

    /// In pieces that fit a message.
    fn pieces(self) -> Vec<Self> {
        let Self::Keys(keys) = self else {
            return vec![self];
        };
        let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
        for key in keys {
            // As JSON a character has six bytes at most.
            let more = key.len() * 6 + 3;
            if bytes + more > MAX_MESSAGE_BYTES - 100 && !piece.is_empty() {
                pieces.push(Self::Keys(std::mem::take(&mut piece)));
                bytes = 0;
            }
            bytes += more;
            piece.push(key);
        }
        pieces.push(Self::Keys(piece));
        pieces
    }
}

impl Message {
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Teller {
    pub(crate) fn new(backplane: Arc<dyn Backplane>, channel: String) -> Self {
        Self {
            backplane,
            channel,
            node: random::number(),
            last: AtomicU64::new(0),
        }
    }

    /// Tells all who listen.
    pub(crate) async fn tell(&self, news: News) -> Result<()> {
        for news in news.pieces() {
            let message = Message {
                node: self.node,
                // Ordering: relaxed, the numbers only have to be in a row.
                number: self.last.fetch_add(1, Ordering::Relaxed) + 1,
                news,
            };
            let mut text = serde_json::to_string(&message).expect("it has a JSON form");
            if text.len() > MAX_MESSAGE_BYTES {
                // Many long tags: less precise is right as well.
                let news = News::Everything;
                let message = Message { news, ..message };
                text = serde_json::to_string(&message).expect("it has a JSON form");
            }
            let sent = self.backplane.publish(&self.channel, text);
            sent.await?;
        }
        Ok(())
    }

    pub(crate) fn listen(&self) -> Box<dyn Listener> {
        self.backplane.listen(&self.channel)
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller")
            .field("backplane", &self.backplane)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_come_in_pieces_that_fit() {
        let keys: Vec<String> = (0..500).map(|n| format!("{n:0>200}\u{1F600}")).collect();
        let pieces = News::Keys(keys.clone()).pieces();
        let mut all = Vec::new();
        for news in pieces {
            let (node, number) = (u64::MAX, u64::MAX);
            let message = Message { node, number, news };
            let text = serde_json::to_string(&message).expect("it has a JSON form");
            assert!(text.len() <= MAX_MESSAGE_BYTES, "{}", text.len());
            let News::Keys(keys) = Message::read(&text).expect("it was written").news else {
                panic!("keys stay keys");
            };
            all.extend(keys);
        }
        assert_eq!(all, keys);
        assert_eq!(Message::read("{\"of\":\"another version\"}"), None);
    }
}
