//! What can go wrong, in one small type for all backends.
//!
//! A miss is `None` and a refusal is `false`; an [`Error`] is only what a caller
//! can react to. Match on [`Error::kind`] and [`Error::retry`], never on text.
//! Messages never contain values, passwords or tokens.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::key::shorten;

/// The result of everything that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed cache operation: what kind, whether repeating helps, and where.
///
/// One pointer wide. `Display` is one line that does not repeat the
/// [source](StdError::source).
///
/// ```
/// use larder_core::{Error, ErrorKind, Operation, Retry};
///
/// let error = Error::new(ErrorKind::Unavailable, "connection refused")
///     .with_retry(Retry::Safe)
///     .in_operation(Operation::Get, "redis", Some("user:1"));
/// assert_eq!(error.kind(), ErrorKind::Unavailable);
/// assert_eq!(error.to_string(), r#"get "user:1" in redis: connection refused"#);
/// ```
#[derive(Clone)]
pub struct Error(Box<Details>);

#[derive(Clone)]
struct Details {
    kind: ErrorKind,
    retry: Retry,
    message: Box<str>,
    place: Option<Place>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Clone)]
struct Place {
    operation: Operation,
    backend: Box<str>,
    key: Option<Box<str>>,
}

/// What kind of failure an [`Error`] is.
///
/// ```
/// use larder_core::{Error, ErrorKind};
///
/// assert_eq!(Error::unsupported("keys").kind(), ErrorKind::Unsupported);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The backend cannot do this; nothing was changed.
    Unsupported,
    /// A setting is wrong.
    InvalidConfig,
    /// The key is empty or holds a control character.
    InvalidKey,
    /// The key is longer than the backend takes.
    KeyTooLong,
    /// The time to live is negative or not a number.
    InvalidTtl,
    /// The pattern cannot be parsed.
    InvalidPattern,
    /// Something is larger than its limit.
    TooLarge,
    /// A counter was asked of a value that is no number.
    NotANumber,
    /// A counter would leave the range of `i64`.
    Overflow,
    /// A value could not be turned into bytes, or bytes into a value.
    Serialize,
    /// A loader failed: what it said is the source.
    Load,
    /// The backend cannot be reached.
    Unavailable,
    /// The backend did not answer in time.
    Timeout,
    /// The backend refused the credentials or the command.
    Denied,
    /// What is stored cannot be read.
    Corrupted,
    /// Anything else; see the message and the source.
    Other,
}

/// Whether the operation may be repeated.
///
/// ```
/// use larder_core::{Error, ErrorKind, Retry};
///
/// let wrong_password = Error::new(ErrorKind::Denied, "wrong password");
/// assert_eq!(wrong_password.retry(), Retry::Never);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Retry {
    /// It would fail the same way again.
    #[default]
    Never,
    /// It was not applied; repeating is safe.
    Safe,
    /// It may have been applied; repeat only what is idempotent.
    MaybeApplied,
}

/// A method of [`CacheBackend`](crate::CacheBackend), as named in errors and metrics.
///
/// ```
/// assert_eq!(larder_core::Operation::GetMany.to_string(), "get_many");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum Operation {
    Get,
    Set,
    Delete,
    Exists,
    Clear,
    Stats,
    GetEntry,
    GetMany,
    SetMany,
    DeleteMany,
    Keys,
    Scan,
    DeletePattern,
    Increment,
    Decrement,
    Touch,
    Ttl,
    InvalidateTags,
    GetEntries,
}

