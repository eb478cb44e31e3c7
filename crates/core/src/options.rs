//! What a caller may say along with a value.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::entry::Metadata;
use crate::error::{Error, ErrorKind, Result};

/// How long an entry lives.
///
/// Omitting it, asking for no expiry, and giving a time are three different
/// things. A time of zero means "already expired": nothing is stored, what was
/// there is removed, and the operation counts as done.
///
/// ```
/// use larder_core::Ttl;
/// use std::time::Duration;
///
/// let house_rule = Some(Duration::from_secs(300));
/// assert_eq!(Ttl::Default.resolve(house_rule), house_rule);
/// assert_eq!(Ttl::Never.resolve(house_rule), None);
/// assert_eq!(Ttl::from_seconds(1.5)?, Ttl::After(Duration::from_millis(1500)));
/// assert!(Ttl::from_seconds(-5.0).is_err());
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Ttl {
    /// Whatever the cache does by default.
    #[default]
    Default,
    /// No expiry.
    Never,
    /// This long from now.
    After(Duration),
}

impl Ttl {
    /// Reads a number of seconds as it comes from outside; `-1` is [`Ttl::Never`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidTtl`] for any other negative number, for NaN and for
    /// what does not fit a [`Duration`].
    #[expect(clippy::float_cmp, reason = "-1 is an exact marker, not a measurement")]
    pub fn from_seconds(seconds: f64) -> Result<Self> {
        if seconds == -1.0 {
            return Ok(Self::Never);
        }
        match Duration::try_from_secs_f64(seconds) {
            Ok(after) => Ok(Self::After(after)),
            Err(error) => Err(Error::new(
                ErrorKind::InvalidTtl,
                format!("a ttl of {seconds} s; use 0 or more seconds, or -1 for no expiry"),
            )
            .with_source(error)),
        }
    }

    /// The lifetime under a default; `None` is no expiry.
    pub fn resolve(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Default => default,
            Self::Never => None,
            Self::After(after) => Some(after),
        }
    }

    /// Whether the entry would expire at once.
    pub fn is_zero(self) -> bool {
        self == Self::After(Duration::ZERO)
    }
}

impl From<Duration> for Ttl {
    fn from(after: Duration) -> Self {
        Self::After(after)
    }
}

/// How much longer a present entry lives.
///
/// ```
/// use larder_core::TtlState;
/// use std::time::Duration;
///
/// assert_eq!(TtlState::Remaining(Duration::from_secs(3)).remaining(), Some(Duration::from_secs(3)));
/// assert_eq!(TtlState::Never.remaining(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TtlState {
    /// It does not expire.
    Never,
    /// It expires after this time.
    Remaining(Duration),
}

impl TtlState {
    /// The remaining time, `None` for no expiry.
    pub fn remaining(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Remaining(remaining) => Some(remaining),
        }
    }
}

/// When a `set` takes effect.
///
/// ```
/// use larder_core::Condition;
///
/// assert!(Condition::IfAbsent.allows(false));
/// assert!(!Condition::IfAbsent.allows(true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Condition {
    /// Whatever is there.
    #[default]
    Always,
    /// Only if the key is absent or expired.
    IfAbsent,
    /// Only if the key is present.
    IfPresent,
}

impl Condition {
    /// Whether the condition holds for a key that is `present` or not.
    pub fn allows(self, present: bool) -> bool {
        match self {
            Self::Always => true,
            Self::IfAbsent => !present,
            Self::IfPresent => present,
        }
    }
}

/// Which entries a tag invalidation means.
///
/// ```
/// assert_eq!(larder_core::TagMatch::default(), larder_core::TagMatch::Any);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TagMatch {
    /// Entries with at least one of the tags.
    #[default]
    Any,
    /// Entries with every one of the tags.
    All,
}

/// Everything a `set` may be told besides key and value.
///
/// ```
/// use larder_core::{Condition, SetOptions, Ttl};
/// use std::time::Duration;
///
/// let options = SetOptions::new()
///     .with_ttl(Duration::from_secs(600))
///     .with_metadata([("endpoint", "/api/users".into()), ("attempt", 2.into())])
///     .with_condition(Condition::IfAbsent);
/// assert_eq!(options.metadata["attempt"], 2);
///
/// // A lifetime alone is enough where options are expected.
/// assert_eq!(SetOptions::from(Ttl::Never).ttl, Ttl::Never);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct SetOptions {
    /// How long the entry lives.
    pub ttl: Ttl,
    /// What the application wants to remember about the entry.
    pub metadata: Metadata,
    /// Names under which the entry can be invalidated together with others.
    pub tags: Vec<String>,
    /// When the `set` takes effect.
    pub condition: Condition,
}

impl SetOptions {
    /// Default lifetime, no metadata, no tags, no condition.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same options with a lifetime.
    #[must_use]
    pub fn with_ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.ttl = ttl.into();
        self
    }

    /// The same options with metadata.
    #[must_use]
    pub fn with_metadata<K: Into<String>>(
        mut self,
        metadata: impl IntoIterator<Item = (K, serde_json::Value)>,
    ) -> Self {
        self.metadata = metadata.into_iter().map(|(k, v)| (k.into(), v)).collect();
        self
    }

    /// The same options with tags.
    #[must_use]
    pub fn with_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The same options with a condition.
    #[must_use]
    pub fn with_condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }
}

impl From<Ttl> for SetOptions {
    fn from(ttl: Ttl) -> Self {
        Self::new().with_ttl(ttl)
    }
}

impl From<Duration> for SetOptions {
    fn from(ttl: Duration) -> Self {
        Self::new().with_ttl(ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: D01, D02
    #[test]
    fn seconds_from_outside_become_a_ttl_or_a_typed_error() {
        assert_eq!(Ttl::from_seconds(-1.0).unwrap(), Ttl::Never);
        assert!(Ttl::from_seconds(0.0).unwrap().is_zero());
        assert!(Ttl::from_seconds(-0.0).unwrap().is_zero());
        assert_eq!(
            Ttl::from_seconds(0.25).unwrap(),
            Ttl::After(Duration::from_millis(250))
        );
        for bad in [-0.5, -2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30] {
            let error = Ttl::from_seconds(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidTtl, "{bad}");
        }
    }

    // covers: D01
    #[test]
    fn omitted_never_and_given_are_three_things() {
        let default = Some(Duration::from_secs(300));
        assert_eq!(Ttl::default().resolve(default), default);
        assert_eq!(Ttl::default().resolve(None), None);
        assert_eq!(Ttl::Never.resolve(default), None);
        let given = Duration::from_secs(1);
        assert_eq!(Ttl::from(given).resolve(default), Some(given));
    }
}
