//! Promises under many threads.

use std::time::Duration;

use larder_core::{Capability, SetOptions, Ttl};

use super::OK;
use crate::Subject;

const THREADS: u32 = 8;

/// Whatever is read under a key was written under that key.
// covers: D-13, B13
pub fn no_reader_sees_the_value_of_another_key(subject: &Subject) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let cache = subject.cache.clone();
            scope.spawn(move || {
                for round in 0..400 {
                    let key = format!("key:{}", (round * 7 + thread) % 20);
                    let value = format!("{key} of thread {thread}");
                    match (round + thread) % 4 {
                        0 => assert!(cache.set(&key, value, SetOptions::new()).expect(OK)),
                        1 => drop(cache.delete(&key).expect(OK)),
                        _ => {
                            if let Some(found) = cache.get(&key).expect(OK) {
                                let own = found.starts_with(format!("{key} of").as_bytes());
                                assert!(own, "{found:?} under {key}");
                            }
                        }
                    }
                }
            });
        }
    });
    let stats = subject.cache.stats().expect(OK);
    assert_eq!(stats.sets, u64::from(THREADS) * 100);
    assert_eq!(stats.hits + stats.misses, u64::from(THREADS) * 200);
}

/// No increment is lost, whoever else counts.
// covers: H3
pub fn concurrent_counting_loses_nothing(subject: &Subject) {
    if !subject.has(Capability::Counters) {
        return;
    }
    let ttl = Ttl::After(Duration::from_secs(60));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let cache = subject.cache.clone();
            scope.spawn(move || {
                for _ in 0..250 {
                    cache.increment("sum", 3, ttl).expect(OK);
                    cache.decrement("sum", 1, ttl).expect(OK);
                }
            });
        }
    });
    let sum = subject.cache.increment("sum", 0, ttl).expect(OK);
    assert_eq!(sum, i64::from(THREADS) * 250 * 2);
}
