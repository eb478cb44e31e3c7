//! A table of notes by hash, of fixed size, which forgets what is oldest.
//!
//! Rows of 16 cells, one cache line each; the hash picks the row and leaves a
//! fingerprint of 11 bits. One in 2,048 pairs within a row cannot be told apart, and
//! one is taken for the other: harmless, since notes only
//! inform guesses. A tick is kept modulo 8,192.

use super::note::Note;

const CELLS: usize = 16;
const TICK_BITS: u32 = 13;
const NOTE_BITS: u32 = TICK_BITS + 8;

/// Notes of keys that are not in the cache, or of a sample of all keys.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// A free cell is zero.
    rows: Vec<[u32; CELLS]>,
}

impl Memory {
    /// Room for at least `notes`.
    pub(super) fn new(notes: usize) -> Self {
        Self {
            rows: vec![[0; CELLS]; notes.div_ceil(CELLS)],
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.rows.len() * CELLS
    }

    /// Takes the note of a key out.
    pub(super) fn take(&mut self, hash: u32, now: u32) -> Option<Note> {
        let (row, print) = self.place(hash)?;
        let cell = self.rows[row]
            .iter_mut()
            .find(|cell| **cell >> NOTE_BITS == print && **cell != 0)?;
        Some(Note::unpacked(std::mem::take(cell), TICK_BITS, now))
    }

    /// Keeps a note of a key that has none, and returns the one that has to go.
    pub(super) fn put(&mut self, hash: u32, note: Note, now: u32) -> Option<Note> {
        let (row, print) = self.place(hash)?;
        let row = &mut self.rows[row];
        // The age above the number of the cell: comparing without branches.
        let aged = (0..).zip(row.iter()).map(|(number, cell)| {
            let age = match *cell {
                0 => u32::MAX,
                cell => Note::age_of_packed(cell, TICK_BITS, now),
            };
            age << CELLS.ilog2() | number
        });
        let oldest = aged.max()? as usize % CELLS;
        let new = print << NOTE_BITS | note.packed(TICK_BITS);
        let gone = std::mem::replace(&mut row[oldest], new);
        (gone != 0).then(|| Note::unpacked(gone, TICK_BITS, now))
    }

    /// All notes.
    pub(super) fn notes(&self, now: u32) -> impl Iterator<Item = Note> {
        self.rows
            .iter()
            .flatten()
            .filter(|cell| **cell != 0)
            .map(move |cell| Note::unpacked(*cell, TICK_BITS, now))
    }

    /// Row and fingerprint, `None` if there is no room at all.
    fn place(&self, hash: u32) -> Option<(usize, u32)> {
        // Rows in the order of the hashes, like the groups of a table: keys that leave
        // one after the other go to neighbouring rows.
        let row = (u64::from(hash) * self.rows.len() as u64) >> 32;
        // Rows use the upper bits; multiplying makes the lower ones count.
        let mixed = hash.wrapping_mul(0x9E37_79B9);
        (!self.rows.is_empty()).then_some((row as usize, mixed >> NOTE_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::Kind;
    use super::*;

    fn hash(key: u32) -> u32 {
        (key + 1).wrapping_mul(0x9E37_79B9)
    }

    #[test]
    fn keeps_what_is_newest_and_tells_what_goes() {
        let mut memory = Memory::new(1_000);
        assert_eq!(memory.capacity(), 1_008);
        let mut gone = 0;
        for key in 0..5_000 {
            let tick = key / 10;
            let note = Note::new(Kind::NEW.used_after(3), tick);
            gone += usize::from(memory.put(hash(key), note, tick).is_some());
        }
        assert_eq!(memory.notes(500).count() + gone, 5_000);
        let found = (4_500..5_000).filter(|key| memory.take(hash(*key), 500).is_some());
        assert!(found.count() > 490, "the newest tenth is nearly all there");
        let found = (0..2_000).filter(|key| memory.take(hash(*key), 500).is_some());
        assert!(found.count() < 20, "the oldest are gone");
    }

    #[test]
    fn without_room_everything_is_forgotten() {
        let mut memory = Memory::default();
        assert_eq!(memory.put(1, Note::new(Kind::NEW, 0), 0), None);
        assert_eq!(memory.take(1, 0), None);
    }
}
