//! What Redis and the way to it say, in the words of a backend.

use larder_core::{Error, ErrorKind, Result, Retry};
use redis::{FromRedisValue, RedisError, ServerErrorKind, Value};

/// No answer came within the time allowed.
pub(crate) fn too_slow(address: &str) -> Error {
    let message = format!("no answer from {address} in the time allowed");
    Error::new(ErrorKind::Timeout, message).with_retry(Retry::Safe)
}

/// A connection could not be made, so nothing was sent.
pub(crate) fn not_connected(address: &str, error: RedisError) -> Error {
    let (kind, retry) = match error.kind() {
        redis::ErrorKind::AuthenticationFailed => (ErrorKind::Denied, Retry::Never),
        redis::ErrorKind::InvalidClientConfig | redis::ErrorKind::RESP3NotSupported => {
            (ErrorKind::InvalidConfig, Retry::Never)
        }
        redis::ErrorKind::Io if error.is_timeout() => (ErrorKind::Timeout, Retry::Safe),
        redis::ErrorKind::Io | redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => {
            (ErrorKind::Unavailable, Retry::Safe)
        }
        _ => refusal(&error),
    };
    let why = match error.kind() {
        redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => {
            "it does not speak as a Redis server does".to_owned()
        }
        _ => error.to_string(),
    };
    Error::new(kind, format!("cannot connect to {address}: {why}"))
        .with_retry(retry)
        .with_source(error)
}

/// A connection ended before the answer came.
pub(crate) fn lost(address: &str, error: RedisError) -> Error {
    let message = format!("the connection to {address} ended: {error}");
    Error::new(ErrorKind::Unavailable, message)
        .with_retry(Retry::Safe)
        .with_source(error)
}

/// The server answered that it will not.
pub(crate) fn refused(error: RedisError) -> Error {
    let (kind, retry) = refusal(&error);
    Error::new(kind, format!("the server said: {error}"))
        .with_retry(retry)
        .with_source(error)
}

/// An answer of a form that the request does not have.
pub(crate) fn unexpected(what: &str) -> Error {
    let message = format!("the server's answer to {what} has an unknown form");
    Error::new(ErrorKind::Corrupted, message)
}

/// An answer in the form that it should have.
pub(crate) fn read<T: FromRedisValue>(answer: Value, what: &str) -> Result<T> {
    redis::from_redis_value(answer).map_err(|error| unexpected(what).with_source(error))
}

/// What a server's words mean. It has not done what was asked.
fn refusal(error: &RedisError) -> (ErrorKind, Retry) {
    match error.kind() {
        redis::ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        ) => return (ErrorKind::Unavailable, Retry::Safe),
        redis::ErrorKind::Server(ServerErrorKind::NoPerm)
        | redis::ErrorKind::AuthenticationFailed => return (ErrorKind::Denied, Retry::Never),
        _ => {}
    }
    let code = error.code().unwrap_or_default();
    let text = error.detail().unwrap_or_default();
    match code {
        "NOAUTH" | "WRONGPASS" => (ErrorKind::Denied, Retry::Never),
        "WRONGTYPE" => (ErrorKind::NotANumber, Retry::Never),
        "OOM" | "MISCONF" | "BUSY" | "NOREPLICAS" => (ErrorKind::Unavailable, Retry::Safe),
        _ if text.contains("not an integer") => (ErrorKind::NotANumber, Retry::Never),
        _ if text.contains("would overflow") => (ErrorKind::Overflow, Retry::Never),
        _ if text.contains("DB index") => (ErrorKind::InvalidConfig, Retry::Never),
        _ if text.contains("max number of clients") => (ErrorKind::Unavailable, Retry::Safe),
        _ => (ErrorKind::Other, Retry::Never),
    }
}
