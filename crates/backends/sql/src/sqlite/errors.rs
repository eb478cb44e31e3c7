//! What SQLite says, in the words of a backend.

use larder_core::{Error, ErrorKind, Retry};
use rusqlite::ErrorCode;

/// What SQLite says. A statement that fails has done nothing.
pub(super) fn said(error: rusqlite::Error) -> Error {
    let (kind, retry, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let hint = "; another program keeps the file locked";
            (ErrorKind::Timeout, Retry::Safe, hint)
        }
        Some(ErrorCode::CannotOpen) => {
            let hint = "; is there such a folder, and may this program use it?";
            (ErrorKind::Unavailable, Retry::Safe, hint)
        }
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (
            ErrorKind::Denied,
            Retry::Never,
            "; may this program write to it?",
        ),
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::InvalidConfig,
            Retry::Never,
            "; the file is something else",
        ),
        Some(ErrorCode::DatabaseCorrupt) => {
            let hint = "; remove the file, it is made anew";
            (ErrorKind::Corrupted, Retry::Never, hint)
        }
        Some(ErrorCode::TooBig) => (ErrorKind::TooLarge, Retry::Never, ""),
        Some(ErrorCode::DiskFull) => (ErrorKind::Unavailable, Retry::Safe, ""),
        Some(ErrorCode::SystemIoFailure | ErrorCode::OperationInterrupted) => {
            (ErrorKind::Unavailable, Retry::Safe, "")
        }
        _ if error.to_string().contains("no such table") => {
            (ErrorKind::Unavailable, Retry::Safe, "")
        }
        _ => (ErrorKind::Other, Retry::Never, ""),
    };
    Error::new(kind, format!("SQLite: {error}{hint}"))
        .with_retry(retry)
        .with_source(error)
}
