//! The audit trail: who changed what, and when, in a table that is only added to.
//!
//! A line is written in the same transaction as the change that it tells of.

use crate::statement::{Param, Statement};
use crate::table::Table;

/// Keeping an audit trail.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    /// Who.
    pub(crate) actor: String,
}

impl Table {
    /// The name of the table with the trail.
    pub(crate) fn trail(&self) -> String {
        self.dialect.quoted(&format!("{}_audit", self.name))
    }

    /// What has to be done for a change: itself, and its line in the trail if there is one.
    pub(crate) fn audited(
        &self,
        change: Statement,
        operation: &str,
        key: Option<&str>,
        now: i64,
    ) -> Vec<Statement> {
        let mut both = vec![change];
        if let Some(audit) = &self.audit {
            let line = [
                Param::from(now),
                Param::Text(Some(audit.actor.clone())),
                Param::Text(Some(operation.to_owned())),
                Param::Text(key.map(str::to_owned)),
                Param::Changed,
            ];
            let columns = "(happened_ms, actor, operation, cache_key, changed)";
            let text = format!("INSERT INTO {} {columns} VALUES ", self.trail());
            both.push(Statement::new(self.dialect).sql(&text).list(line));
        }
        both
    }
}
