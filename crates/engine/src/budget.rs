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

/// How much an operation wants to add, or has made free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Growth {
    pub(crate) weight: u64,
    pub(crate) entries: u64,
}

impl Growth {
    /// What one entry takes.
    pub(crate) fn of_entry(weight: u32) -> Self {
        Self {
            weight: u64::from(weight),
            entries: 1,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.weight += other.weight;
        self.entries += other.entries;
    }
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

    /// Takes the room if both limits allow it, giving `freed` back in the same step;
    /// otherwise does neither.
    pub(crate) fn exchange(&self, freed: Growth, growth: Growth) -> bool {
        let more = |growth: u64, freed: u64| growth.saturating_sub(freed);
        let entries = more(growth.entries, freed.entries);
        if !self.entries.take(entries) {
            return false;
        }
        if !self.weight.take(more(growth.weight, freed.weight)) {
            self.entries.give_back(entries);
            return false;
        }
        self.entries.give_back(more(freed.entries, growth.entries));
        self.weight.give_back(more(freed.weight, growth.weight));
        true
    }

    /// Gives room back.
    pub(crate) fn release(&self, freed: Growth) {
        self.weight.give_back(freed.weight);
        self.entries.give_back(freed.entries);
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
        assert!(budget.exchange(Growth::default(), want(6)));
        assert!(!budget.exchange(Growth::default(), want(5)), "weight");
        assert_eq!((budget.weight.used(), budget.entries.used()), (6, 1));
        assert!(budget.exchange(Growth::default(), want(4)));
        assert!(!budget.exchange(Growth::default(), want(0)), "entries");
        budget.release(Growth::of_entry(6));
        assert!(budget.has_room(want(6)) && !budget.has_room(want(7)));
    }

    #[test]
    fn an_exchange_needs_only_the_difference() {
        let budget = Budget::new(Some(10), Some(1));
        assert!(budget.exchange(Growth::default(), Growth::of_entry(7)));
        assert!(!budget.exchange(Growth::of_entry(7), Growth::of_entry(11)));
        assert_eq!((budget.weight.used(), budget.entries.used()), (7, 1));
        assert!(budget.exchange(Growth::of_entry(7), Growth::of_entry(10)));
        assert!(budget.exchange(Growth::of_entry(10), Growth::of_entry(2)));
        assert_eq!((budget.weight.used(), budget.entries.used()), (2, 1));
    }

    #[test]
    fn a_limit_below_what_is_used_still_lets_nothing_grow() {
        let budget = Budget::new(Some(10), None);
        assert!(budget.exchange(
            Growth::default(),
            Growth {
                weight: 10,
                entries: 1
            }
        ));
        budget.weight.set_max(5);
        assert!(budget.is_exceeded());
        assert!(!budget.exchange(
            Growth::default(),
            Growth {
                weight: 1,
                entries: 0
            }
        ));
        assert!(budget.exchange(
            Growth::default(),
            Growth {
                weight: 0,
                entries: 0
            }
        ));
        assert!(!budget.exchange(
            Growth::default(),
            Growth {
                weight: u64::MAX,
                entries: 0
            }
        ));
    }
}
