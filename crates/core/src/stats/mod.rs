//! Statistics: the numbers a cache reports, and the recorder that counts them.

mod recorder;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

pub use recorder::{Counter, StatsRecorder};

/// Whether a backend is asked: what a circuit breaker decides.
///
/// ```
/// assert_eq!(larder_core::Circuit::HalfOpen.name(), "half-open");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Circuit {
    /// It is asked.
    Closed,
    /// One operation is on its way, to find out.
    HalfOpen,
    /// It is not asked.
    Open,
}

impl Circuit {
    /// What people read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// What a cache has done since it started or was reset, and how full it is.
///
/// A snapshot: it does not change by itself. One that came from a cache
/// remembers it, so [`reset`](Self::reset) zeroes the live counters too.
///
/// ```
/// use larder_core::CacheStats;
///
/// let mut stats = CacheStats::default();
/// assert_eq!(stats.hit_rate(), 0.0);
/// (stats.hits, stats.misses) = (3, 1);
/// (stats.current_size_bytes, stats.max_size_bytes) = (25, Some(100));
/// assert_eq!(stats.hit_rate(), 0.75);
/// assert_eq!(stats.utilization(), 0.25);
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// `get`s that found a value.
    pub hits: u64,
    /// `get`s that found nothing, or something expired.
    pub misses: u64,
    /// Values stored.
    pub sets: u64,
    /// Values refused, for example because they exceed the limit.
    pub rejected: u64,
    /// `delete`s that removed something.
    pub deletes: u64,
    /// Entries removed to make room.
    pub evicted_capacity: u64,
    /// Entries removed because their time was over.
    pub evicted_expired: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Of those, the ones that took too long.
    pub timeouts: u64,
    /// `get`s that found something that cannot be read, which are misses.
    pub unreadable: u64,
    /// Entries present.
    pub current_entries: u64,
    /// Size of the entries present.
    pub current_size_bytes: u64,
    /// Largest size allowed; `None` is no limit, or one that only the server knows.
    pub max_size_bytes: Option<u64>,
    /// Whether the backend is asked at all; `None` if nobody decides that.
    pub circuit: Option<Circuit>,
    live: Vec<Arc<StatsRecorder>>,
}

impl CacheStats {
    /// The same statistics with what `recorder` has counted added to them.
    ///
    /// For whoever wraps a cache and counts something of its own;
    /// [`reset`](Self::reset) will reset that too.
    #[must_use]
    pub fn with(mut self, recorder: &Arc<StatsRecorder>) -> Self {
        recorder.add_to(&mut self);
        self.live.push(Arc::clone(recorder));
        self
    }

    /// Entries removed because of capacity or expiry.
    pub fn evictions(&self) -> u64 {
        self.evicted_capacity + self.evicted_expired
    }

    /// Share of `get`s that found a value, from 0 to 1; 0 before the first.
    pub fn hit_rate(&self) -> f64 {
        ratio(self.hits, self.hits + self.misses)
    }

    /// The same as [`hit_rate`](Self::hit_rate).
    pub fn hit_ratio(&self) -> f64 {
        self.hit_rate()
    }

    /// Size present as a share of the largest size allowed; 0 without a limit.
    pub fn utilization(&self) -> f64 {
        ratio(self.current_size_bytes, self.max_size_bytes.unwrap_or(0))
    }

    /// Zeroes the counters, here and in the cache this came from.
    ///
    /// Entries stay, and with them `current_entries`, `current_size_bytes` and
    /// `max_size_bytes`.
    pub fn reset(&mut self) {
        for live in &self.live {
            live.reset();
        }
        *self = Self {
            current_entries: self.current_entries,
            current_size_bytes: self.current_size_bytes,
            max_size_bytes: self.max_size_bytes,
            circuit: self.circuit,
            live: std::mem::take(&mut self.live),
            ..Self::default()
        };
    }

    /// All numbers under their names, for logging.
    pub fn to_map(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(map)) => map,
            other => unreachable!("statistics are a flat object of numbers, not {other:?}"),
        }
    }
}

/// `part / whole`, and 0 where there is no whole.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of counters needs no more than 53 bits"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

impl PartialEq for CacheStats {
    fn eq(&self, other: &Self) -> bool {
        self.to_map() == other.to_map()
    }
}

