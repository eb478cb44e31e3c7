//! Random operations, compared with the model after each step.

use std::time::Duration;

use bytes::Bytes;
use larder_core::{Capability, Condition, Pattern, SetOptions, Ttl};

use super::OK;
use crate::{Model, Subject};

/// Operations of one sequence.
const STEPS: u64 = 3_000;

/// xorshift64*: small, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn ttl(&mut self) -> Ttl {
        match self.below(6) {
            0 => Ttl::Default,
            1 => Ttl::Never,
            2 => Ttl::After(Duration::ZERO),
            _ => Ttl::After(Duration::from_millis(1 + self.below(300))),
        }
    }

    fn value(&mut self) -> Bytes {
        match self.below(3) {
            0 => self.below(1_000).to_string().into(),
            1 => Bytes::new(),
            _ => format!("text {}", self.below(1_000)).into(),
        }
    }
}

/// Whatever the sequence, backend and model agree.
// covers: C1, C2, C4, C5, C6, H1, I1, G1, E17
pub fn random_sequences_agree_with_the_model(subject: &Subject) {
    for seed in 1..=4_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut model = Model::default();
        subject.cache.clear().expect(OK);
        subject.cache.stats().expect(OK).reset();
        for number in 0..STEPS {
            step(
                subject,
                &mut model,
                &mut random,
                &format!("seed {seed}, step {number}"),
            );
        }
        let stats = subject.cache.stats().expect(OK);
        let seen = [stats.hits, stats.misses, stats.sets, stats.deletes];
        let expected = [model.hits, model.misses, model.sets, model.deletes];
        assert_eq!(seen, expected, "hits, misses, sets, deletes of seed {seed}");
        assert_eq!(stats.current_entries, model.keys(None).len() as u64);
    }
}

/// One operation on both; a capability that is absent makes it a `get`.
fn step(subject: &Subject, model: &mut Model, random: &mut Random, place: &str) {
    let cache = &subject.cache;
    let key = format!("key:{}", random.below(12));
    match random.below(20) {
        6..10 => {
            let (value, ttl) = (random.value(), random.ttl());
            let stored = cache.set(&key, value.clone(), ttl).expect(OK);
            assert_eq!(
                stored,
                model.set(&key, value, ttl, Condition::Always),
                "{place}"
            );
        }
        10 if subject.has(Capability::Conditions) => {
            let (value, ttl) = (random.value(), random.ttl());
            let condition = match random.below(2) {
                0 => Condition::IfAbsent,
                _ => Condition::IfPresent,
            };
            let options = SetOptions::from(ttl).with_condition(condition);
            let stored = cache.set(&key, value.clone(), options).expect(OK);
            assert_eq!(stored, model.set(&key, value, ttl, condition), "{place}");
        }
        11 => assert_eq!(cache.exists(&key).expect(OK), model.exists(&key), "{place}"),
        12..14 => assert_eq!(cache.delete(&key).expect(OK), model.delete(&key), "{place}"),
        14 if subject.has(Capability::Counters) => {
            let delta = i64::try_from(random.below(100)).expect("small") - 50;
            let sum = cache
                .increment(&key, delta, Ttl::Default)
                .map_err(|e| e.kind());
            assert_eq!(sum, model.increment(&key, delta), "{place}");
        }
        15 if subject.has(Capability::Touch) => {
            let ttl = random.ttl();
            assert_eq!(
                cache.touch(&key, ttl).expect(OK),
                model.touch(&key, ttl),
                "{place}"
            );
        }
        16 if subject.has(Capability::Entries) => {
            assert_eq!(cache.ttl(&key).expect(OK), model.ttl(&key), "{place}");
        }
        17 if subject.has(Capability::Keys) => {
            let pattern = Pattern::glob(&format!("key:{}*", random.below(3)));
            let pattern = pattern.expect("a legal pattern");
            let mut keys = cache.keys(Some(&pattern)).expect(OK);
            keys.sort();
            assert_eq!(keys, model.keys(Some(&pattern)), "{place}");
        }
        18 => {
            let time = Duration::from_millis(random.below(60));
            subject.pass(time);
            model.pass(time);
        }
        19 if random.below(50) == 0 => {
            assert_eq!(cache.clear().expect(OK), model.clear(), "{place}");
        }
        _ => assert_eq!(cache.get(&key).expect(OK), model.get(&key), "{place}"),
    }
}
