//! SQLite: a file, one connection that writes, and some that read.

mod errors;
mod readers;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql};
use tokio::sync::OnceCell;

use crate::database::Read;
use crate::row::Columns;
use crate::statement::{Outcome, Param, Statement};
use readers::Readers;
use writer::Writer;

/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;
/// Bytes of the file that are read as if they were memory.
const MAPPED: i64 = 256 << 20;

/// A database in a file.
pub(crate) struct Sqlite {
    file: PathBuf,
    /// How long a connection waits for others that keep the file locked.
    patience: Duration,
    /// Started with the first change.
    writer: OnceCell<Writer>,
    readers: Arc<Readers>,
}

impl Sqlite {
    pub(crate) fn new(file: PathBuf, patience: Duration, max_readers: usize) -> Self {
        Self {
            readers: Readers::new(file.clone(), patience, max_readers),
            file,
            patience,
            writer: OnceCell::new(),
        }
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        statement: Statement,
        read: Read<T>,
    ) -> Result<Vec<T>> {
        self.readers.read(statement, read).await
    }

    pub(crate) async fn write(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>> {
        let (file, patience) = (self.file.clone(), self.patience);
        let start = || block(move || Writer::start(&file, patience));
        let writer = self.writer.get_or_try_init(start).await?;
        writer.write(statements).await
    }
}

/// Does work that blocks where that harms nobody.
async fn block<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            let message = "the runtime ended before the file was read or written";
            Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
        }
    }
}

/// A connection that only reads. The first to open the file makes it.
fn open_to_read(file: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    let connection = open(file, patience)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A connection with the settings that all have.
fn open(file: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(patience)?;
    connection.pragma_update(None, "mmap_size", MAPPED)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

fn rows<T>(
    connection: &Connection,
    statement: &Statement,
    read: Read<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut prepared = prepare(connection, statement, 0)?;
    let mut rows = prepared.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(read(row));
    }
    Ok(found)
}

/// The statement with its values.
fn prepare<'a>(
    connection: &'a Connection,
    statement: &Statement,
    changed_before: u64,
) -> rusqlite::Result<CachedStatement<'a>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    for (place, param) in statement.params.iter().enumerate() {
        match param {
            Param::Changed => {
                prepared.raw_bind_parameter(place + 1, changed_before.cast_signed())?;
            }
            param => prepared.raw_bind_parameter(place + 1, param)?,
        }
    }
    Ok(prepared)
}

impl ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Key(key) => ValueRef::Text(key.as_bytes()),
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
            Self::Number(Some(number)) => ValueRef::Integer(*number),
            _ => return Ok(ToSqlOutput::Owned(Value::Null)),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn text(&self, place: usize) -> Option<String> {
        let text = self.get_ref(place).ok()?.as_str().ok()?;
        Some(text.to_owned())
    }

    fn bytes(&self, place: usize) -> Option<Bytes> {
        // What a person wrote may be text.
        let bytes = self.get_ref(place).ok()?.as_bytes().ok()?;
        Some(Bytes::copy_from_slice(bytes))
    }

    fn number(&self, place: usize) -> Option<i64> {
        self.get_ref(place).ok()?.as_i64().ok()
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("file", &self.file)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
