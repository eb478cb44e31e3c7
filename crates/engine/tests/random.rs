//! Random operation sequences agree with the naive model, under every policy and limit.
//!
//! `LARDER_MODEL_STEPS` sets how many operations run in all; the seed of each
//! sequence is printed when it fails.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod model;

use larder_engine::Policy;
use model::{Checked, Rules};

/// Operations of one sequence: short enough that counting uses stays cheap.
const SEQUENCE: u64 = 2_000;

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}

fn rules() -> Vec<Rules> {
    let mut all = Vec::new();
    for policy in Policy::ALL {
        for (max_entries, max_weight) in [
            (Some(20), None),
            (None, Some(100)),
            (Some(12), Some(100)),
            (Some(1), None),
            (None, Some(15)),
            (Some(300), None),
        ] {
            for (time_to_idle, shards) in [(None, 1), (None, 8), (Some(50), 4)] {
                all.push(Rules {
                    policy,
                    max_entries,
                    max_weight,
                    time_to_idle,
                    shards,
                });
            }
        }
    }
    all
}

fn step(checked: &mut Checked, random: &mut Random) {
    // Some keys are used far more often than others.
    let spread = 1 << (1 + random.below(9));
    let key = u16::try_from(random.below(spread)).unwrap();
    let value = u32::try_from(random.below(1 << 20)).unwrap();
    match random.below(100) {
        0..40 => checked.get(key),
        40..65 => checked.insert(key, value, None),
        65..75 => checked.insert(key, value, Some(random.below(120))),
        75..82 => checked.update(key, value),
        82..88 => checked.remove(key),
        88..92 => checked.set_ttl(key, random.below(200)),
        92..97 => checked.advance(random.below(30)),
        97 => checked.resize(15 + random.below(150)),
        98 => checked.compare(),
        _ if random.below(20) == 0 => checked.clear(),
        _ => checked.compare(),
    }
}

// covers: D-4, D-5, D-6, D-7, D-8, D-11, B6, D51
#[test]
fn the_cache_agrees_with_the_model() {
    let wanted: u64 = std::env::var("LARDER_MODEL_STEPS")
        .map_or(400_000, |steps| steps.parse().expect("a number of steps"));
    let all = rules();
    let mut steps = 0;
    for seed in 1.. {
        for rules in &all {
            let outcome = std::panic::catch_unwind(|| {
                let mut checked = Checked::new(*rules);
                let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
                for _ in 0..SEQUENCE {
                    step(&mut checked, &mut random);
                }
                checked.compare();
            });
            if let Err(panic) = outcome {
                eprintln!("seed {seed} of {rules:?}");
                std::panic::resume_unwind(panic);
            }
            steps += SEQUENCE;
            if steps >= wanted && seed > 1 {
                println!("{steps} operations");
                return;
            }
        }
    }
}
