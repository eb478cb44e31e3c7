//! MySQL and MariaDB.

use bytes::Bytes;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::Driver;
use crate::database::Read;
use crate::row::Columns;
use crate::statement::{Outcome, Param, Statement};

/// How to get to the server.
pub(crate) struct MySql(pub(crate) MySqlConnectOptions);

impl Driver for MySql {
    type Connection = MySqlConnection;

    fn address(&self) -> String {
        match self.0.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", self.0.get_host(), self.0.get_port()),
        }
    }

    async fn connect(&self) -> sqlx::Result<MySqlConnection> {
        self.0.connect().await
    }

    async fn ping(connection: &mut MySqlConnection) -> sqlx::Result<()> {
        connection.ping().await
    }

    async fn read<T: Send>(
        connection: &mut MySqlConnection,
        statement: &Statement,
        read: Read<T>,
    ) -> sqlx::Result<Vec<T>> {
        let rows = query(statement, 0).fetch_all(connection).await?;
        Ok(rows.iter().filter_map(|row| read(row)).collect())
    }

    async fn write(
        connection: &mut MySqlConnection,
        statements: &[Statement],
    ) -> sqlx::Result<Vec<Outcome>> {
        if let [statement] = statements {
            return Ok(vec![change(connection, statement, 0).await?]);
        }
        let mut transaction = connection.begin().await?;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(statements.len());
        for statement in statements {
            let before = outcomes.last().map_or(0, |outcome| outcome.changed);
            outcomes.push(change(&mut transaction, statement, before).await?);
        }
        transaction.commit().await?;
        Ok(outcomes)
    }
}

async fn change(
    connection: &mut MySqlConnection,
    statement: &Statement,
    changed_before: u64,
) -> sqlx::Result<Outcome> {
    let done = query(statement, changed_before).execute(connection).await?;
    let changed = done.rows_affected();
    // It has the bits of the number that the statement told.
    let number =
        (statement.tells_number && changed > 0).then(|| done.last_insert_id().cast_signed());
    Ok(Outcome { changed, number })
}

fn query(
    statement: &Statement,
    changed_before: u64,
) -> Query<'_, sqlx::MySql, sqlx::mysql::MySqlArguments> {
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.as_str()));
    for param in &statement.params {
        query = match param {
            Param::Key(key) => query.bind(key.as_bytes()),
            Param::Text(text) => query.bind(text.as_deref()),
            Param::Bytes(bytes) => query.bind(bytes.as_deref()),
            Param::Number(number) => query.bind(*number),
            Param::Changed => query.bind(changed_before.cast_signed()),
        };
    }
    query
}

impl Columns for MySqlRow {
    fn text(&self, place: usize) -> Option<String> {
        // Keys are kept as bytes.
        let bytes: Option<Vec<u8>> = self.try_get_unchecked(place).ok().flatten();
        String::from_utf8(bytes?).ok()
    }

    fn bytes(&self, place: usize) -> Option<Bytes> {
        let bytes: Option<Vec<u8>> = self.try_get_unchecked(place).ok().flatten();
        bytes.map(Bytes::from)
    }

    fn number(&self, place: usize) -> Option<i64> {
        self.try_get(place).ok().flatten()
    }
}
