//! Telling the application about entries that went.

use std::fmt;
use std::sync::Arc;

use larder_core::stats::{Counter, StatsRecorder};

/// Why an entry went.
///
/// ```
/// use larder_engine::RemovalCause;
///
/// assert!(RemovalCause::Capacity.was_evicted());
/// assert!(!RemovalCause::Removed.was_evicted());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// Its value was replaced, or the replacement was refused.
    Replaced,
    /// The application removed it.
    Removed,
    /// Room was needed.
    Capacity,
    /// Its time was over.
    Expired,
}

impl RemovalCause {
    /// Whether the cache decided, and not the application.
    pub fn was_evicted(self) -> bool {
        matches!(self, Self::Capacity | Self::Expired)
    }
}

/// A function that hears of every entry that goes.
pub(crate) type Listener<K, V> = Arc<dyn Fn(&K, &V, RemovalCause) + Send + Sync>;

/// Entries on their way out, collected under a lock and let go after it.
///
/// Nothing of the application runs under a lock: neither its listener nor its
/// `Drop`.
pub(crate) struct Departures<K, V> {
    /// Mostly there is one, and then nothing has to be allocated.
    first: Option<(K, V, RemovalCause)>,
    others: Vec<(K, V, RemovalCause)>,
}

impl<K, V> Default for Departures<K, V> {
    fn default() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }
}

impl<K, V> Departures<K, V> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, key: K, value: V, cause: RemovalCause) {
        let entry = (key, value, cause);
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            self.others.push(entry);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Counts and announces the entries, and drops them.
    pub(crate) fn let_go(self, stats: &StatsRecorder, listener: Option<&Listener<K, V>>) {
        for (key, value, cause) in self.first.into_iter().chain(self.others) {
            match cause {
                RemovalCause::Capacity => stats.add(Counter::EvictedCapacity, 1),
                RemovalCause::Expired => stats.add(Counter::EvictedExpired, 1),
                RemovalCause::Replaced | RemovalCause::Removed => {}
            }
            if let Some(listener) = listener {
                listener(&key, &value, cause);
            }
        }
    }
}

impl fmt::Display for RemovalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::Capacity => "capacity",
            Self::Expired => "expired",
        })
    }
}
