//! Where the entries of a table went when it was resized.

/// No slot.
const NOWHERE: u32 = u32::MAX;

/// New slots by old slot.
#[derive(Debug)]
pub(crate) struct Moves {
    to: Vec<u32>,
    slots: usize,
}

impl Moves {
    /// For tables of so many slots before and after.
    pub(super) fn new(before: usize, after: usize) -> Self {
        Self {
            to: vec![NOWHERE; before],
            slots: after,
        }
    }

    pub(super) fn add(&mut self, from: u32, to: u32) {
        self.to[from as usize] = to;
    }

    /// Where the entry in a slot is now; `u32::MAX` if there was none.
    pub(crate) fn of(&self, slot: u32) -> u32 {
        self.to.get(slot as usize).copied().unwrap_or(NOWHERE)
    }

    /// A column by slot as it is now; slots without an entry have `free`.
    pub(crate) fn column<T: Copy>(&self, column: &[T], free: T) -> Vec<T> {
        let mut moved = vec![free; self.slots];
        for (value, to) in column.iter().zip(&self.to) {
            if *to != NOWHERE {
                moved[*to as usize] = *value;
            }
        }
        moved
    }
}
