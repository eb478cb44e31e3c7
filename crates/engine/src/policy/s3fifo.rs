//! `s3fifo`: a short queue for what is new, a long one for what came back.
//!
//! What leaves the short queue without having been used again leaves the cache,
//! but is remembered by hash for a while; if it returns, it goes into the long
//! queue at once. In the long queue every use buys one more passage, up to three.

use std::collections::VecDeque;

use super::list::{Links, List};
use crate::shard::Moves;

/// The short queue's share of the entries: one in ten.
const SHORT_SHARE: usize = 10;
/// Most passages an entry can have earned.
const MOST_USES: u8 = 3;
/// Uses that move an entry from the short queue to the long one.
const USES_TO_STAY: u8 = 2;

/// The entries of one shard in two queues.
#[derive(Debug, Default)]
pub(crate) struct S3Fifo {
    links: Links,
    short: List,
    long: List,
    entries: Vec<Entry>,
    departed: Departed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    uses: u8,
    is_long: bool,
}

impl S3Fifo {
    #[inline]
    pub(crate) fn used(&mut self, slot: u32) {
        let uses = &mut self.entries[slot as usize].uses;
        *uses = (*uses + 1).min(MOST_USES);
    }

    pub(crate) fn stored(&mut self, slot: u32, hash: u32) {
        let wanted = slot as usize + 1;
        if self.entries.len() < wanted {
            self.entries.resize(wanted, Entry::default());
        }
        let is_long = self.departed.forget(hash);
        self.entries[slot as usize] = Entry { uses: 0, is_long };
        self.queue(is_long).push_front_in(slot);
    }

    pub(crate) fn removed(&mut self, slot: u32, hash: u32, evicted: bool) {
        let is_long = self.entries[slot as usize].is_long;
        self.queue(is_long).remove_from(slot);
        if evicted && !is_long {
            let most = self.long.len().max(SHORT_SHARE);
            self.departed.remember(hash, most);
        }
    }

    /// All entries have other slots now.
    pub(crate) fn moved(&mut self, moves: &Moves) {
        self.links.moved(moves);
        self.short.moved(moves);
        self.long.moved(moves);
        self.entries = moves.column(&self.entries, Entry::default());
    }

    /// The entry to evict, if any may be.
    pub(crate) fn victim(&mut self, pinned: &[u32]) -> Option<u32> {
        let entries = self.short.len() + self.long.len();
        // Every look takes a passage from an entry, moves it, or finds the victim.
        for _ in 0..(usize::from(MOST_USES) + 2) * entries {
            let from_short = self.short.len() * SHORT_SHARE > entries || self.long.len() == 0;
            let slot = if from_short {
                self.short.back()
            } else {
                self.long.back()
            };
            let entry = &mut self.entries[slot as usize];
            let must_stay = pinned.contains(&slot);
            if from_short {
                if entry.uses < USES_TO_STAY && !must_stay {
                    return Some(slot);
                }
                *entry = Entry {
                    uses: 0,
                    is_long: true,
                };
            } else {
                if entry.uses == 0 && !must_stay {
                    return Some(slot);
                }
                entry.uses = entry.uses.saturating_sub(1);
            }
            self.queue(!from_short).remove_from(slot);
            self.queue(true).push_front_in(slot);
        }
        None
    }

    /// All entries, roughly in the order in which they would go.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let queues = self
            .short
            .oldest_first(&self.links)
            .chain(self.long.oldest_first(&self.links));
        let mut slots: Vec<u32> = queues.collect();
        slots.sort_by_key(|slot| self.entries[*slot as usize].uses);
        slots
    }

    fn queue(&mut self, long: bool) -> Queue<'_> {
        Queue {
            list: if long {
                &mut self.long
            } else {
                &mut self.short
            },
            links: &mut self.links,
        }
    }
}

/// One of the queues with the links.
struct Queue<'a> {
    list: &'a mut List,
    links: &'a mut Links,
}

impl Queue<'_> {
    fn push_front_in(self, slot: u32) {
        self.list.push_front(self.links, slot);
    }

    fn remove_from(self, slot: u32) {
        self.list.remove(self.links, slot);
    }
}

/// Hashes of keys that left, oldest first.
#[derive(Debug, Default)]
struct Departed {
    order: VecDeque<u32>,
    present: std::collections::HashSet<u32, foldhash::fast::FixedState>,
}

impl Departed {
    fn remember(&mut self, hash: u32, most: usize) {
        if self.present.insert(hash) {
            self.order.push_back(hash);
        }
        while self.present.len() > most {
            let oldest = self
                .order
                .pop_front()
                .expect("all that are present are in order");
            self.present.remove(&oldest);
        }
        // Hashes that came back are still in the order; they go in time.
        while self.order.len() > 2 * most {
            let oldest = self.order.pop_front().expect("it is longer than `most`");
            self.present.remove(&oldest);
        }
    }

    fn forget(&mut self, hash: u32) -> bool {
        self.present.remove(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evict(cache: &mut S3Fifo) -> u32 {
        let slot = cache.victim(&[]).expect("there is one");
        cache.removed(slot, slot, true);
        slot
    }

    #[test]
    fn what_is_used_twice_stays_and_what_returns_is_known() {
        let mut cache = S3Fifo::default();
        (0..20).for_each(|slot| cache.stored(slot, slot));
        for slot in [0, 0, 1] {
            cache.used(slot);
        }
        assert_eq!(evict(&mut cache), 1, "one use is not enough");
        assert!(cache.entries[0].is_long);
        cache.stored(1, 1);
        assert!(cache.entries[1].is_long, "it was remembered");
        assert_eq!(evict(&mut cache), 2);
    }

    #[test]
    fn uses_buy_passages_in_the_long_queue() {
        let mut cache = S3Fifo::default();
        for slot in 0..20 {
            cache.departed.remember(slot, 100);
            cache.stored(slot, slot);
        }
        for slot in [0, 0, 1] {
            cache.used(slot);
        }
        let gone: Vec<u32> = (0..20).map(|_| evict(&mut cache)).collect();
        assert_eq!(gone[..18], (2..20).collect::<Vec<_>>());
        assert_eq!(gone[18..], [1, 0]);
        assert_eq!(cache.victim(&[]), None);
    }

    #[test]
    fn the_pinned_do_not_go() {
        let mut cache = S3Fifo::default();
        (0..3).for_each(|slot| cache.stored(slot, slot));
        assert_eq!(cache.victim(&[0, 2]), Some(1));
        assert_eq!(cache.victim(&[0, 1, 2]), None);
    }
}
