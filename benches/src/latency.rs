//! How long single operations take while the cache is full of what comes and goes.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::contestants::{BOUND, everyone};
use crate::progress;
use crate::speed::Course;
use crate::table;
use crate::work::Key;

/// Operations measured in a row before another contestant has its turn.
const SLICE: u64 = 20_000;

/// An insert of a new key and a read of an older one, in a full cache.
pub fn churn(room: usize, threads: usize, slices: usize) {
    let mut entrants = everyone::<u64>();
    entrants.retain(|entrant| entrant.name != BOUND);
    let title = format!("latency under churn, {room} entries, {threads} threads");
    let mut runs: Vec<Run> = Vec::new();
    for entrant in &entrants {
        progress::show(&format!("{title}: filling {}", entrant.name));
        let course = (entrant.make)(room);
        let run = Run {
            course,
            next: 0,
            times: histogram(),
        };
        runs.push(run.filled(room as u64));
    }
    let mut floor = histogram();
    for slice in 0..slices {
        progress::show(&format!("{title}: slice {} of {slices}", slice + 1));
        for _ in 0..SLICE {
            record(&mut floor, || {});
        }
        for run in &mut runs {
            run.slice(threads);
        }
    }
    progress::clear();
    let names = entrants.iter().map(|entrant| entrant.name.clone());
    let rows = names
        .zip(runs.iter().map(|run| &run.times))
        .chain([("floor: nothing at all".to_owned(), &floor)])
        .map(|(name, times)| {
            let at = |quantile| format!("{:.1}", times.value_at_quantile(quantile) as f64 / 1e3);
            vec![name, at(0.5), at(0.99), at(0.999), at(0.9999), at(1.0)]
        });
    let head = ["cache", "p50 µs", "p99", "p99.9", "p99.99", "max"];
    table::print(&title, &head, &rows.collect::<Vec<_>>());
}

struct Run {
    course: Box<dyn Course<u64>>,
    next: u64,
    times: Histogram<u64>,
}

impl Run {
    fn filled(mut self, room: u64) -> Self {
        while self.next < 2 * room {
            self.course
                .churn(u64::of(self.next), &u64::of(self.next / 2));
            self.next += 1;
        }
        self
    }

    /// Measures one slice; a second thread churns meanwhile if there are two.
    fn slice(&mut self, threads: usize) {
        let (course, next, times) = (&*self.course, &mut self.next, &mut self.times);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if threads > 1 {
                scope.spawn(|| {
                    let mut other = u64::MAX / 2;
                    while !done.load(Relaxed) {
                        course.churn(other, &(other + 50));
                        other -= 1;
                    }
                });
            }
            for _ in 0..SLICE {
                *next += 1;
                let (new, old) = (u64::of(*next), u64::of(*next - 50));
                record(times, || course.churn(new, &old));
            }
            done.store(true, Relaxed);
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "real time is what is measured here"
)]
fn record(times: &mut Histogram<u64>, operation: impl FnOnce()) {
    let start = Instant::now();
    operation();
    let taken = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    times.saturating_record(taken);
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are fine")
}
