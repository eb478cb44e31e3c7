//! How many entries there are, and how large they are together.
//!
//! A server counts its keys, but not those that begin alike. So they are counted in a
//! walk, and the sizes of some are asked for. In a database with very many keys the walk
//! would take long: there the first are counted, the rest is estimated, and the result is
//! kept for a while.

use std::time::Duration;

use larder_core::{Clock, Result, Retry};
use redis::Value;
use tokio::sync::Mutex;

use crate::errors::unexpected;
use crate::fleet::{Fleet, ask_one};
use crate::send::Request;

/// Keys of the whole database that are walked through at most, about.
const MOST_WALKED: u64 = 100_000;
/// Entries whose size is asked for at most.
const MOST_SIZED: usize = 1_000;
/// How long an estimate is good enough.
const KEPT: Duration = Duration::from_secs(10);

/// The numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) entries: u64,
    /// Bytes of values as they are stored.
    pub(crate) bytes: u64,
}

/// Counts, and remembers estimates.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// When it was made; whoever counts holds it, so that one does at a time.
    estimate: Mutex<Option<(Duration, Counted)>>,
}

impl Census {
    /// The numbers of now, or of not long ago.
    pub(crate) async fn take(
        &self,
        fleet: &Fleet,
        prefix: &str,
        clock: &dyn Clock,
    ) -> Result<Counted> {
        let mut estimate = self.estimate.lock().await;
        let now = clock.elapsed();
        if let Some((then, counted)) = *estimate
            && now.saturating_sub(then) < KEPT
        {
            return Ok(counted);
        }
        let all = fleet.size().await?;
        let (mut entries, mut walked) = (0_u64, 0_u64);
        let mut sized: Vec<Vec<u8>> = Vec::new();
        let mut walk = fleet.walk(prefix).await?;
        while walked < MOST_WALKED {
            let Some(found) = walk.next().await? else {
                break;
            };
            walked += crate::walk::KEYS_PER_STEP as u64;
            entries += found.len() as u64;
            let more = MOST_SIZED.saturating_sub(sized.len());
            sized.extend(found.into_iter().take(more));
        }
        let of_sized = sizes(fleet, &sized).await?;
        if all > MOST_WALKED {
            entries = scaled(entries, all, walked.min(all));
        }
        let bytes = scaled(of_sized, entries, sized.len() as u64);
        let counted = Counted { entries, bytes };
        *estimate = (all > MOST_WALKED).then_some((now, counted));
        Ok(counted)
    }
}

/// What `part` would be of `whole` if it is `counted` so far.
fn scaled(counted: u64, whole: u64, part: u64) -> u64 {
    let scaled = u128::from(counted) * u128::from(whole) / u128::from(part.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The sizes of these together.
async fn sizes(fleet: &Fleet, keys: &[Vec<u8>]) -> Result<u64> {
    let ask = |key: &Vec<u8>| {
        let mut cmd = redis::cmd("STRLEN");
        cmd.arg(&key[..]);
        Request {
            cmd,
            slot: fleet.slot(key),
            if_lost: Retry::Safe,
        }
    };
    let requests: Vec<Request> = keys.iter().map(ask).collect();
    let answers = fleet.send(&requests).await.into_iter();
    // What is no string, or went meanwhile, has no size here.
    let sizes = answers.map(|answer| match answer {
        Ok(Value::Int(size)) => u64::try_from(size).unwrap_or_default(),
        _ => 0,
    });
    Ok(sizes.sum())
}

impl Fleet {
    /// How many keys all servers have together.
    async fn size(&self) -> Result<u64> {
        let deadline = self.deadline();
        let mut all = 0;
        for node in &self.map(deadline).await?.nodes {
            match ask_one(node, redis::cmd("DBSIZE"), deadline).await? {
                Value::Int(size) => all += u64::try_from(size).unwrap_or_default(),
                _ => return Err(unexpected("DBSIZE")),
            }
        }
        Ok(all)
    }

    /// Removes everything on all servers.
    pub(crate) async fn flush(&self) -> Result<()> {
        let deadline = self.deadline();
        for node in &self.map(deadline).await?.nodes {
            let mut flush = redis::cmd("FLUSHDB");
            flush.arg("ASYNC");
            ask_one(node, flush, deadline).await?;
        }
        Ok(())
    }
}
