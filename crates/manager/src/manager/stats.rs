//! What a cache has done.

use std::fmt;

use larder_core::{CacheBackend, CacheStats, Circuit, Result};
use serde::Serialize;

use super::CacheManager;

/// What a [`CacheManager`] has done, and its tiers.
///
/// `Display` is one line for the log.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let cache = larder_manager::CacheManager::memory();
/// cache.set("key", &1, larder_core::Ttl::Default).await?;
/// cache.get::<u32>("key").await?;
/// cache.get::<u32>("other").await?;
/// let stats = cache.stats().await?;
/// assert_eq!((stats.hits, stats.misses), (1, 1));
/// assert_eq!(stats.primary.size, 1);
/// println!("{stats}");
/// # Ok::<(), larder_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ManagerStats {
    /// The name of the first tier.
    pub backend: &'static str,
    /// Reads that found a value in some tier.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Share of reads that found a value, from 0 to 1.
    pub hit_ratio: f64,
    /// The first tier.
    pub primary: TierStats,
    /// The tiers behind it.
    pub fallbacks: Vec<TierStats>,
    /// What was loaded.
    pub loads: LoadStats,
    /// Changes that the farthest tier has missed while it was away, and will be told.
    pub missed: usize,
}

/// What one tier has done.
///
/// ```
/// use larder_core::CacheStats;
/// use larder_manager::TierStats;
///
/// let stats = TierStats::new("memory", &CacheStats::default());
/// assert_eq!((stats.size, stats.memory_bytes), (0, Some(0)));
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TierStats {
    /// Its name.
    pub backend: &'static str,
    /// Reads that it answered with a value.
    pub hits: u64,
    /// Reads that it could not answer.
    pub misses: u64,
    /// Share of reads that it answered, from 0 to 1.
    pub hit_ratio: f64,
    /// How many entries it has.
    pub size: u64,
    /// How many bytes those have, if it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Entries that it removed by itself.
    pub evictions: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Of those, the ones that took too long.
    pub timeouts: u64,
    /// Whether it is asked at all; `None` if nobody decides that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
}

impl TierStats {
    /// The statistics of a backend, as a tier.
    pub fn new(backend: &'static str, stats: &CacheStats) -> Self {
        let bytes = stats.current_size_bytes;
        let is_told = bytes > 0 || stats.current_entries == 0;
        Self {
            backend,
            hits: stats.hits,
            misses: stats.misses,
            hit_ratio: stats.hit_ratio(),
            size: stats.current_entries,
            memory_bytes: is_told.then_some(bytes),
            evictions: stats.evictions(),
            errors: stats.errors,
            timeouts: stats.timeouts,
            circuit: stats.circuit,
        }
    }
}

/// What was loaded.
///
/// ```
/// assert_eq!(larder_manager::LoadStats::default().succeeded, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LoadStats {
    /// Loaders that returned a value.
    pub succeeded: u64,
    /// Loaders that failed.
    pub failed: u64,
    /// Loaders that took too long.
    pub timed_out: u64,
    /// Values that were served although they were no longer fresh.
    pub stale_served: u64,
    /// Values that were loaded again before anybody had to wait for them.
    pub refreshed: u64,
    /// Values that were not stored, because their key or a tag was changed meanwhile.
    pub overtaken: u64,
}

impl CacheManager {
    /// What the cache has done, and its tiers.
    ///
    /// # Errors
    ///
    /// Does not fail if a tier is away: what it cannot tell is missing then.
    pub async fn stats(&self) -> Result<ManagerStats> {
        let inner = &*self.0;
        let mut tiers = Vec::new();
        for backend in inner.tiers.backends() {
            let stats = backend.stats().await.unwrap_or_default();
            tiers.push(TierStats::new(backend.name(), &stats));
        }
        let behind = inner.stats.snapshot();
        // Memory that is near counts for itself what it answers.
        let near = inner.near.as_ref().map_or(0, |near| near.stats().hits);
        let (hits, misses) = (near + behind.hits, behind.misses);
        let mut all = CacheStats::default();
        (all.hits, all.misses) = (hits, misses);
        let primary = tiers.remove(0);
        Ok(ManagerStats {
            backend: primary.backend,
            hits,
            misses,
            hit_ratio: all.hit_ratio(),
            primary,
            fallbacks: tiers,
            loads: inner.loads.stats(),
            missed: inner.tiers.missed(),
        })
    }
}

/// One line for the log.
impl fmt::Display for ManagerStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.hit_ratio * 100.0;
        write!(f, "{percent:.1}% of {} hit", self.hits + self.misses)?;
        for tier in std::iter::once(&self.primary).chain(&self.fallbacks) {
            write!(f, ", {}: {} entries", tier.backend, tier.size)?;
            if let Some(bytes) = tier.memory_bytes {
                write!(f, " of {bytes} bytes")?;
            }
            if tier.errors > 0 {
                write!(f, " ({} errors)", tier.errors)?;
            }
        }
        let loads = self.loads;
        if loads != LoadStats::default() {
            write!(f, ", {} loaded, {} failed", loads.succeeded, loads.failed)?;
        }
        if self.missed > 0 {
            write!(f, ", {} changes missed", self.missed)?;
        }
        Ok(())
    }
}
