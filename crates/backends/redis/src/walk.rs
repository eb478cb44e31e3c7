//! Walking through the keys of this cache, on every server, without stopping it.

use std::sync::Arc;

use larder_core::Result;
use redis::Value;
use tokio::time::Instant;

use crate::errors::{read, unexpected};
use crate::fleet::{Fleet, Map, ask_one};
use crate::node::Node;

/// Keys that a server looks at in one step.
pub(crate) const KEYS_PER_STEP: usize = 1_000;

/// The keys found in one step, as the server has them.
pub(crate) type Found = Vec<Vec<u8>>;

/// A walk on its way.
pub(crate) struct Walk<'a> {
    fleet: &'a Fleet,
    map: Arc<Map>,
    glob: String,
    /// The number of the node, and how far it is.
    at: usize,
    cursor: u64,
}

impl Fleet {
    /// A walk through all keys that begin like this.
    pub(crate) async fn walk(&self, beginning: &str) -> Result<Walk<'_>> {
        Ok(Walk {
            fleet: self,
            map: self.map(self.deadline()).await?,
            glob: glob_of(beginning),
            at: 0,
            cursor: 0,
        })
    }
}

impl Walk<'_> {
    /// Some more keys, or `None` at the end. A key may come twice; each step has the
    /// time of one operation.
    pub(crate) async fn next(&mut self) -> Result<Option<Found>> {
        let Some(node) = self.map.nodes.get(self.at) else {
            return Ok(None);
        };
        let deadline = self.fleet.deadline();
        let (cursor, found) = step(node, self.cursor, &self.glob, deadline).await?;
        self.cursor = cursor;
        if cursor == 0 {
            self.at += 1;
        }
        Ok(Some(found))
    }
}

async fn step(node: &Node, cursor: u64, glob: &str, deadline: Instant) -> Result<(u64, Found)> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(glob);
    scan.arg("COUNT").arg(KEYS_PER_STEP);
    let answer = ask_one(node, scan, deadline).await?;
    let Value::Array(parts) = answer else {
        return Err(unexpected("SCAN"));
    };
    let Ok([cursor, keys]) = <[Value; 2]>::try_from(parts) else {
        return Err(unexpected("SCAN"));
    };
    let cursor = read(cursor, "SCAN")?;
    let Value::Array(keys) = keys else {
        return Err(unexpected("SCAN"));
    };
    let found = keys.into_iter().filter_map(|key| match key {
        Value::BulkString(key) => Some(key),
        _ => None,
    });
    Ok((cursor, found.collect()))
}

/// A pattern of Redis for everything that begins like this.
fn glob_of(beginning: &str) -> String {
    let mut glob = String::with_capacity(beginning.len() + 1);
    for char in beginning.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^') {
            glob.push('\\');
        }
        glob.push(char);
    }
    glob.push('*');
    glob
}
