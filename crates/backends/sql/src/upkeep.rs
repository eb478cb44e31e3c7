//! What concerns all entries: clearing, sweeping, counting.

use std::time::Duration;

use larder_core::{CacheStats, Counter, Result};

use crate::row::Columns;
use crate::store::Store;
use crate::table::{REMOVED_AT_ONCE, Range};

/// With so many entries they are not counted each time.
const MANY: u64 = 100_000;
/// How long a count of many is good enough.
const KEPT: Duration = Duration::from_secs(10);

/// How many entries there are, and how many bytes of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Census {
    entries: u64,
    bytes: u64,
}

impl Store {
    /// Removes everything under the prefix and tells how many entries there were.
    pub(crate) async fn clear(&self) -> Result<u64> {
        let all = Range::beginning(&self.settings.prefix);
        while self.remove_ended(&all).await? {}
        let mut cleared = 0;
        loop {
            let some = self.table.delete_some(&all, None);
            let statements = self.table.audited(some, "clear", None, self.now_millis());
            let removed = self.write(statements).await?[0].changed;
            cleared += removed;
            if removed < REMOVED_AT_ONCE.cast_unsigned() {
                return Ok(cleared);
            }
        }
    }

    /// Removes some of what has ended, whoever stored it; whether there may be more.
    pub(crate) async fn sweep_some(&self) -> Result<bool> {
        self.remove_ended(&Range::default()).await
    }

    async fn remove_ended(&self, range: &Range) -> Result<bool> {
        let some = self.table.delete_some(range, Some(self.now_millis()));
        let removed = self.write(vec![some]).await?[0].changed;
        self.stats.add(Counter::EvictedExpired, removed);
        Ok(removed >= REMOVED_AT_ONCE.cast_unsigned())
    }

    /// The statistics, once some of what has ended is gone.
    pub(crate) async fn stats(&self) -> Result<CacheStats> {
        self.sweep_some().await?;
        let census = self.census().await?;
        let mut stats = self.stats.snapshot();
        (stats.current_entries, stats.current_size_bytes) = (census.entries, census.bytes);
        Ok(stats)
    }

    async fn census(&self) -> Result<Census> {
        let mut kept = self.census.lock().await;
        let now = self.settings.clock.elapsed();
        if let Some((then, census)) = *kept
            && now.saturating_sub(then) < KEPT
        {
            return Ok(census);
        }
        let all = Range::beginning(&self.settings.prefix);
        let select = self.table.census(&all, self.now_millis());
        let read = |columns: &dyn Columns| {
            let number = |place| Some(columns.number(place)?.cast_unsigned());
            Some(Census {
                entries: number(0)?,
                bytes: number(1)?,
            })
        };
        let counted = self.read(select, read).await?;
        let census = counted.first().copied().unwrap_or_default();
        *kept = (census.entries > MANY).then_some((now, census));
        Ok(census)
    }
}