impl Serialize for CacheStats {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut out = to.serialize_struct("CacheStats", 18)?;
        out.serialize_field("hits", &self.hits)?;
        out.serialize_field("misses", &self.misses)?;
        out.serialize_field("sets", &self.sets)?;
        out.serialize_field("rejected", &self.rejected)?;
        out.serialize_field("deletes", &self.deletes)?;
        out.serialize_field("evictions", &self.evictions())?;
        out.serialize_field("evicted_capacity", &self.evicted_capacity)?;
        out.serialize_field("evicted_expired", &self.evicted_expired)?;
        out.serialize_field("errors", &self.errors)?;
        out.serialize_field("timeouts", &self.timeouts)?;
        out.serialize_field("unreadable", &self.unreadable)?;
        out.serialize_field("circuit", &self.circuit)?;
        out.serialize_field("current_entries", &self.current_entries)?;
        out.serialize_field("current_size_bytes", &self.current_size_bytes)?;
        out.serialize_field("max_size_bytes", &self.max_size_bytes)?;
        out.serialize_field("hit_rate", &self.hit_rate())?;
        out.serialize_field("hit_ratio", &self.hit_ratio())?;
        out.serialize_field("utilization", &self.utilization())?;
        out.end()
    }
}

impl fmt::Debug for CacheStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheStats {:?}", self.to_map())
    }
}

/// One line for a log: `75.0% hit rate (3 hits, 1 miss), 2 entries, 25.0% full, 0 evictions`.
impl fmt::Display for CacheStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |n: u64, one: &str, many: &str| match n {
            1 => format!("1 {one}"),
            _ => format!("{n} {many}"),
        };
        write!(
            f,
            "{:.1}% hit rate ({}, {}), {}, ",
            self.hit_rate() * 100.0,
            counted(self.hits, "hit", "hits"),
            counted(self.misses, "miss", "misses"),
            counted(self.current_entries, "entry", "entries"),
        )?;
        match self.max_size_bytes {
            Some(_) => write!(f, "{:.1}% full, ", self.utilization() * 100.0)?,
            None => write!(f, "{} bytes, ", self.current_size_bytes)?,
        }
        f.write_str(&counted(self.evictions(), "eviction", "evictions"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> CacheStats {
        CacheStats {
            hits: 3,
            misses: 1,
            evicted_capacity: 2,
            evicted_expired: 3,
            current_entries: 1,
            current_size_bytes: 25,
            max_size_bytes: Some(100),
            ..CacheStats::default()
        }
    }

    // covers: B1, B2, B3, B4, B6, B7, B8, B9, B14, D03
    #[test]
    fn a_default_is_all_zero_and_divides_by_nothing() {
        let stats = CacheStats::default();
        for (name, value) in stats.to_map() {
            assert!(value.is_null() || value == 0 || value == 0.0, "{name}");
        }
        assert!(stats.hit_rate().abs() < f64::EPSILON);
        assert!(stats.utilization().abs() < f64::EPSILON);
    }

    // covers: B5, B9, B10, D06
    #[test]
    fn derived_numbers_follow_from_the_counters() {
        let stats = sample();
        assert_eq!(stats.evictions(), 5);
        assert!((stats.hit_rate() - 0.75).abs() < f64::EPSILON);
        assert!((stats.hit_ratio() - 0.75).abs() < f64::EPSILON);
        assert!((stats.utilization() - 0.25).abs() < f64::EPSILON);
    }

    // covers: B12
    #[test]
    fn the_map_names_every_number_and_is_json() {
        let map = sample().to_map();
        for name in [
            "hits",
            "misses",
            "sets",
            "deletes",
            "evictions",
            "current_entries",
            "current_size_bytes",
            "max_size_bytes",
            "hit_rate",
            "utilization",
        ] {
            assert!(map.contains_key(name), "{name}");
        }
        let text = serde_json::to_string_pretty(&sample()).unwrap();
        assert!(text.contains("\"hit_rate\": 0.75"), "{text}");
    }

    // covers: B11, D41
    #[test]
    fn reset_zeroes_counters_here_and_in_the_cache_but_keeps_gauges() {
        let recorder = Arc::new(StatsRecorder::new());
        recorder.add(Counter::Hit, 7);
        let mut stats = recorder.snapshot();
        stats.current_entries = 4;
        assert_eq!(stats.hits, 7);
        stats.reset();
        assert_eq!((stats.hits, stats.current_entries), (0, 4));
        assert_eq!(recorder.snapshot().hits, 0);
        recorder.add(Counter::Hit, 1);
        assert_eq!(recorder.snapshot().hits, 1);
    }

    // covers: Z12
    #[test]
    fn display_is_one_line_for_a_log() {
        assert_eq!(
            sample().to_string(),
            "75.0% hit rate (3 hits, 1 miss), 1 entry, 25.0% full, 5 evictions"
        );
    }
}
