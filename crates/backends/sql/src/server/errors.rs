//! What servers and the way to them say, in the words of a backend.

use larder_core::{Error, ErrorKind, Retry};
use sqlx::error::DatabaseError;

/// Why a server did not do what it was asked.
pub(super) enum Failure {
    /// The connection is gone, and perhaps the answer with it.
    Lost(Error),
    /// Another transaction was in the way; nothing was done.
    InTheWay,
    /// It will not, and nothing was done.
    Refused(Error),
}

impl Failure {
    pub(super) fn of(address: &str, error: sqlx::Error) -> Self {
        let sqlx::Error::Database(told) = &error else {
            return match error {
                sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
                    Self::Refused(refused(ErrorKind::Other, error))
                }
                // Whatever it was: what comes next on this connection cannot be trusted.
                _ => Self::Lost(lost(address, error)),
            };
        };
        let number = number_of(&**told);
        let code = told.code().unwrap_or_default();
        match (number, &*code) {
            // A deadlock, or a lock that was waited for too long.
            (Some(1213 | 1205), _) | (None, "40001" | "40P01" | "55P03") => Self::InTheWay,
            // The server is about to go, or has ended this connection.
            (Some(1053 | 1152 | 1184 | 1927), _) | (None, "57P01" | "57P02" | "57P05") => {
                Self::Lost(lost(address, error))
            }
            _ => {
                let kind = kind_of(number, &code);
                let again = kind == ErrorKind::Unavailable;
                let retry = if again { Retry::Safe } else { Retry::Never };
                Self::Refused(refused(kind, error).with_retry(retry))
            }
        }
    }
}

/// What a server means by a number of MySQL, or by a code of PostgreSQL.
fn kind_of(number: Option<u16>, code: &str) -> ErrorKind {
    match (number, code) {
        // Wrong user or password, or not allowed.
        (Some(1044 | 1045 | 1142 | 1143 | 1227 | 1698), _)
        | (None, "28P01" | "28000" | "42501") => ErrorKind::Denied,
        // No such database.
        (Some(1049), _) | (None, "3D000") => ErrorKind::InvalidConfig,
        // The table is gone, too many connections, no room, starting, a server that only reads.
        (Some(1146 | 1040 | 1203 | 1226 | 1114 | 1021 | 1290 | 1836), _)
        | (None, "42P01" | "57P03" | "25006") => ErrorKind::Unavailable,
        (None, code) if code.starts_with("53") => ErrorKind::Unavailable,
        // Larger than a packet may be.
        (Some(1153), _) => ErrorKind::TooLarge,
        _ => ErrorKind::Other,
    }
}

fn refused(kind: ErrorKind, error: sqlx::Error) -> Error {
    let message = match error.as_database_error() {
        Some(told) => format!("the database said: {}", told.message()),
        None => error.to_string(),
    };
    Error::new(kind, message).with_source(error)
}

fn lost(address: &str, error: sqlx::Error) -> Error {
    let message = format!("the connection to {address} ended: {error}");
    Error::new(ErrorKind::Unavailable, message)
        .with_retry(Retry::Safe)
        .with_source(error)
}

/// A connection could not be made, so nothing was sent.
pub(super) fn not_connected(address: &str, error: sqlx::Error) -> Error {
    let number = error.as_database_error().and_then(number_of);
    let kind = match &error {
        sqlx::Error::Database(told) => kind_of(number, &told.code().unwrap_or_default()),
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => ErrorKind::InvalidConfig,
        _ => ErrorKind::Unavailable,
    };
    let (why, again) = match error.as_database_error() {
        Some(told) => (told.message().to_owned(), kind == ErrorKind::Unavailable),
        None => (error.to_string(), kind == ErrorKind::Unavailable),
    };
    let retry = if again { Retry::Safe } else { Retry::Never };
    Error::new(kind, format!("cannot connect to {address}: {why}"))
        .with_retry(retry)
        .with_source(error)
}

/// The number that MySQL has for what it tells.
fn number_of(told: &dyn DatabaseError) -> Option<u16> {
    #[cfg(feature = "mysql")]
    if let Some(told) = told.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return Some(told.number());
    }
    // PostgreSQL has codes alone.
    let _ = told;
    None
}

/// No connection came about within the time allowed.
pub(super) fn too_slow(address: &str) -> Error {
    let message = format!("no answer from {address} in the time allowed");
    Error::new(ErrorKind::Timeout, message).with_retry(Retry::Safe)
}

/// Others are in the way again and again.
pub(super) fn too_busy(address: &str) -> Error {
    let message = format!("other changes at {address} were in the way each time");
    Error::new(ErrorKind::Timeout, message).with_retry(Retry::Safe)
}
