//! Policies of the literature that no peer has, written after their papers: what hit
//! ratio one could have had with LIRS (SIGMETRICS 2002) or ARC (FAST 2003).

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

/// Keys in the order in which they came; any of them can leave.
#[derive(Default)]
struct Row {
    turns: HashMap<u64, u64, RandomState>,
    keys: BTreeMap<u64, u64>,
    turn: u64,
}

impl Row {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn has(&self, key: u64) -> bool {
        self.turns.contains_key(&key)
    }

    /// Puts a key at the end, wherever it was before.
    fn push(&mut self, key: u64) {
        self.remove(key);
        self.turn += 1;
        self.turns.insert(key, self.turn);
        self.keys.insert(self.turn, key);
    }

    fn remove(&mut self, key: u64) -> bool {
        let turn = self.turns.remove(&key);
        turn.is_some_and(|turn| self.keys.remove(&turn).is_some())
    }

    fn first(&self) -> Option<u64> {
        self.keys.first_key_value().map(|(_, key)| *key)
    }

    fn pop(&mut self) -> Option<u64> {
        let (_, key) = self.keys.pop_first()?;
        self.turns.remove(&key);
        Some(key)
    }
}

/// Keeps what is used again soonest (LIR) and lends a hundredth of the room to the
/// others (HIR). Keys that left are remembered, twice as many as there is room for.
pub struct Lirs {
    room: usize,
    /// By last use: all LIR keys, and the others used since the oldest of them.
    stack: Row,
    lir: Row,
    /// HIR keys that are present.
    queue: Row,
    /// HIR keys that are in the stack but not present.
    gone: Row,
}

impl Lirs {
    /// For so many entries, at least one.
    pub fn new(room: usize) -> Self {
        Self {
            room,
            stack: Row::default(),
            lir: Row::default(),
            queue: Row::default(),
            gone: Row::default(),
        }
    }

    /// Asks for a key and stores it if it is not there; whether it was.
    pub fn request(&mut self, key: u64) -> bool {
        if self.lir.has(key) {
            self.stack.push(key);
            self.prune();
            return true;
        }
        let is_hit = self.queue.has(key);
        if !is_hit && self.lir.len() + self.queue.len() >= self.room {
            self.evict();
        }
        let lir_room = self.room - (self.room / 100).max(1);
        let is_close = self.stack.has(key) && lir_room > 0;
        self.gone.remove(key);
        self.stack.push(key);
        if is_close || self.lir.len() < lir_room {
            self.queue.remove(key);
            self.lir.push(key);
            if self.lir.len() > lir_room {
                self.demote();
            }
            self.prune();
        } else {
            self.queue.push(key);
        }
        is_hit
    }

    fn evict(&mut self) {
        match self.queue.pop() {
            Some(key) if self.stack.has(key) => {
                self.gone.push(key);
                if self.gone.len() > 2 * self.room
                    && let Some(oldest) = self.gone.pop()
                {
                    self.stack.remove(oldest);
                }
            }
            Some(_) => {}
            None => {
                self.demote();
                self.queue.pop();
            }
        }
    }

    /// Makes the LIR key that was used least lately a HIR key.
    fn demote(&mut self) {
        self.prune();
        if let Some(oldest) = self.stack.pop() {
            self.lir.remove(oldest);
            self.queue.push(oldest);
        }
    }

    /// Forgets HIR keys that were used before all LIR keys.
    fn prune(&mut self) {
        while let Some(oldest) = self.stack.first().filter(|key| !self.lir.has(*key)) {
            self.stack.remove(oldest);
            self.gone.remove(oldest);
        }
    }
}

/// Balances what was used once against what was used more often, by what returns of
/// either after it left.
pub struct Arc {
    room: usize,
    /// The room that keys used once should have.
    target: usize,
    once: Row,
    often: Row,
    gone_once: Row,
    gone_often: Row,
}

impl Arc {
    /// For so many entries, at least one.
    pub fn new(room: usize) -> Self {
        Self {
            room,
            target: 0,
            once: Row::default(),
            often: Row::default(),
            gone_once: Row::default(),
            gone_often: Row::default(),
        }
    }

    /// Asks for a key and stores it if it is not there; whether it was.
    pub fn request(&mut self, key: u64) -> bool {
        if self.once.remove(key) || self.often.has(key) {
            self.often.push(key);
            return true;
        }
        let (once, often) = (self.gone_once.len(), self.gone_often.len());
        if self.gone_once.remove(key) {
            self.target = (self.target + (often / once.max(1)).max(1)).min(self.room);
            self.replace(false);
            self.often.push(key);
        } else if self.gone_often.remove(key) {
            let step = (once / often.max(1)).max(1);
            self.target = self.target.saturating_sub(step);
            self.replace(true);
            self.often.push(key);
        } else {
            self.make_room_for_new();
            self.once.push(key);
        }
        false
    }

    fn make_room_for_new(&mut self) {
        if self.once.len() + self.gone_once.len() >= self.room {
            if self.once.len() < self.room {
                self.gone_once.pop();
                self.replace(false);
            } else {
                self.once.pop();
            }
            return;
        }
        let present = self.once.len() + self.often.len();
        let known = present + self.gone_once.len() + self.gone_often.len();
        if known >= 2 * self.room {
            self.gone_often.pop();
        }
        self.replace(false);
    }

    /// Lets one key leave if all room is taken.
    fn replace(&mut self, was_often: bool) {
        if self.once.len() + self.often.len() < self.room {
            return;
        }
        let is_over = self.once.len() > self.target
            || (was_often && self.once.len() == self.target && self.target > 0);
        if (is_over || self.often.len() == 0)
            && let Some(key) = self.once.pop()
        {
            self.gone_once.push(key);
        } else if let Some(key) = self.often.pop() {
            self.gone_often.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::zipf;

    #[test]
    fn lirs_keeps_its_share_of_a_loop() {
        let mut lirs = Lirs::new(100);
        let hits = (0..20_000_u64).filter(|at| lirs.request(at % 120)).count();
        assert!(hits > 15_500, "{hits}: nearly 99 of 120");
    }

    #[test]
    fn arc_adapts_to_loops_no_better_than_lru_but_keeps_what_is_used_often() {
        let mut arc = Arc::new(100);
        let hits = (0..20_000_u64).filter(|at| arc.request(at % 120)).count();
        assert!(hits < 2_000, "{hits}");
        let mut arc = Arc::new(100);
        // Fifty keys by turns with what never comes back.
        let key = |at: u64| match at % 2 {
            0 => at / 2 % 50,
            _ => 1_000 + at,
        };
        let hits = (0..20_000).filter(|at| arc.request(key(*at))).count();
        assert!(hits > 9_800, "{hits} of 10,000");
    }

    #[test]
    fn never_more_is_present_than_there_is_room_for() {
        for room in [1, 2, 3, 10, 150] {
            let (mut lirs, mut arc) = (Lirs::new(room), Arc::new(room));
            for key in zipf(1_000, 0.8, 20_000, 3) {
                lirs.request(u64::from(key));
                arc.request(u64::from(key));
                assert!(lirs.lir.len() + lirs.queue.len() <= room);
                assert!(lirs.stack.len() <= 3 * room + 1);
                assert!(arc.once.len() + arc.often.len() <= room);
                assert!(arc.gone_once.len() + arc.gone_often.len() <= room + 1);
            }
        }
    }
}
