//! Learns from a sample of keys how soon which kind of key is used again, and
//! gives every kind and age a score: the highest is worth keeping most.
//!
//! The score is the Gittins index: the best ratio, over all times to wait, of the
//! chance that the key is used within that time to the room it takes until then.
//! If all keys had independent intervals of known distribution, no other number
//! per entry would do better. Recency, frequency, scans and loops are all cases
//! of it: where chances fall with age it evicts what is oldest; where a kind is
//! used often it stays; where keys come once it evicts what is new; where all
//! come back after the same time it keeps those that are next.
//!
//! Chances are counted as in a life table: of the keys of a kind that reached an
//! age, how many were used at that age. Keys that were not used yet count up to
//! the age they have. Counts fade, and rare kinds borrow from similar ones.

use super::memory::Memory;
use super::note::{Kind, Note};
use super::scores::{SPANS, Scores, span, start_of};

/// Uses are counted half after this many ticks: 32 times the cache's entries.
const HALF_LIFE_TICKS: f32 = 512.0;
/// How many observations a guess is worth while there are few.
const PRIOR: f32 = 2.0;
/// The guess where nothing is known: the chance of a use within one span.
const GUESS_KNOWN: f32 = 0.05;
const GUESS_NEW: f32 = 0.025;

/// A number for each span of age.
type Spans = [f32; SPANS];

/// What was observed of keys of one kind, by the age at which it happened.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// They were used again.
    used: Spans,
    /// They were not seen again until they were forgotten.
    lost: Spans,
}

impl Life {
    const NONE: Self = Self {
        used: [0.0; SPANS],
        lost: [0.0; SPANS],
    };

    fn add(&mut self, other: &Self) {
        for span in 0..SPANS {
            self.used[span] += other.used[span];
            self.lost[span] += other.lost[span];
        }
    }

    fn fade(&mut self, factor: f32) {
        for count in self.used.iter_mut().chain(&mut self.lost) {
            *count *= factor;
        }
    }

    /// The chance of a use within each span for a key that reached it, leaning
    /// towards `guess` as if that had been seen `weight` times.
    fn chances(&self, guess: &Spans, weight: f32) -> Spans {
        let mut chances = [0.0; SPANS];
        let mut reached = 0.0;
        for span in (0..SPANS).rev() {
            reached += self.used[span] + self.lost[span];
            // Those lost within the span are taken to have lived through half of it.
            let at_risk = reached - self.lost[span] / 2.0;
            let chance = (self.used[span] + weight * guess[span]) / (at_risk + weight);
            chances[span] = chance.min(0.999);
        }
        chances
    }
}

/// A sample of keys with what was learned from it.
#[derive(Debug)]
pub(super) struct Learner {
    sample: Memory,
    /// By number of kind.
    lives: Vec<Life>,
    learned_at: u32,
}

impl Learner {
    /// Learns from as many keys at a time as `sample` has room for.
    pub(super) fn new(sample: Memory) -> Self {
        Self {
            sample,
            lives: vec![Life::NONE; Kind::COUNT],
            learned_at: 0,
        }
    }

    /// A key of the sample was used just now, and got this note.
    pub(super) fn observe(&mut self, hash: u32, note: Note, now: u32) {
        if let Some(before) = self.sample.take(hash, now) {
            self.lives[before.kind().index()].used[span(before.age(now))] += 1.0;
        }
        if let Some(lost) = self.sample.put(hash, note, now) {
            self.lives[lost.kind().index()].lost[span(lost.age(now))] += 1.0;
        }
    }

    /// Works out all scores from what was observed.
    pub(super) fn learn(&mut self, now: u32, scores: &Scores) {
        #[expect(clippy::cast_precision_loss, reason = "an age in ticks is small")]
        let passed = now.wrapping_sub(self.learned_at) as f32;
        self.learned_at = now;
        let factor = (-passed / HALF_LIFE_TICKS).exp2();
        self.lives.iter_mut().for_each(|life| life.fade(factor));

        let mut lives = self.lives.clone();
        for note in self.sample.notes(now) {
            lives[note.kind().index()].lost[span(note.age(now))] += 1.0;
        }
        let mut known = Life::NONE;
        for life in &lives[..Kind::NEW.index()] {
            known.add(life);
        }
        let known = known.chances(&[GUESS_KNOWN; SPANS], PRIOR);
        for group in Kind::groups() {
            let guess = if group.contains(&Kind::NEW.index()) {
                [GUESS_NEW; SPANS]
            } else {
                known
            };
            let mut together = Life::NONE;
            for kind in group.clone() {
                together.add(&lives[kind]);
            }
            let alike = together.chances(&guess, 2.0 * PRIOR);
            for kind in group {
                let chances = lives[kind].chances(&alike, 4.0 * PRIOR);
                for (span, rate) in best_rates(&chances).into_iter().enumerate() {
                    scores.set(kind, span, rate);
                }
            }
        }
    }
}

/// For a key at the start of each span, the best ratio of the chance of a use to the
/// room taken until then, over all times to wait.
///
/// From the end: it pays to wait through a later stretch as long as its ratio is
/// better than what one has.
fn best_rates(chances: &Spans) -> Spans {
    let mut rates = [0.0; SPANS];
    let mut later: Vec<Stretch> = Vec::with_capacity(SPANS);
    for span in (0..SPANS - 1).rev() {
        let chance = chances[span];
        let length = start_of(span + 1) - start_of(span);
        let mut stretch = Stretch {
            used: chance,
            room: (1.0 - chance / 2.0) * length,
            left: 1.0 - chance,
        };
        while let Some(next) = later.pop_if(|next| next.rate() > stretch.rate()) {
            stretch.used += stretch.left * next.used;
            stretch.room += stretch.left * next.room;
            stretch.left *= next.left;
        }
        rates[span] = stretch.rate();
        later.push(stretch);
    }
    rates
}

/// What happens to a key while it is kept through some spans.
struct Stretch {
    /// The chance that it is used.
    used: f32,
    /// The room it takes, in ticks.
    room: f32,
    /// The chance that it is still waiting after them.
    left: f32,
}

impl Stretch {
    fn rate(&self) -> f32 {
        self.used / self.room
    }
}
