//! The databases behind one face.

use larder_core::Result;

use crate::row::Columns;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::server::Server;
#[cfg(feature = "mysql")]
use crate::server::mysql::MySql;
#[cfg(feature = "postgres")]
use crate::server::postgres::Postgres;
#[cfg(feature = "sqlite")]
use crate::sqlite::Sqlite;
use crate::statement::{Outcome, Statement};

/// A database of some kind.
#[derive(Debug)]
pub(crate) enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite(Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Server<Postgres>),
    #[cfg(feature = "mysql")]
    MySql(Server<MySql>),
}

/// What makes something of a row; what it makes nothing of is left out.
pub(crate) type Read<T> = fn(&dyn Columns) -> Option<T>;

impl Database {
    /// What `read` makes of the rows that a statement finds.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        statement: Statement,
        read: Read<T>,
    ) -> Result<Vec<T>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(sqlite) => sqlite.read(statement, read).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => Box::pin(server.read(&statement, read)).await,
            #[cfg(feature = "mysql")]
            Self::MySql(server) => Box::pin(server.read(&statement, read)).await,
        }
    }

    /// Changes something: all of it, or nothing. What becomes of each statement.
    pub(crate) async fn write(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(sqlite) => sqlite.write(statements).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => Box::pin(server.write(&statements)).await,
            #[cfg(feature = "mysql")]
            Self::MySql(server) => Box::pin(server.write(&statements)).await,
        }
    }
}
