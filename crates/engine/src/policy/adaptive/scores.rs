//! The score of every kind of key at every age, shared by all shards.

use super::note::{Kind, Note};
use crate::sync::{AtomicU16, Relaxed};

/// Spans of age: two per octave of ticks, up to 8,192 ticks.
pub(super) const SPANS: usize = 26;

/// The span of an age.
#[inline]
pub(super) fn span(age: u32) -> usize {
    let age = age.saturating_add(1);
    let octave = age.ilog2();
    let half = (u64::from(age) << 1 >> octave) & 1;
    (2 * octave as usize + usize::from(half == 1)).min(SPANS - 1)
}

/// The age at which a span starts, plus one tick.
#[expect(clippy::cast_precision_loss, reason = "a small whole number")]
pub(super) fn start_of(span: usize) -> f32 {
    ((2 + span % 2) << (span / 2)) as f32 / 2.0
}

/// Room for the spans of a kind: a power of two, so that a place is found by shifting.
const STRIDE: usize = 32;

/// A table that is renewed now and then; readers may see some of the new scores.
#[derive(Debug)]
pub(crate) struct Scores(Box<[AtomicU16]>);

impl Scores {
    pub(super) fn new() -> Self {
        let places = Kind::COUNT * STRIDE;
        Self((0..places).map(|_| AtomicU16::new(0)).collect())
    }

    pub(super) fn set(&self, kind: usize, span: usize, score: f32) {
        // Positive floats compare like their bits; the sign and half of the digits go.
        let score = (score.to_bits() << 1 >> 16).min(u32::from(u16::MAX));
        let score = u16::try_from(score).expect("16 bits");
        self.0[kind * STRIDE + span].store(score, Relaxed);
    }

    /// What keeping an entry is worth now; of equal scores the older entry's is lower.
    #[inline]
    pub(super) fn of(&self, note: Note, now: u32) -> u32 {
        let age = note.age(now);
        let score = self.0[note.kind().index() * STRIDE + span(age)].load(Relaxed);
        u32::from(score) << 16 | (u32::from(u16::MAX) - age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_start_where_they_say() {
        assert_eq!([0, 1, 2, 3, 4, 6, 7].map(span), [0, 2, 3, 4, 4, 5, 6]);
        for number in 2..SPANS {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            let first = start_of(number) as u32 - 1;
            assert_eq!((span(first), span(first - 1) < number), (number, true));
        }
        assert_eq!(span(u32::MAX), SPANS - 1);
    }

    #[test]
    fn the_older_of_equals_scores_lower() {
        let scores = Scores::new();
        let [old, young] = [90, 100].map(|tick| scores.of(Note::new(Kind::NEW, tick), 100));
        assert!(old < young);
    }
}
