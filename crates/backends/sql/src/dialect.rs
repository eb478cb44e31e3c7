//! Where the databases differ in their words.

use std::fmt::Write;

/// The words of one kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "not every program has all databases")]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    /// MariaDB speaks it too.
    MySql,
}

impl Dialect {
    /// The place of the value with this number; the first is 1.
    pub(crate) fn put_placeholder(self, sql: &mut String, number: usize) {
        match self {
            Self::Sqlite | Self::MySql => sql.push('?'),
            Self::Postgres => write!(sql, "${number}").expect("a text takes text"),
        }
    }

    /// A name in the quotes that let it be any word.
    pub(crate) fn quoted(self, name: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("\"{name}\""),
            Self::MySql => format!("`{name}`"),
        }
    }

    /// What an insert begins and ends with that leaves a row that is there alone.
    pub(crate) fn insert_new(self) -> (&'static str, &'static str) {
        match self {
            Self::Sqlite | Self::Postgres => ("INSERT", " ON CONFLICT (cache_key) DO NOTHING"),
            Self::MySql => ("INSERT IGNORE", ""),
        }
    }

    /// What an insert ends with that writes over a row that is there.
    pub(crate) fn or_replace(self, columns: &[&str]) -> String {
        let (beginning, new) = match self {
            Self::Sqlite | Self::Postgres => {
                (" ON CONFLICT (cache_key) DO UPDATE SET ", "excluded.")
            }
            Self::MySql => (" ON DUPLICATE KEY UPDATE ", "VALUES"),
        };
        let assigned = columns.iter().map(|column| match self {
            Self::Sqlite | Self::Postgres => format!("{column} = {new}{column}"),
            Self::MySql => format!("{column} = {new}({column})"),
        });
        let assigned: Vec<String> = assigned.collect();
        [beginning, &assigned.join(", ")].concat()
    }

    /// What makes an update tell the new number: at the number, and at the end.
    pub(crate) fn telling_number(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Sqlite | Self::Postgres => ("", "", " RETURNING number"),
            // It is remembered bit by bit, but said without a sign.
            Self::MySql => ("CAST(LAST_INSERT_ID(", ") AS SIGNED)", ""),
        }
    }

    /// A condition that a key looks like the text that follows, which ends it.
    pub(crate) fn key_like(self) -> (&'static str, &'static str) {
        match self {
            Self::Sqlite | Self::Postgres => ("cache_key LIKE ", " ESCAPE '\\'"),
            // The backslash is what it takes by itself.
            Self::MySql => (
                "CONVERT(cache_key USING utf8mb4) COLLATE utf8mb4_bin LIKE ",
                "",
            ),
        }
    }

    /// The type of whole numbers in a cast.
    pub(crate) fn whole_number(self) -> &'static str {
        match self {
            Self::Sqlite => "INTEGER",
            Self::Postgres => "BIGINT",
            Self::MySql => "SIGNED",
        }
    }

    /// How many rows there are, and how many bytes of values.
    pub(crate) fn census(self) -> String {
        let text = match self {
            Self::Sqlite | Self::Postgres => "TEXT",
            Self::MySql => "CHAR",
        };
        let whole = self.whole_number();
        let size = format!("COALESCE(LENGTH(content), LENGTH(CAST(number AS {text})))");
        format!("COUNT(*), CAST(COALESCE(SUM({size}), 0) AS {whole})")
    }

    /// How many tables of the name that follows are there.
    pub(crate) fn count_tables(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ",
            Self::Postgres => {
                "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = "
            }
            Self::MySql => {
                "SELECT COUNT(*) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = "
            }
        }
    }

    /// What keeps others from making or changing tables in the same transaction, where two
    /// who make the same table at once would fail.
    pub(crate) fn table_lock(self) -> Option<&'static str> {
        match self {
            Self::Sqlite | Self::MySql => None,
            // The number is "larder" in ASCII.
            Self::Postgres => Some("SELECT pg_advisory_xact_lock(119165786809714)"),
        }
    }

    /// The types of columns, by what they hold.
    pub(crate) fn types(self) -> Types {
        match self {
            Self::Sqlite => Types {
                key: "TEXT",
                text: "TEXT",
                number: "INTEGER",
                bytes: "BLOB",
                serial: "INTEGER PRIMARY KEY AUTOINCREMENT",
            },
            Self::Postgres => Types {
                // Compared byte by byte, as everywhere.
                key: "TEXT COLLATE \"C\"",
                text: "TEXT",
                number: "BIGINT",
                bytes: "BYTEA",
                serial: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            },
            Self::MySql => Types {
                // As text, keys that differ in trailing spaces would be the same. Longer than
                // any key with its prefix.
                key: "VARBINARY(512)",
                text: "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                number: "BIGINT",
                bytes: "LONGBLOB",
                serial: "BIGINT AUTO_INCREMENT PRIMARY KEY",
            },
        }
    }
}

/// The types of columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Types {
    pub(crate) key: &'static str,
    pub(crate) text: &'static str,
    pub(crate) number: &'static str,
    pub(crate) bytes: &'static str,
    pub(crate) serial: &'static str,
}