impl Operation {
    /// Every method, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Get,
        Self::Set,
        Self::Delete,
        Self::Exists,
        Self::Clear,
        Self::Stats,
        Self::GetEntry,
        Self::GetMany,
        Self::SetMany,
        Self::DeleteMany,
        Self::Keys,
        Self::Scan,
        Self::DeletePattern,
        Self::Increment,
        Self::Decrement,
        Self::Touch,
        Self::Ttl,
        Self::InvalidateTags,
        Self::GetEntries,
    ];

    /// The name of the method.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Delete => "delete",
            Self::Exists => "exists",
            Self::Clear => "clear",
            Self::Stats => "stats",
            Self::GetEntry => "get_entry",
            Self::GetMany => "get_many",
            Self::SetMany => "set_many",
            Self::DeleteMany => "delete_many",
            Self::Keys => "keys",
            Self::Scan => "scan",
            Self::DeletePattern => "delete_pattern",
            Self::Increment => "increment",
            Self::Decrement => "decrement",
            Self::Touch => "touch",
            Self::Ttl => "ttl",
            Self::InvalidateTags => "invalidate_tags",
            Self::GetEntries => "get_entries",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Error {
    /// An error of `kind` that repeating does not cure.
    ///
    /// `message` says what could not be done and with what: lowercase, one line,
    /// no full stop, no secrets.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            retry: Retry::Never,
            message: message.into().into_boxed_str(),
            place: None,
            source: None,
        }))
    }

    /// The backend has no `what`.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("{what} is not supported by this backend"),
        )
    }

    /// The same error with another retry class.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same error with its cause, of whatever type.
    #[must_use]
    pub fn with_boxed_source(mut self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.0.source = Some(Arc::from(source));
        self
    }

    /// The same error with the place where it happened, unless it has one already.
    ///
    /// The key is escaped and shortened. [`SharedBackend`](crate::SharedBackend)
    /// calls this, so that backends need not.
    #[must_use]
    pub fn in_operation(mut self, operation: Operation, backend: &str, key: Option<&str>) -> Self {
        self.0.place.get_or_insert_with(|| Place {
            operation,
            backend: backend.into(),
            key: key.map(|key| shorten(key).into_boxed_str()),
        });
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the operation may be repeated.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The method that failed, once known.
    pub fn operation(&self) -> Option<Operation> {
        self.0.place.as_ref().map(|place| place.operation)
    }

    /// The name of the backend that failed, once known.
    pub fn backend(&self) -> Option<&str> {
        self.0.place.as_ref().map(|place| &*place.backend)
    }

    /// The key, escaped and shortened.
    pub fn key(&self) -> Option<&str> {
        self.0.place.as_ref().and_then(|place| place.key.as_deref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{}", place.operation)?;
            if let Some(key) = &place.key {
                write!(f, " \"{key}\"")?;
            }
            write!(f, " in {}: ", place.backend)?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("text", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A setting that a builder does not accept: which, what was given, what is allowed.
///
/// ```
/// use larder_core::ConfigError;
///
/// let error = ConfigError::new("max_entries", 0, "at least 1");
/// assert_eq!(error.to_string(), "max_entries is 0, allowed is at least 1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    given: String,
    allowed: String,
}

impl ConfigError {
    /// `field` was `given`; only `allowed` works.
    pub fn new(field: &'static str, given: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self {
            field,
            given: given.to_string(),
            allowed: allowed.to_string(),
        }
    }

    /// The name of the setting.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            given,
            allowed,
        } = self;
        write!(f, "{field} is {given}, allowed is {allowed}")
    }
}

impl StdError for ConfigError {}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::InvalidConfig, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_and_names_the_first_place_only() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let error = Error::new(ErrorKind::Timeout, "no answer in 5 s")
            .in_operation(Operation::Get, "redis", Some("a"))
            .in_operation(Operation::Set, "outer", Some("b"));
        assert_eq!(error.operation(), Some(Operation::Get));
        assert_eq!(error.backend(), Some("redis"));
        assert_eq!(error.key(), Some("a"));
    }

    #[test]
    fn the_source_is_reachable_but_not_printed_twice() {
        let cause = std::io::Error::other("cable cut");
        let error = Error::new(ErrorKind::Unavailable, "cannot connect").with_source(cause);
        assert_eq!(error.to_string(), "cannot connect");
        let source = StdError::source(&error).expect("a source was given");
        assert_eq!(source.to_string(), "cable cut");
    }

    #[test]
    fn keys_in_messages_are_escaped_and_shortened() {
        let key = format!("line\nbreak{}", "x".repeat(500));
        let error = Error::new(ErrorKind::InvalidKey, "bad").in_operation(
            Operation::Get,
            "memory",
            Some(&key),
        );
        let text = error.to_string();
        assert!(text.contains("line\\nbreak"), "{text}");
        assert!(text.len() < 120, "{text}");
    }
}
