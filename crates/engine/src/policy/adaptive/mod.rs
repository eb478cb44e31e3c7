//! `adaptive`: evicts what it has learned to be worth least.
//!
//! Each entry has a [note]: what kind of key it is (how often it was used, how far
//! apart) and when it was used last. A [learner] watches a sample of keys and gives
//! each kind at each age a [score](scores). A shard evicts the lowest score among a
//! few entries and [remembers](memory) what it evicted, so that a key that returns
//! is known.

mod learner;
mod memory;
mod note;
mod notes;
mod scores;

use learner::Learner;
use memory::Memory;
pub(crate) use notes::{Notes, Observation};
use scores::Scores;

use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, Relaxed};

/// Ticks in which a cache is used as often as it has entries.
const TICKS_PER_TURN: u64 = 16;
/// Notes in the sample.
const SAMPLE: usize = 4096;
/// The sample reaches back this many times the cache's entries.
const TURNS_SAMPLED: u64 = 16;
/// Most uses that a shard counts before it tells.
const MOST_PER_BATCH: u32 = 1024;
/// Ticks between two lessons.
const LESSON_TICKS: u64 = 8;
/// Uses between two lessons, at least.
const LESSON_USES: u64 = 256;
/// The first lesson comes after this many uses; then each after twice as many.
const FIRST_LESSON_USES: u64 = 64;

/// Samples nothing: a shard's hashes are not all zero in these bits.
const NOTHING: u64 = u64::MAX;

/// While nothing comes in, one batch of uses in so many is noted.
const IDLE_BATCHES: u64 = 16;

/// The next uses of a shard.
struct Batch {
    uses: u32,
    tick: u32,
    is_noted: bool,
}

/// What all shards share: the clock, the scores and who makes them.
#[derive(Debug)]
pub(crate) struct Adaptive {
    scores: Scores,
    learner: Mutex<Learner>,
    shards: usize,
    /// Of how many entries pace and sample are made for.
    entries: AtomicU64,
    /// Of every key's hash these bits are zero if it is in the sample.
    unsampled: AtomicU64,
    uses: AtomicU64,
    tick: AtomicU32,
    /// Uses that a shard counts before it tells.
    batch: AtomicU32,
    next_lesson: AtomicU64,
    /// Whether an entry came in since the last lesson.
    stored: AtomicBool,
}

impl Adaptive {
    pub(crate) fn new(entries: u64, shards: usize) -> Self {
        let scores = Scores::new();
        let mut learner = Learner::new(Memory::new(SAMPLE));
        learner.learn(0, &scores);
        let adaptive = Self {
            scores,
            learner: Mutex::new(learner),
            shards,
            entries: AtomicU64::new(0),
            unsampled: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            tick: AtomicU32::new(0),
            batch: AtomicU32::new(1),
            next_lesson: AtomicU64::new(FIRST_LESSON_USES),
            stored: AtomicBool::new(true),
        };
        adaptive.resize(entries);
        adaptive
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    /// Keeps the pace fitting for a cache of so many entries.
    pub(crate) fn pace(&self, entries: u64) {
        let paced = self.entries.load(Relaxed);
        if entries > 2 * paced || entries < paced / 4 {
            self.resize(entries);
        }
    }

    fn resize(&self, entries: u64) {
        self.entries.store(entries, Relaxed);
        let batch = self.uses_per_tick() / (4 * self.shards as u64);
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        self.batch.store(batch.clamp(1, MOST_PER_BATCH), Relaxed);
        self.sample_fitting();
    }

    #[inline]
    fn uses_per_tick(&self) -> u64 {
        (self.entries.load(Relaxed) / TICKS_PER_TURN).max(1)
    }

    fn is_sampled(&self, hash: u32) -> bool {
        // Without the lowest byte, which is never zero.
        u64::from(hash >> u8::BITS) & self.unsampled.load(Relaxed) == 0
    }

    /// An entry came in.
    fn note_stored(&self) {
        if !self.stored.load(Relaxed) {
            self.stored.store(true, Relaxed);
            self.sample_fitting();
        }
    }

    fn sample_fitting(&self) {
        let reach = self.entries.load(Relaxed).saturating_mul(TURNS_SAMPLED);
        let every = (reach / SAMPLE as u64).max(1).next_power_of_two();
        self.unsampled.store(every - 1, Relaxed);
    }

    /// Lets one batch of uses pass.
    fn pass(&self) -> Batch {
        let uses = self.batch.load(Relaxed);
        let before = self.uses.fetch_add(u64::from(uses), Relaxed);
        let after = before + u64::from(uses);
        if self.unsampled.load(Relaxed) == NOTHING {
            // Nothing comes in, so nothing has to go soon: time stands still, and
            // most hits need no note.
            return Batch {
                uses,
                tick: self.tick.load(Relaxed),
                is_noted: (after / u64::from(uses)).is_multiple_of(IDLE_BATCHES),
            };
        }
        let per_tick = self.uses_per_tick();
        let tick = if before / per_tick == after / per_tick {
            self.tick.load(Relaxed)
        } else {
            self.tick.fetch_add(1, Relaxed).wrapping_add(1)
        };
        Batch {
            uses,
            tick,
            is_noted: true,
        }
    }

    /// Hands a use to the learner.
    pub(crate) fn observe(&self, seen: Observation) {
        let mut learner = self.learner.lock();
        learner.observe(seen.hash, seen.note, seen.now);
        let uses = self.uses.load(Relaxed);
        if uses >= self.next_lesson.load(Relaxed) {
            let pause = (LESSON_TICKS * self.uses_per_tick()).max(LESSON_USES.min(uses));
            self.next_lesson.store(uses + pause, Relaxed);
            learner.learn(seen.now, &self.scores);
            if !self.stored.swap(false, Relaxed) {
                // Only hits: nothing is evicted soon, so nothing has to be learned.
                self.unsampled.store(NOTHING, Relaxed);
            }
        }
    }
}
