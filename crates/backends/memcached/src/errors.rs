//! What Memcached and the way to it say, in the words of a backend.

use std::io;

use larder_core::{Error, ErrorKind, Retry};

/// No answer came within the time allowed.
pub(crate) fn too_slow(address: &str) -> Error {
    let message = format!("no answer from {address} in the time allowed");
    Error::new(ErrorKind::Timeout, message).with_retry(Retry::Safe)
}

/// A connection could not be made, so nothing was sent.
pub(crate) fn not_connected(address: &str, error: io::Error) -> Error {
    failed(format!("cannot connect to {address}: {error}"), error)
}

/// A connection ended before the answer came.
pub(crate) fn lost(address: &str, error: io::Error) -> Error {
    failed(format!("the connection to {address} ended: {error}"), error)
}

fn failed(message: String, error: io::Error) -> Error {
    let (kind, retry) = match error.kind() {
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, Retry::Never),
        io::ErrorKind::TimedOut => (ErrorKind::Timeout, Retry::Safe),
        _ => (ErrorKind::Unavailable, Retry::Safe),
    };
    Error::new(kind, message)
        .with_retry(retry)
        .with_source(error)
}

/// The server answered that it will not, or cannot.
pub(crate) fn refused(text: &str) -> Error {
    let (kind, retry) = if text.contains("non-numeric") {
        (ErrorKind::NotANumber, Retry::Never)
    } else if text.contains("unauthenticated") {
        (ErrorKind::Denied, Retry::Never)
    } else if text.starts_with("SERVER_ERROR") {
        (ErrorKind::Unavailable, Retry::Safe)
    } else {
        (ErrorKind::Other, Retry::Never)
    };
    Error::new(kind, format!("the server said: {text}")).with_retry(retry)
}

/// An answer that the request does not have.
pub(crate) fn unexpected(what: &str) -> Error {
    let message = format!("the server's answer to {what} has an unknown form");
    Error::new(ErrorKind::Corrupted, message)
}

/// Nobody is left to send anything.
pub(crate) fn runtime_ended() -> Error {
    let message = "the runtime ended before the server answered";
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe)
}
