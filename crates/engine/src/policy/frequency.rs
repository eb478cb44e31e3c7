//! About how often a key was asked for lately: a count-min sketch.
//!
//! Four counters of 4 bits per key, the smallest counts. They are halved now and
//! then, so that old requests fade.

/// Requests between two halvings, per entry.
const REQUESTS_PER_HALVING: usize = 10;
const MOST: u64 = 15;
/// Counters per word.
const COUNTERS: u32 = 16;
const FEWEST_WORDS: usize = 8;
/// All bits of all counters but the highest.
const WITHOUT_HIGHEST: u64 = 0x7777_7777_7777_7777;

/// Counters for keys by hash.
#[derive(Debug, Default)]
pub(super) struct Frequencies {
    words: Vec<u64>,
    added: usize,
}

impl Frequencies {
    /// Makes room for so many entries.
    pub(super) fn grow_to(&mut self, entries: usize) {
        while entries > self.words.len() {
            // A key's counters are now in one of the halves: both start with its counts.
            self.words.extend_from_within(..);
            self.words.resize(self.words.len().max(FEWEST_WORDS), 0);
        }
    }

    /// Counts a request.
    pub(super) fn add(&mut self, hash: u32) {
        if self.words.is_empty() {
            return;
        }
        let mut counted = false;
        for (word, shift) in self.places(hash) {
            if (self.words[word] >> shift) & MOST < MOST {
                self.words[word] += 1 << shift;
                counted = true;
            }
        }
        self.added += usize::from(counted);
        if self.added >= REQUESTS_PER_HALVING * self.words.len() {
            self.added /= 2;
            for word in &mut self.words {
                *word = (*word >> 1) & WITHOUT_HIGHEST;
            }
        }
    }

    /// About how many requests were counted, at most 15.
    pub(super) fn of(&self, hash: u32) -> u8 {
        let counts = self.places(hash).map(|(word, shift)| {
            let word = self.words.get(word).copied().unwrap_or(0);
            u8::try_from((word >> shift) & MOST).expect("4 bits")
        });
        counts.into_iter().min().unwrap_or(0)
    }

    /// Word and shift of the four counters.
    fn places(&self, hash: u32) -> [(usize, u32); 4] {
        let mask = self.words.len().wrapping_sub(1);
        let mut mixed = u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        std::array::from_fn(|_| {
            mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "bits are picked on purpose"
            )]
            let (word, counter) = ((mixed >> 32) as usize & mask, mixed as u32 % COUNTERS);
            (word, counter * 4)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_fade_and_do_not_mix() {
        let mut frequencies = Frequencies::default();
        frequencies.add(7);
        assert_eq!(frequencies.of(7), 0, "no room yet");
        frequencies.grow_to(1_000);
        for _ in 0..9 {
            frequencies.add(7);
        }
        assert_eq!((frequencies.of(7), frequencies.of(8)), (9, 0));
        frequencies.grow_to(5_000);
        assert_eq!(frequencies.of(7), 9, "growing keeps the counts");
        for key in 100..82_100 {
            frequencies.add(key);
        }
        let faded = frequencies.of(7);
        assert!((4..9).contains(&faded), "{faded}");
    }
}
