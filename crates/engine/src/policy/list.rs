//! Lists of slots, linked by number: for policies that keep entries in a row.

use crate::shard::Moves;

/// No slot.
pub(super) const NOBODY: u32 = u32::MAX;

/// The neighbours of every slot, in whichever list it is.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Towards the front and towards the back.
    neighbours: Vec<[u32; 2]>,
}

/// A row of slots: they come in at the front.
#[derive(Debug)]
pub(super) struct List {
    front: u32,
    back: u32,
    len: usize,
}

const FORWARD: usize = 0;
const BACKWARD: usize = 1;

impl Default for List {
    fn default() -> Self {
        Self {
            front: NOBODY,
            back: NOBODY,
            len: 0,
        }
    }
}

impl Links {
    /// The slot before this one, towards the front.
    pub(super) fn before(&self, slot: u32) -> u32 {
        self.neighbours[slot as usize][FORWARD]
    }

    fn link(&mut self, front: u32, back: u32) {
        if front != NOBODY {
            self.neighbours[front as usize][BACKWARD] = back;
        }
        if back != NOBODY {
            self.neighbours[back as usize][FORWARD] = front;
        }
    }
}

impl Links {
    /// All slots have other numbers now.
    pub(super) fn moved(&mut self, moves: &Moves) {
        let links = self.neighbours.iter();
        let links: Vec<[u32; 2]> = links.map(|pair| pair.map(|slot| moves.of(slot))).collect();
        self.neighbours = moves.column(&links, [NOBODY; 2]);
    }
}

impl List {
    /// All slots have other numbers now.
    pub(super) fn moved(&mut self, moves: &Moves) {
        self.front = moves.of(self.front);
        self.back = moves.of(self.back);
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The slot that came in first.
    pub(super) fn back(&self) -> u32 {
        self.back
    }

    /// Adds a slot that is in no list.
    pub(super) fn push_front(&mut self, links: &mut Links, slot: u32) {
        let wanted = slot as usize + 1;
        if links.neighbours.len() < wanted {
            links.neighbours.resize(wanted, [NOBODY; 2]);
        }
        links.neighbours[slot as usize] = [NOBODY; 2];
        links.link(slot, self.front);
        self.front = slot;
        if self.back == NOBODY {
            self.back = slot;
        }
        self.len += 1;
    }

    /// Takes out a slot that is in this list.
    pub(super) fn remove(&mut self, links: &mut Links, slot: u32) {
        let [front, back] = links.neighbours[slot as usize];
        links.link(front, back);
        if self.front == slot {
            self.front = back;
        }
        if self.back == slot {
            self.back = front;
        }
        self.len -= 1;
    }

    /// All slots, the one that came in first at the start.
    pub(super) fn oldest_first<'a>(&self, links: &'a Links) -> impl Iterator<Item = u32> + use<'a> {
        let mut at = self.back;
        std::iter::from_fn(move || {
            let slot = at;
            (slot != NOBODY).then(|| {
                at = links.before(slot);
                slot
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_move_between_lists() {
        let (mut links, mut a, mut b) = (Links::default(), List::default(), List::default());
        for slot in 0..5 {
            a.push_front(&mut links, slot);
        }
        for slot in [0, 4, 2] {
            a.remove(&mut links, slot);
            b.push_front(&mut links, slot);
        }
        assert_eq!(a.oldest_first(&links).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(b.oldest_first(&links).collect::<Vec<_>>(), [0, 4, 2]);
        assert_eq!((a.len(), a.back(), b.len(), b.back()), (2, 1, 3, 0));
        a.remove(&mut links, 1);
        a.remove(&mut links, 3);
        assert_eq!((a.len(), a.back(), a.front), (0, NOBODY, NOBODY));
    }
}
