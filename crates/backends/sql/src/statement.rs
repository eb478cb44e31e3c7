//! Statements: text for one of the dialects, and what goes into it.

use bytes::Bytes;

use crate::dialect::Dialect;

/// A value that goes into a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Param {
    Key(String),
    Text(Option<String>),
    Bytes(Option<Bytes>),
    Number(Option<i64>),
    /// How many rows the statement before this one changed, in the same transaction.
    Changed,
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

/// Text with placeholders, and what goes there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    dialect: Dialect,
    pub(crate) sql: String,
    pub(crate) params: Vec<Param>,
    /// Whether it tells a number: of the one row that it changed, if it did.
    pub(crate) tells_number: bool,
}

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    pub(crate) changed: u64,
    pub(crate) number: Option<i64>,
}

impl Statement {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            sql: String::with_capacity(256),
            params: Vec::new(),
            tells_number: false,
        }
    }

    /// The same with more text.
    pub(crate) fn sql(mut self, text: &str) -> Self {
        self.sql.push_str(text);
        self
    }

    /// The same with a value at this place.
    pub(crate) fn param(mut self, param: impl Into<Param>) -> Self {
        self.params.push(param.into());
        self.dialect
            .put_placeholder(&mut self.sql, self.params.len());
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.param(Param::Key(key.to_owned()))
    }

    /// The same with values and commas between, in brackets.
    pub(crate) fn list(mut self, params: impl IntoIterator<Item = Param>) -> Self {
        let mut before = "(";
        for param in params {
            self = self.sql(before).param(param);
            before = ", ";
        }
        self.sql(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_as_each_database_has_them() {
        let text = |dialect| {
            let statement = Statement::new(dialect).sql("WHERE a = ").param(1);
            let statement = statement.sql(" AND b IN ").list([2.into(), 3.into()]);
            assert_eq!(statement.params, [1.into(), 2.into(), 3.into()]);
            statement.sql
        };
        assert_eq!(text(Dialect::MySql), "WHERE a = ? AND b IN (?, ?)");
        assert_eq!(text(Dialect::Sqlite), "WHERE a = ? AND b IN (?, ?)");
        assert_eq!(text(Dialect::Postgres), "WHERE a = $1 AND b IN ($2, $3)");
    }
}
