//! When entries end.
//!
//! A deadline is a number of milliseconds on the cache's clock. Rounding goes
//! down, so that an entry is never served after its end; a lifetime shorter than
//! a millisecond still lasts to the next one.

mod janitor;

use std::time::Duration;

pub(crate) use janitor::{Sweep, watch};

/// The deadline of what does not expire.
pub(crate) const NEVER: u64 = (1 << DEADLINE_BITS) - 1;

/// The last deadline; longer lifetimes end here, 34 years after the clock's start.
pub(crate) const LATEST: u64 = NEVER - 1;

/// Bits of a deadline, so that it can share a word.
pub(crate) const DEADLINE_BITS: u32 = 40;

/// The moment `elapsed` in milliseconds.
pub(crate) fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).map_or(LATEST, |millis| millis.min(LATEST))
}

/// The end of a lifetime that starts at `elapsed`; `None` has no end.
pub(crate) fn deadline(elapsed: Duration, lifetime: Option<Duration>) -> u64 {
    lifetime.map_or(NEVER, |lifetime| {
        millis(elapsed.saturating_add(lifetime)).max((millis(elapsed) + 1).min(LATEST))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C2
    #[test]
    fn a_lifetime_never_ends_late_and_is_never_nothing() {
        let start = Duration::from_micros(1_700);
        let after = |lifetime| deadline(start, Some(lifetime));
        assert_eq!(
            after(Duration::from_millis(10)),
            11,
            "11.7 ms, rounded down"
        );
        assert_eq!(after(Duration::from_nanos(1)), 2);
        assert_eq!(after(Duration::MAX), LATEST);
        assert_eq!(deadline(start, None), NEVER);
    }
}
