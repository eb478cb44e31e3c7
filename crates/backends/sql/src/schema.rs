//! How the tables come to be, and change with the versions of this crate.
//!
//! A table with the name of all others keeps the version of each. A step leads from one
//! version to the next; it may be made twice, because not every database undoes half a
//! step.

use larder_core::{Error, ErrorKind, Result};

use crate::database::Database;
use crate::dialect::Dialect;
use crate::statement::{Param, Statement};
use crate::table::Table;

/// Knows the versions of the tables.
const VERSIONS: &str = "larder_tables";
/// The version that this crate reads and writes.
const VERSION: i64 = 1;

impl Table {
    /// Makes the table, or brings it to the version of this crate, whoever does so too.
    pub(crate) async fn prepare(&self, database: &Database, may_create: bool) -> Result<()> {
        loop {
            let found = self.version(database).await?;
            match found {
                Some(VERSION) => return self.prepare_trail(database, may_create).await,
                Some(later) if later > VERSION => return Err(self.too_new(later)),
                _ if !may_create => return Err(self.not_there()),
                _ => {}
            }
            let step = self.step(found);
            if let Err(error) = database.write(step).await {
                // Another process may have been faster.
                if self.version(database).await? == found {
                    return Err(error);
                }
            }
        }
    }

    async fn prepare_trail(&self, database: &Database, may_create: bool) -> Result<()> {
        if self.audit.is_none() {
            return Ok(());
        }
        let name = format!("{}_audit", self.name);
        if has_table(database, self.dialect, &name).await? {
            return Ok(());
        }
        if !may_create {
            return Err(self.not_there());
        }
        let statements = self.locked(vec![self.trail_definition()]);
        database.write(statements).await.map(drop)
    }

    /// The version that the table has, if there is one.
    async fn version(&self, database: &Database) -> Result<Option<i64>> {
        if !has_table(database, self.dialect, VERSIONS).await? {
            return Ok(None);
        }
        let statement = Statement::new(self.dialect)
            .sql("SELECT version FROM larder_tables WHERE table_name = ")
            .param(Param::Text(Some(self.name.clone())));
        let versions = database
            .read(statement, |columns| columns.number(0))
            .await?;
        Ok(versions.first().copied())
    }

    /// What leads from this version to the next.
    fn step(&self, from: Option<i64>) -> Vec<Statement> {
        let sql = |text: &str| Statement::new(self.dialect).sql(text);
        let mut statements = vec![sql(&self.versions_definition())];
        let (verb, end) = match self.dialect {
            Dialect::MySql => ("INSERT IGNORE", ""),
            _ => ("INSERT", " ON CONFLICT (table_name) DO NOTHING"),
        };
        if from.is_none() {
            statements.extend(self.definition().iter().map(|text| sql(text)));
            let noted = format!("{verb} INTO {VERSIONS} (table_name, version) VALUES ");
            let row = [Param::Text(Some(self.name.clone())), Param::from(1)];
            statements.push(sql(&noted).list(row).sql(end));
        }
        self.locked(statements)
    }

    /// The same while nobody else makes tables.
    fn locked(&self, statements: Vec<Statement>) -> Vec<Statement> {
        let lock = self.dialect.table_lock();
        let lock = lock.map(|text| Statement::new(self.dialect).sql(text));
        lock.into_iter().chain(statements).collect()
    }

    fn versions_definition(&self) -> String {
        let number = self.dialect.types().number;
        format!(
            "CREATE TABLE IF NOT EXISTS {VERSIONS} \
             (table_name VARCHAR(64) NOT NULL PRIMARY KEY, version {number} NOT NULL)"
        )
    }

    /// Version 1.
    fn definition(&self) -> Vec<String> {
        let (name, types) = (self.quoted(), self.dialect.types());
        let index = self.dialect.quoted(&format!("{}_expires", self.name));
        let columns = format!(
            "cache_key {key} NOT NULL PRIMARY KEY, created_ms {number} NOT NULL, \
             expires_ms {number}, number {number}, metadata {text}, content {bytes}",
            key = types.key,
            number = types.number,
            text = types.text,
            bytes = types.bytes,
        );
        if self.dialect == Dialect::MySql {
            let index = format!("INDEX {index} (expires_ms)");
            return vec![format!(
                "CREATE TABLE IF NOT EXISTS {name} ({columns}, {index}) ENGINE = InnoDB"
            )];
        }
        vec![
            format!("CREATE TABLE IF NOT EXISTS {name} ({columns})"),
            format!(
                "CREATE INDEX IF NOT EXISTS {index} ON {name} (expires_ms) \
                 WHERE expires_ms IS NOT NULL"
            ),
        ]
    }

    fn trail_definition(&self) -> Statement {
        let types = self.dialect.types();
        Statement::new(self.dialect).sql(&format!(
            "CREATE TABLE IF NOT EXISTS {name} (id {serial}, happened_ms {number} NOT NULL, \
             actor {text} NOT NULL, operation {text} NOT NULL, cache_key {text}, \
             changed {number} NOT NULL)",
            name = self.trail(),
            serial = types.serial,
            number = types.number,
            text = types.text,
        ))
    }

    fn too_new(&self, version: i64) -> Error {
        let message = format!(
            "the table {} has version {version}, and this program knows up to {VERSION}: \
             update the program, or give it another table",
            self.name
        );
        Error::new(ErrorKind::InvalidConfig, message)
    }

    fn not_there(&self) -> Error {
        let message = format!(
            "the table {} is not there and may not be made: let somebody make it who may, \
             or allow `create_table`",
            self.name
        );
        Error::new(ErrorKind::InvalidConfig, message)
    }
}

async fn has_table(database: &Database, dialect: Dialect, name: &str) -> Result<bool> {
    let statement = Statement::new(dialect)
        .sql(dialect.count_tables())
        .param(Param::Text(Some(name.to_owned())));
    let counts = database
        .read(statement, |columns| columns.number(0))
        .await?;
    Ok(counts.first().is_some_and(|count| *count > 0))
}
