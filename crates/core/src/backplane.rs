//! How programs tell each other what changed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::error::Result;

/// A future of a [`Backplane`].
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries messages between the programs that share a tier.
///
/// It may lose messages, but only if it says so: who listens has to hear [`Heard::Lost`]
/// first, and [`Heard::Listening`] when everything is heard again.
///
/// A cache that is told of changes may keep copies for as long as they live; see the
/// manager. Redis and PostgreSQL are backplanes.
///
/// ```
/// use larder_core::backplane::{Backplane, Boxed, Heard, Listener};
///
/// /// Of a program that is alone.
/// #[derive(Debug)]
/// struct Alone;
///
/// impl Backplane for Alone {
///     fn publish<'a>(&'a self, _: &'a str, _: String) -> Boxed<'a, larder_core::Result<()>> {
///         Box::pin(async { Ok(()) })
///     }
///
///     fn listen(&self, _: &str) -> Box<dyn Listener> {
///         Box::new(Alone)
///     }
/// }
///
/// impl Listener for Alone {
///     fn next(&mut self) -> Boxed<'_, Option<Heard>> {
///         Box::pin(std::future::pending())
///     }
/// }
/// ```
pub trait Backplane: fmt::Debug + Send + Sync + 'static {
    /// Sends a message to all who listen on a channel, the sender perhaps among them.
    /// Most bytes of a message are [`MAX_MESSAGE_BYTES`].
    fn publish<'a>(&'a self, channel: &'a str, message: String) -> Boxed<'a, Result<()>>;

    /// Listens on a channel until the listener is dropped.
    fn listen(&self, channel: &str) -> Box<dyn Listener>;
}

/// One who hears what is published on a channel; an example is at [`Backplane`].
pub trait Listener: fmt::Debug + Send {
    /// What is heard next; waits for it. `None` if nothing will ever be heard again.
    fn next(&mut self) -> Boxed<'_, Option<Heard>>;
}

/// Longest message, so that every backplane can carry it.
pub const MAX_MESSAGE_BYTES: usize = 7_000;

/// What a [`Listener`] hears.
///
/// ```
/// use larder_core::backplane::Heard;
///
/// assert_ne!(Heard::Listening, Heard::Message("news".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// From now on everything is heard. What was before, nobody knows.
    Listening,
    /// From now on something may be missed.
    Lost,
    /// A message.
    Message(String),
}
