//! Which entry goes when room is needed.
//!
//! Every policy is a *rank*: a number per entry, the lowest of the whole cache
//! goes first. Ranks only grow through use, never shrink, so a rank seen earlier
//! is a lower bound of the rank now; the shards build on that.

mod lfu;
mod order;

use std::fmt;
use std::str::FromStr;

use larder_core::error::ConfigError;

pub(crate) use order::{NO_RANK, Order, PINNED};

/// Which entry goes when room is needed.
///
/// Each is exact over the whole cache: the victim is the true one among all
/// entries, not among a sample or a part of them.
///
/// ```
/// use larder_engine::Policy;
///
/// assert_eq!("lfu".parse(), Ok(Policy::Lfu));
/// let error = "random".parse::<Policy>().unwrap_err();
/// assert_eq!(error.to_string(), "policy is random, allowed is lru, lfu, fifo or ttl");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The least recently used.
    #[default]
    Lru,
    /// The least frequently used. Uses age: one counts half after a million further
    /// uses of the cache, or 16 turnovers if that is longer. Among entries with as
    /// many uses the one with the older uses goes.
    Lfu,
    /// The one stored first.
    Fifo,
    /// The one that expires soonest; those without expiry last, oldest first.
    Ttl,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::Lru, Self::Lfu, Self::Fifo, Self::Ttl];

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Fifo => "fifo",
            Self::Ttl => "ttl",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == name)
            .ok_or_else(|| ConfigError::new("policy", name, "lru, lfu, fifo or ttl"))
    }
}
