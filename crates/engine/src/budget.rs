//! The limits of the cache, and what is used of them.
//!
//! Room is taken before an entry is stored and given back after it is removed,
//! so the entries present never exceed a limit, not even for a moment.

use crate::sync::{AtomicU64, Relaxed};

/// One limit. `u64::MAX` is none.
#[derive(Debug)]
pub(crate) struct Limit {
    max: AtomicU64,
    used: AtomicU64,
}

impl Limit {
    fn new(max: u64) -> Self {
        Self {
            max: AtomicU64::new(max),
            used: AtomicU64::new(0),
        }
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub(crate) fn set_max(&self, max: u64) {
        self.max.store(max, Relaxed);
    }

    fn has_room(&self, more: u64) -> bool {
        more == 0 || self.used().saturating_add(more) <= self.max()
    }

    fn take(&self, more: u64) -> bool {
        more == 0
            || self
                .used
                .fetch_update(Relaxed, Relaxed, |used| {
                    used.checked_add(more).filter(|sum| *sum <= self.max())
                })
                .is_ok()
    }

    fn give_back(&self, less: u64) {
        if less != 0 {
            self.used.fetch_sub(less, Relaxed);
        }
    }
}

/// How much an operation wants to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) weight: u64,
    pub(crate) entries: u64,
}

/// Both limits: by weight and by number of entries.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) weight: Limit,
    pub(crate) entries: Limit,
}

impl Budget {
    pub(crate) fn new(max_weight: Option<u64>, max_entries: Option<u64>) -> Self {
        Self {
            weight: Limit::new(max_weight.unwrap_or(u64::MAX)),
            entries: Limit::new(max_entries.unwrap_or(u64::MAX)),
        }
    }

    /// Whether both limits would allow this much more, right now.
    pub(crate) fn has_room(&self, growth: Growth) -> bool {
        self.weight.has_room(growth.weight) && self.entries.has_room(growth.entries)
    }

    /// Takes the room if both limits allow it.
    pub(crate) fn take(&self, growth: Growth) -> bool {
        if !self.entries.take(growth.entries) {
            return false;
        }
        let taken = self.weight.take(growth.weight);
        if !taken {
            self.entries.give_back(growth.entries);
        }
        taken
    }

    /// Gives back the room of one entry.
    pub(crate) fn release(&self, weight: u32) {
        self.weight.give_back(u64::from(weight));
        self.entries.give_back(1);
    }

    /// Gives back weight only.
    pub(crate) fn shrink(&self, weight: u64) {
        self.weight.give_back(weight);
    }

    /// Whether a lowered limit is exceeded.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.weight.used() > self.weight.max() || self.entries.used() > self.entries.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_is_all_or_nothing() {
        let budget = Budget::new(Some(10), Some(2));
        let want = |weight| Growth { weight, entries: 1 };
        assert!(budget.take(want(6)));
        assert!(!budget.take(want(5)), "weight");
        assert_eq!((budget.weight.used(), budget.entries.used()), (6, 1));
        assert!(budget.take(want(4)));
        assert!(!budget.take(want(0)), "entries");
        budget.release(6);
        assert!(budget.has_room(want(6)) && !budget.has_room(want(7)));
    }

    #[test]
    fn a_limit_below_what_is_used_still_lets_nothing_grow() {
        let budget = Budget::new(Some(10), None);
        assert!(budget.take(Growth {
            weight: 10,
            entries: 1
        }));
        budget.weight.set_max(5);
        assert!(budget.is_exceeded());
        assert!(!budget.take(Growth {
            weight: 1,
            entries: 0
        }));
        assert!(budget.take(Growth {
            weight: 0,
            entries: 0
        }));
        assert!(!budget.take(Growth {
            weight: u64::MAX,
            entries: 0
        }));
    }
}
