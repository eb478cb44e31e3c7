//! How much processor time an operation takes.

use std::hint::black_box;

use crate::contestants::{Contestant, Entrant, QUICK_CACHE, everyone};
use crate::progress;
use crate::table::{self, median};
use crate::work::{Key, zipf};

/// Loops over a contestant, compiled for each so that nothing is called indirectly.
pub trait Course<K: Key>: Send + Sync {
    /// Stores these keys.
    fn fill(&self, keys: &[K]);
    /// Reads; tells how many hit.
    fn read(&self, keys: &[K], trace: &[u32]) -> u64;
    /// Reads, and stores what is missing; tells how many hit.
    fn read_through(&self, keys: &[K], trace: &[u32]) -> u64;
    /// Reads and writes by turns, every fourth operation on the next key of a scan;
    /// tells how many reads hit.
    fn write_heavy(&self, keys: &[K], trace: &[u32], scan_from: usize) -> u64;
    /// Stores a key and reads another.
    fn churn(&self, new: K, old: &K);
}

impl<K: Key, C: Contestant<K>> Course<K> for C {
    fn fill(&self, keys: &[K]) {
        for key in keys {
            self.insert(key.clone(), K::value());
        }
    }

    fn read(&self, keys: &[K], trace: &[u32]) -> u64 {
        let hits = trace.iter().filter(|key| self.get(&keys[**key as usize]));
        hits.count() as u64
    }

    fn read_through(&self, keys: &[K], trace: &[u32]) -> u64 {
        let mut hits = 0;
        for key in trace {
            let key = &keys[*key as usize];
            if self.get(key) {
                hits += 1;
            } else {
                self.insert(key.clone(), K::value());
            }
        }
        hits
    }

    fn write_heavy(&self, keys: &[K], trace: &[u32], scan_from: usize) -> u64 {
        let (mut hits, mut scan) = (0, scan_from);
        for (turn, key) in trace.iter().enumerate() {
            let mut at = *key as usize;
            if turn % 4 == 0 {
                scan = (scan + 1) % keys.len();
                at = scan;
            }
            if turn % 2 == 0 {
                self.insert(keys[at].clone(), K::value());
            } else {
                hits += u64::from(self.get(&keys[at]));
            }
        }
        hits
    }

    fn churn(&self, new: K, old: &K) {
        self.insert(new, K::value());
        black_box(self.get(old));
    }
}

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds in which everyone takes part once.
    pub rounds: usize,
    /// Operations per thread and round.
    pub operations: usize,
}

/// One thing to measure: `prepare` once per contestant and round, then `run` on every
/// thread, which tells its hits.
struct Scenario<'a, K: Key> {
    title: String,
    room: usize,
    threads: usize,
    effort: Effort,
    prepare: &'a (dyn Fn(&dyn Course<K>) + Sync),
    run: &'a (dyn Fn(&dyn Course<K>, usize) -> u64 + Sync),
}

#[derive(Default)]
struct Measured {
    nanoseconds: Vec<f64>,
    hit_ratios: Vec<f64>,
}

