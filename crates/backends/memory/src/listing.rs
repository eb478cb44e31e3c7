//! Looking at all keys.

use std::collections::BinaryHeap;

use larder_core::{Pattern, ScanPage};

use crate::memory::InMemoryBackend;

/// # Listing
impl InMemoryBackend {
    /// All live keys that match, all of them without a pattern, in no particular order.
    ///
    /// Looks at every entry.
    pub fn keys(&self, pattern: Option<&Pattern>) -> Vec<String> {
        self.cache.filter_map(|key, _| {
            let wanted = pattern.is_none_or(|pattern| pattern.matches(key));
            wanted.then(|| key.to_string())
        })
    }

    /// At most `limit` matching keys after `after`, in lexicographic order.
    ///
    /// Looks at every entry, but keeps only one page of keys. A `limit` of zero
    /// counts as one.
    pub fn scan(&self, pattern: Option<&Pattern>, after: Option<&str>, limit: usize) -> ScanPage {
        let limit = limit.max(1);
        // The lowest keys so far, one more than fit the page; the highest on top.
        let mut lowest: BinaryHeap<Box<str>> = BinaryHeap::new();
        self.cache.filter_map(|key, _| {
            let is_behind = after.is_none_or(|after| **key > *after);
            let is_low = lowest.len() <= limit || lowest.peek().is_some_and(|top| key < top);
            if is_behind && is_low && pattern.is_none_or(|pattern| pattern.matches(key)) {
                lowest.push(key.clone());
                if lowest.len() > limit + 1 {
                    lowest.pop();
                }
            }
            None::<()>
        });
        let mut keys: Vec<String> = lowest
            .into_sorted_vec()
            .into_iter()
            .map(String::from)
            .collect();
        let more = keys.len() > limit;
        keys.truncate(limit);
        ScanPage::new(keys, more)
    }

    /// Removes all keys that match and tells how many. Looks at every entry.
    pub fn delete_pattern(&self, pattern: &Pattern) -> u64 {
        let matching = self
            .cache
            .filter_map(|key, _| pattern.matches(key).then(|| key.clone()));
        let removed = matching
            .iter()
            .filter(|key| self.cache.remove(&**key).is_some());
        removed.count() as u64
    }

    /// The keys in the order in which they would make room, the next one first.
    ///
    /// Looks at every entry: for finding out why something was evicted.
    pub fn eviction_order(&self, limit: usize) -> Vec<String> {
        let keys = self.cache.eviction_order(limit);
        keys.into_iter().map(String::from).collect()
    }
}
