//! The table of the entries, and every statement about it.

use crate::audit::Audit;
use crate::dialect::Dialect;
use crate::row::{COLUMNS, Row};
use crate::statement::{Param, Statement};

/// Rows that one statement removes at most, where there may be very many.
pub(crate) const REMOVED_AT_ONCE: i64 = 1_000;

/// Keys from one to another, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Range {
    from: Option<String>,
    /// The first key behind it, if there is any.
    to: Option<String>,
}

impl Range {
    /// All keys that begin like this.
    pub(crate) fn beginning(beginning: &str) -> Self {
        let mut to: Vec<char> = beginning.chars().collect();
        // The last character that has a next one gives way to it.
        while let Some(last) = to.pop() {
            if let Some(next) = next_char(last) {
                to.push(next);
                break;
            }
        }
        Self {
            from: (!beginning.is_empty()).then(|| beginning.to_owned()),
            to: (!to.is_empty()).then(|| to.into_iter().collect()),
        }
    }
}

fn next_char(c: char) -> Option<char> {
    let mut further = (c..=char::MAX).skip(1);
    further.next()
}

/// A table in a database of some kind.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) dialect: Dialect,
    /// Letters, digits and underscores.
    pub(crate) name: String,
    pub(crate) audit: Option<Audit>,
}

impl Table {
    pub(crate) fn quoted(&self) -> String {
        self.dialect.quoted(&self.name)
    }

    fn begin(&self, text: &str) -> Statement {
        Statement::new(self.dialect).sql(text)
    }

    /// The rows of these keys that have not ended.
    pub(crate) fn select(&self, keys: Vec<String>, now: i64) -> Statement {
        self.select_of(&COLUMNS, keys, now)
    }

    /// What is in the rows of these keys that have not ended: the columns of
    /// [`Value::read`](crate::row::Value::read).
    pub(crate) fn select_values(&self, keys: Vec<String>, now: i64) -> Statement {
        self.select_of(&["cache_key", "number", "content"], keys, now)
    }

    fn select_of(&self, columns: &[&str], keys: Vec<String>, now: i64) -> Statement {
        self.begin("SELECT ")
            .sql(&columns.join(", "))
            .sql(" FROM ")
            .sql(&self.quoted())
            .sql(" WHERE cache_key IN ")
            .list(keys.into_iter().map(Param::Key))
            .alive(now)
    }

    /// The end of a key that has not ended, for whoever does not ask for its value.
    pub(crate) fn select_end(&self, key: &str, now: i64) -> Statement {
        self.begin("SELECT expires_ms FROM ")
            .sql(&self.quoted())
            .sql(" WHERE cache_key = ")
            .key(key)
            .alive(now)
    }

    /// Writes rows, over those that are there. Each key may come once.
    pub(crate) fn upsert(&self, rows: Vec<Row>) -> Statement {
        let replacing = self.dialect.or_replace(&COLUMNS[1..]);
        self.insert("INSERT", rows).sql(&replacing)
    }

    /// Writes a row if there is none with its key.
    pub(crate) fn insert_new(&self, row: Row) -> Statement {
        let (verb, end) = self.dialect.insert_new();
        self.insert(verb, vec![row]).sql(end)
    }

    fn insert(&self, verb: &str, rows: Vec<Row>) -> Statement {
        let columns = COLUMNS.join(", ");
        let text = format!("{verb} INTO {} ({columns}) VALUES ", self.quoted());
        let mut statement = self.begin(&text);
        let mut before = "";
        for row in rows {
            statement = statement.sql(before).list(row.params());
            before = ", ";
        }
        statement
    }

    /// Writes over a row that is there and has not ended.
    pub(crate) fn update(&self, row: Row, now: i64) -> Statement {
        let key = row.key.clone();
        let mut statement = self.begin("UPDATE ").sql(&self.quoted());
        let mut before = " SET ";
        for (column, param) in COLUMNS.iter().zip(row.params()).skip(1) {
            statement = statement.sql(before).sql(column).sql(" = ").param(param);
            before = ", ";
        }
        statement.sql(" WHERE cache_key = ").key(&key).alive(now)
    }

    /// Gives a row that has not ended another end.
    pub(crate) fn touch(&self, key: &str, expires: Option<i64>, now: i64) -> Statement {
        self.begin("UPDATE ")
            .sql(&self.quoted())
            .sql(" SET expires_ms = ")
            .param(Param::Number(expires))
            .sql(" WHERE cache_key = ")
            .key(key)
            .alive(now)
    }

    /// Adds to a number that is there, has not ended and has room for the sum, and tells
    /// the sum.
    pub(crate) fn add(&self, key: &str, delta: i64, now: i64) -> Statement {
        let (before, behind, end) = self.dialect.telling_number();
        let statement = self
            .begin("UPDATE ")
            .sql(&self.quoted())
            .sql(" SET number = ")
            .sql(before)
            .sql("number + ")
            .param(delta)
            .sql(behind)
            .sql(" WHERE cache_key = ")
            .key(key);
        let statement = if delta >= 0 {
            statement.sql(" AND number <= ").param(i64::MAX - delta)
        } else {
            statement.sql(" AND number >= ").param(i64::MIN - delta)
        };
        let mut statement = statement.alive(now).sql(end);
        statement.tells_number = true;
        statement
    }