impl<K: Key> Scenario<'_, K> {
    fn measure(&self, entrants: &[Entrant<K>]) {
        let mut measured: Vec<Measured> = entrants.iter().map(|_| Measured::default()).collect();
        for round in 0..self.effort.rounds {
            for turn in 0..entrants.len() {
                // Another one starts each time, so that nobody always follows the same.
                let at = (turn + round) % entrants.len();
                let (title, name) = (&self.title, &entrants[at].name);
                let rounds = self.effort.rounds;
                progress::show(&format!("{title}: round {} of {rounds}, {name}", round + 1));
                let course = (entrants[at].make)(self.room);
                (self.prepare)(&*course);
                let (cpu, hits) = self.race(&*course);
                let operations = (self.effort.operations * self.threads) as f64;
                measured[at].nanoseconds.push(cpu / operations);
                measured[at].hit_ratios.push(hits as f64 / operations);
            }
        }
        progress::clear();
        self.report(entrants, &measured);
    }

    /// Processor time of all threads together, in nanoseconds, and their hits.
    fn race(&self, course: &dyn Course<K>) -> (f64, u64) {
        std::thread::scope(|scope| {
            let runner = |thread| {
                move || {
                    let before = thread_nanoseconds();
                    let hits = black_box((self.run)(course, thread));
                    (thread_nanoseconds() - before, hits)
                }
            };
            let threads: Vec<_> = (0..self.threads).map(|n| scope.spawn(runner(n))).collect();
            let done = threads
                .into_iter()
                .map(|thread| thread.join().expect("it does not panic"));
            done.fold((0.0, 0), |(cpu, hits), (more, also)| {
                (cpu + more, hits + also)
            })
        })
    }

    fn report(&self, entrants: &[Entrant<K>], measured: &[Measured]) {
        let of = |name: &str| {
            let at = entrants.iter().position(|entrant| entrant.name == name);
            at.map_or(f64::NAN, |at| median(&measured[at].nanoseconds))
        };
        let (quick, moka) = (of(QUICK_CACHE), of("moka"));
        let rows: Vec<Vec<String>> = entrants
            .iter()
            .zip(measured)
            .map(|(entrant, measured)| {
                let time = median(&measured.nanoseconds);
                vec![
                    entrant.name.clone(),
                    format!("{time:.1}"),
                    format!("{:.2}", quick / time),
                    format!("{:.2}", moka / time),
                    format!("{:.4}", median(&measured.hit_ratios)),
                ]
            })
            .collect();
        let head = ["cache", "CPU ns/op", "x quick_cache", "x moka", "hit ratio"];
        table::print(&self.title, &head, &rows);
    }
}

/// Processor time that this thread has used.
fn thread_nanoseconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    used.tv_sec as f64 * 1e9 + used.tv_nsec as f64
}

/// Reads that all hit: 100,000 keys by Zipf 0.99, with room for twice as many.
pub fn read_only<K: Key>(effort: Effort) {
    let keys: Vec<K> = (0..100_000).map(K::of).collect();
    let trace = zipf(keys.len(), 0.99, effort.operations, 1);
    for threads in [1, 2, 8] {
        Scenario {
            title: format!("read-only, {} keys, {threads} threads", K::NAME),
            room: 2 * keys.len(),
            threads,
            effort,
            prepare: &|course| course.fill(&keys),
            run: &|course, thread| {
                let (end, start) = trace.split_at(trace.len() / 8 * thread);
                course.read(&keys, start) + course.read(&keys, end)
            },
        }
        .measure(&everyone());
    }
}

/// Reads that store what is missing: a million keys by Zipf 0.9, room for 100,000.
pub fn read_through<K: Key>(effort: Effort) {
    let keys: Vec<K> = (0..1_000_000).map(K::of).collect();
    let all = zipf(keys.len(), 0.9, 2_000_000 + 2 * effort.operations, 1);
    let (warm_up, trace) = all.split_at(2_000_000);
    let mut entrants = everyone();
    entrants.retain(|entrant| entrant.name != crate::contestants::BOUND);
    for threads in [1, 2] {
        Scenario {
            title: format!("read-through, {} keys, {threads} threads", K::NAME),
            room: 100_000,
            threads,
            effort,
            prepare: &|course| {
                course.read_through(&keys, warm_up);
            },
            run: &|course, thread| {
                let from = effort.operations * thread;
                course.read_through(&keys, &trace[from..from + effort.operations])
            },
        }
        .measure(&entrants);
    }
}

/// Half writes, half reads: a million keys by Zipf 0.9 with a scan, room for 100,000.
pub fn write_heavy<K: Key>(effort: Effort) {
    let keys: Vec<K> = (0..1_000_000).map(K::of).collect();
    let all = zipf(keys.len(), 0.9, 2_000_000 + effort.operations, 1);
    let (warm_up, trace) = all.split_at(2_000_000);
    let mut entrants = everyone();
    entrants.retain(|entrant| entrant.name != crate::contestants::BOUND);
    for threads in [1, 2, 8] {
        Scenario {
            title: format!("write-heavy, {} keys, {threads} threads", K::NAME),
            room: 100_000,
            threads,
            effort,
            prepare: &|course| {
                course.write_heavy(&keys, warm_up, 0);
            },
            run: &|course, thread| {
                let (end, start) = trace.split_at(trace.len() / 8 * thread);
                let from = keys.len() / 8 * thread;
                course.write_heavy(&keys, start, from) + course.write_heavy(&keys, end, from)
            },
        }
        .measure(&entrants);
    }
}
