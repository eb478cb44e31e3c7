//! What a backend promises beyond the six required methods.

use std::fmt;

use crate::key::MAX_KEY_BYTES;

/// One thing that a backend may or may not do.
///
/// Present, it works; absent, the operation returns
/// [`Unsupported`](crate::ErrorKind::Unsupported) and changes nothing.
///
/// ```
/// use larder_core::{Capabilities, Capability};
///
/// let capabilities = Capabilities::new().with(Capability::Keys);
/// assert!(capabilities.has(Capability::Keys));
/// assert!(!capabilities.has(Capability::Counters));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// `keys`, `scan` and `delete_pattern` with glob patterns.
    Keys,
    /// Regular expressions in patterns.
    RegexPatterns,
    /// SQL `LIKE` in patterns.
    LikePatterns,
    /// `increment` and `decrement`, atomically.
    Counters,
    /// `touch`.
    Touch,
    /// `get_entry`, `get_entries` and `ttl`.
    Entries,
    /// Metadata is kept with the entry.
    Metadata,
    /// Tags are kept with the entry and can be invalidated.
    Tags,
    /// `set` under a [`Condition`](crate::Condition).
    Conditions,
    /// Entries survive the process.
    Persistent,
    /// Other processes see the same entries.
    Shared,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 11] = [
        Self::Keys,
        Self::RegexPatterns,
        Self::LikePatterns,
        Self::Counters,
        Self::Touch,
        Self::Entries,
        Self::Metadata,
        Self::Tags,
        Self::Conditions,
        Self::Persistent,
        Self::Shared,
    ];

    /// What messages and tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::RegexPatterns => "regex patterns",
            Self::LikePatterns => "like patterns",
            Self::Counters => "counters",
            Self::Touch => "touch",
            Self::Entries => "entries",
            Self::Metadata => "metadata",
            Self::Tags => "tags",
            Self::Conditions => "conditions",
            Self::Persistent => "persistent",
            Self::Shared => "shared",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The promises of one backend, and its limits.
///
/// The default promises nothing, takes keys up to
/// [`MAX_KEY_BYTES`] and values of any size.
///
/// ```
/// use larder_core::{Capabilities, Capability};
///
/// let capabilities = Capabilities::new()
///     .with(Capability::Keys)
///     .with(Capability::Persistent)
///     .with_max_value_bytes(1024 * 1024);
/// assert_eq!(capabilities.to_string(), "keys, persistent");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    bits: u32,
    max_key_bytes: usize,
    max_value_bytes: usize,
}

impl Capabilities {
    /// No promise.
    pub const fn new() -> Self {
        Self {
            bits: 0,
            max_key_bytes: MAX_KEY_BYTES,
            max_value_bytes: usize::MAX,
        }
    }

    /// The same promises and this one.
    #[must_use]
    pub const fn with(mut self, capability: Capability) -> Self {
        self.bits |= capability.bit();
        self
    }

    /// The same promises but this one.
    #[must_use]
    pub const fn without(mut self, capability: Capability) -> Self {
        self.bits &= !capability.bit();
        self
    }

    /// The same promises with another limit for keys.
    #[must_use]
    pub const fn with_max_key_bytes(mut self, limit: usize) -> Self {
        self.max_key_bytes = limit;
        self
    }

    /// The same promises with another limit for values.
    #[must_use]
    pub const fn with_max_value_bytes(mut self, limit: usize) -> Self {
        self.max_value_bytes = limit;
        self
    }

    /// Whether `capability` is promised.
    pub const fn has(self, capability: Capability) -> bool {
        self.bits & capability.bit() != 0
    }

    /// Longest key in bytes; longer ones are an error.
    pub const fn max_key_bytes(self) -> usize {
        self.max_key_bytes
    }

    /// Longest value in bytes; longer ones are refused.
    pub const fn max_value_bytes(self) -> usize {
        self.max_value_bytes
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

/// The names of what is promised.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for capability in Capability::ALL.into_iter().filter(|c| self.has(*c)) {
            write!(f, "{separator}{capability}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C21
    #[test]
    fn each_capability_is_set_and_cleared_alone() {
        for one in Capability::ALL {
            let only = Capabilities::new().with(one);
            let held: Vec<_> = Capability::ALL
                .into_iter()
                .filter(|c| only.has(*c))
                .collect();
            assert_eq!(held, [one]);
            assert_eq!(only.without(one), Capabilities::new());
        }
    }
}