    /// Removes the rows of these keys that have not ended.
    pub(crate) fn delete(&self, keys: Vec<String>, now: i64) -> Statement {
        self.begin("DELETE FROM ")
            .sql(&self.quoted())
            .sql(" WHERE cache_key IN ")
            .list(keys.into_iter().map(Param::Key))
            .alive(now)
    }

    /// Removes the row of a key if it has ended.
    pub(crate) fn delete_ended(&self, key: &str, now: i64) -> Statement {
        self.begin("DELETE FROM ")
            .sql(&self.quoted())
            .sql(" WHERE cache_key = ")
            .key(key)
            .sql(" AND expires_ms <= ")
            .param(now)
    }

    /// Removes some rows: those that have ended, or any.
    pub(crate) fn delete_some(&self, range: &Range, ended_at: Option<i64>) -> Statement {
        let among = |statement: Statement| {
            let statement = statement.sql(" WHERE 1 = 1").within(range);
            match ended_at {
                Some(now) => statement.sql(" AND expires_ms <= ").param(now),
                None => statement,
            }
        };
        let table = self.quoted();
        let statement = among(self.begin("DELETE FROM ").sql(&table));
        if self.dialect == Dialect::MySql {
            return statement.sql(" LIMIT ").param(REMOVED_AT_ONCE);
        }
        // The condition stands twice: a row may have got another end since it was found.
        let found = statement
            .sql(" AND cache_key IN (SELECT cache_key FROM ")
            .sql(&table);
        let found = among(found).sql(" LIMIT ").param(REMOVED_AT_ONCE);
        match self.dialect {
            // Several may sweep at once.
            Dialect::Postgres => found.sql(" FOR UPDATE SKIP LOCKED)"),
            _ => found.sql(")"),
        }
    }

    /// Some keys that have not ended and look like this, in order.
    pub(crate) fn page(&self, wanted: &Wanted, limit: i64, now: i64) -> Statement {
        let statement = self.begin("SELECT cache_key FROM ").sql(&self.quoted());
        let mut statement = statement
            .sql(" WHERE 1 = 1")
            .within(&wanted.range)
            .alive(now);
        if let Some(like) = &wanted.like {
            let (before, behind) = self.dialect.key_like();
            let text = Param::Text(Some(like.clone()));
            statement = statement.sql(" AND ").sql(before).param(text).sql(behind);
        }
        if let Some(after) = &wanted.after {
            statement = statement.sql(" AND cache_key > ").key(after);
        }
        statement.sql(" ORDER BY cache_key LIMIT ").param(limit)
    }

    /// How many entries there are and how large they are.
    pub(crate) fn census(&self, range: &Range, now: i64) -> Statement {
        self.begin("SELECT ")
            .sql(&self.dialect.census())
            .sql(" FROM ")
            .sql(&self.quoted())
            .sql(" WHERE 1 = 1")
            .within(range)
            .alive(now)
    }
}

/// Which keys a page is of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) range: Range,
    /// With `%`, `_` and backslashes.
    pub(crate) like: Option<String>,
    pub(crate) after: Option<String>,
}

impl Statement {
    fn alive(self, now: i64) -> Self {
        self.sql(" AND (expires_ms IS NULL OR expires_ms > ")
            .param(now)
            .sql(")")
    }

    fn within(mut self, range: &Range) -> Self {
        if let Some(from) = &range.from {
            self = self.sql(" AND cache_key >= ").key(from);
        }
        if let Some(to) = &range.to {
            self = self.sql(" AND cache_key < ").key(to);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(dialect: Dialect) -> Table {
        Table {
            dialect,
            name: "cache".to_owned(),
            audit: None,
        }
    }

    #[test]
    fn a_range_is_what_begins_alike() {
        let range = |beginning| {
            let Range { from, to } = Range::beginning(beginning);
            (from.unwrap_or_default(), to.unwrap_or_default())
        };
        assert_eq!(range(""), (String::new(), String::new()));
        assert_eq!(range("shop:"), ("shop:".to_owned(), "shop;".to_owned()));
        assert_eq!(
            range("a\u{D7FF}"),
            ("a\u{D7FF}".to_owned(), "a\u{E000}".to_owned())
        );
        assert_eq!(
            range("a\u{10FFFF}"),
            ("a\u{10FFFF}".to_owned(), "b".to_owned())
        );
        assert_eq!(
            range("\u{10FFFF}"),
            ("\u{10FFFF}".to_owned(), String::new())
        );
    }

    #[test]
    fn a_sum_that_does_not_fit_is_not_made() {
        let add = |delta| table(Dialect::Sqlite).add("n", delta, 5).params;
        assert_eq!(add(2)[2], (i64::MAX - 2).into());
        assert_eq!(add(-2)[2], (i64::MIN + 2).into());
        assert_eq!(add(i64::MIN)[2], 0.into());
    }

    #[test]
    fn what_ended_is_looked_at_again_when_it_is_removed() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let sql = table(dialect).delete_some(&Range::default(), Some(5)).sql;
            assert_eq!(sql.matches("expires_ms <= ").count(), 2, "{sql}");
        }
    }
}
