//! Which entry goes when room is needed.
//!
//! `lru`, `lfu`, `fifo` and `ttl` are *exact*: every entry has a rank, and the lowest
//! of the whole cache goes. The others keep an order within each shard and evict
//! where room is needed, so they never look outside it.

mod adaptive;
mod frequency;
mod lfu;
mod list;
mod order;
mod ranking;
mod ranks;
mod s3fifo;
mod sieve;
mod tinylfu;

use std::fmt;
use std::str::FromStr;

use larder_core::error::ConfigError;

pub(crate) use adaptive::Observation;
pub(crate) use order::NO_RANK;
pub(crate) use ranking::{Gone, Ranking, Shared};

/// Which entry goes when room is needed.
///
/// `lru`, `lfu`, `fifo` and `ttl` are exact over the whole cache: the victim is the
/// true one among all entries, not among a sample or a part of them. The others aim
/// at the best hit ratio; `adaptive` at the best for whatever the cache is used for.
///
/// ```
/// use larder_engine::Policy;
///
/// assert_eq!("lfu".parse(), Ok(Policy::Lfu));
/// let error = "random".parse::<Policy>().unwrap_err();
/// assert_eq!(error.to_string(), "policy is random, allowed is adaptive, lru, lfu, fifo, ttl, sieve, s3fifo or tinylfu");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The one that is worth its room least, as learned from how keys of its kind
    /// were used before. Good for recent and for frequent keys, loops and scans.
    #[default]
    Adaptive,
    /// The least recently used.
    Lru,
    /// The least frequently used. Uses age: one counts half after a million further
    /// uses of the cache, or 16 turnovers if that is longer. Among entries with as
    /// many uses the one with the older uses goes.
    Lfu,
    /// The one stored first.
    Fifo,
    /// The one that expires soonest; those without expiry last, oldest first.
    Ttl,
    /// The first, in the order they came, that was not used since a hand last
    /// passed it.
    Sieve,
    /// What came in lately and was not used twice, before what was.
    S3Fifo,
    /// What was asked for less often than what wants its place, with a window of
    /// fitting size for new entries.
    TinyLfu,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 8] = [
        Self::Adaptive,
        Self::Lru,
        Self::Lfu,
        Self::Fifo,
        Self::Ttl,
        Self::Sieve,
        Self::S3Fifo,
        Self::TinyLfu,
    ];

    /// Whether the victim is the true one of the whole cache by a fixed rule.
    pub const fn is_exact(self) -> bool {
        matches!(self, Self::Lru | Self::Lfu | Self::Fifo | Self::Ttl)
    }

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Fifo => "fifo",
            Self::Ttl => "ttl",
            Self::Sieve => "sieve",
            Self::S3Fifo => "s3fifo",
            Self::TinyLfu => "tinylfu",
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
            .ok_or_else(|| {
                let allowed = "adaptive, lru, lfu, fifo, ttl, sieve, s3fifo or tinylfu";
                ConfigError::new("policy", name, allowed)
            })
    }
}
