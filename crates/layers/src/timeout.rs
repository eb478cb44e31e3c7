//! An end to waiting.

use std::future::Future;
use std::time::Duration;

use larder_core::{ConfigError, Error, ErrorKind, Layer, Operation, Result, Retry, SharedBackend};

use crate::guard::{Call, Guard, Guarded};

/// Gives up an operation that takes too long.
///
/// It may have been applied all the same, so only what is repeatable will be repeated.
///
/// ```
/// use larder_layers::Timeout;
/// use std::time::Duration;
///
/// assert!(Timeout::new(Duration::from_secs(1)).is_ok());
/// assert!(Timeout::new(Duration::ZERO).is_err());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Timeout {
    limit: Duration,
    sweeps: Duration,
}

impl Timeout {
    /// Most time for one operation.
    ///
    /// # Errors
    ///
    /// For no time at all.
    pub fn new(limit: Duration) -> Result<Self, ConfigError> {
        if limit.is_zero() {
            return Err(ConfigError::new("timeout", "0 s", "more than 0"));
        }
        Ok(Self {
            limit,
            sweeps: limit,
        })
    }

    /// Most time for an operation that looks at all keys: listing, clearing, patterns,
    /// tags, statistics.
    ///
    /// # Errors
    ///
    /// For less time than other operations have.
    pub fn sweeps(mut self, limit: Duration) -> Result<Self, ConfigError> {
        if limit < self.limit {
            let allowed = format!("{:?} or more, as for others", self.limit);
            return Err(ConfigError::new("sweeps", format!("{limit:?}"), allowed));
        }
        self.sweeps = limit;
        Ok(self)
    }
}

impl Layer for Timeout {
    fn layer(&self, inner: SharedBackend) -> SharedBackend {
        Guarded::around(inner, *self)
    }
}

impl Guard for Timeout {
    async fn run<T, F>(&self, call: Call, work: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let limit = match call.operation {
            Operation::Keys
            | Operation::Scan
            | Operation::Clear
            | Operation::DeletePattern
            | Operation::InvalidateTags
            | Operation::Stats => self.sweeps,
            _ => self.limit,
        };
        match tokio::time::timeout(limit, work()).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let message = format!("no answer within {limit:?}");
                Err(Error::new(ErrorKind::Timeout, message).with_retry(Retry::MaybeApplied))
            }
        }
    }
}
