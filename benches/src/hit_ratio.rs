//! Replays traces through every policy and the peers, with the optimum beside them.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use larder_engine::Policy;

use crate::picture;
use crate::reference::{Arc, Lirs};
use crate::table;
use crate::traces::Trace;

/// Sizes of the cache in percent of the different keys.
pub const SIZES: [f64; 4] = [0.1, 1.0, 5.0, 20.0];
/// The bound that knows the future.
pub const OPTIMUM: &str = "optimum (Belady)";

/// Holds more than it has room for, so others are not measured by it.
pub const OVERFULL: &str = "moka, overfull";

/// A cache of numbers: whether a request hits; it is stored if not.
type Request = Box<dyn FnMut(u64) -> bool>;

/// Hit ratios of one trace: by contestant, then by size.
pub struct Ratios {
    /// The trace.
    pub name: String,
    /// Names and hit ratios.
    pub rows: Vec<(String, [f64; 4])>,
}

/// Replays all traces, prints the tables and draws the pictures.
pub fn run(traces: &[Trace], only: Option<&str>, out: &Path) -> Result<(), String> {
    let contestants = |room| {
        let mut all = contestants(room);
        all.retain(|(name, _)| only.is_none_or(|only| name.contains(only)));
        all
    };
    let names: Vec<String> = contestants(1).into_iter().map(|(name, _)| name).collect();
    if names.is_empty() {
        return Err("there is no cache of this name".to_owned());
    }
    let columns = names.len() + 1;
    let total = traces.len() * SIZES.len() * columns;
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(vec![f64::NAN; total]);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let job = next.fetch_add(1, Relaxed);
                if job >= total {
                    return;
                }
                let (point, column) = (job / columns, job % columns);
                let trace = &traces[point / SIZES.len()];
                let room = room_for(trace, SIZES[point % SIZES.len()]);
                let ratio = match column {
                    0 => optimum(&trace.keys, room),
                    _ => replay(&trace.keys, contestants(room).swap_remove(column - 1).1),
                };
                results.lock().expect("nobody panics with it")[job] = ratio;
                let done = done.fetch_add(1, Relaxed) + 1;
                eprint!("\r{done} of {total}: {:<40}", trace.name);
            }
        };
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    eprint!("\r{:<60}\r", "");
    let results = results.into_inner().expect("nobody panicked with it");
    let all: Vec<Ratios> = traces
        .iter()
        .enumerate()
        .map(|(at, trace)| {
            let of = |column: usize| {
                std::array::from_fn(|size| results[(at * SIZES.len() + size) * columns + column])
            };
            let named = std::iter::once(OPTIMUM.to_owned()).chain(names.iter().cloned());
            Ratios {
                name: trace.name.clone(),
                rows: named
                    .enumerate()
                    .map(|(column, name)| (name, of(column)))
                    .collect(),
            }
        })
        .collect();
    fs::create_dir_all(out).map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    for (ratios, trace) in all.iter().zip(traces) {
        print_trace(ratios, trace);
        let file = out.join(format!("{}.svg", ratios.name));
        fs::write(&file, picture::draw(ratios))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    summarize(&all);
    println!("\nPictures: {}", out.display());
    Ok(())
}

fn room_for(trace: &Trace, percent: f64) -> usize {
    ((trace.unique as f64 * percent / 100.0) as usize).max(1)
}

fn contestants(room: usize) -> Vec<(String, Request)> {
    let mut all: Vec<(String, Request)> = Policy::ALL
        .into_iter()
        .map(|policy| (format!("larder {policy}"), larder(policy, room)))
        .collect();
    all.push(("quick_cache".to_owned(), quick_cache(room)));
    all.push((OVERFULL.to_owned(), moka(room, false)));
    all.push(("moka, strictly".to_owned(), moka(room, true)));
    all.push((
        "foyer lfu".to_owned(),
        foyer(room, foyer_memory::LfuConfig::default()),
    ));
    all.push((
        "foyer s3fifo".to_owned(),
        foyer(room, foyer_memory::S3FifoConfig::default()),
    ));
    let (mut lirs, mut arc) = (Lirs::new(room), Arc::new(room));
    all.push(("LIRS".to_owned(), Box::new(move |key| lirs.request(key))));
    all.push(("ARC".to_owned(), Box::new(move |key| arc.request(key))));
    all
}

fn larder(policy: Policy, room: usize) -> Request {
    let builder = larder_engine::Cache::<u64, ()>::builder().policy(policy);
    let cache = builder
        .max_entries(room as u64)
        .build()
        .expect("there is a limit");
    Box::new(move |key| cache.get(&key).is_some() || !cache.insert(key, ()))
}

fn quick_cache(room: usize) -> Request {
    let mut cache = quick_cache::unsync::Cache::<u64, ()>::new(room);
    Box::new(move |key| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, ());
        }
        hit
    })
}

/// As it is used, it decides about what came in after some dozen requests, and holds
/// that many more than its room until then; `strictly` makes it decide at once.
fn moka(room: usize, strictly: bool) -> Request {
    let cache = moka::sync::Cache::<u64, ()>::new(room as u64);
    Box::new(move |key| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, ());
        }
        if strictly {
            cache.run_pending_tasks();
        }
        hit
    })
}

fn foyer(room: usize, eviction: impl Into<foyer_memory::EvictionConfig>) -> Request {
    let builder = foyer_memory::CacheBuilder::<u64, (), _>::new(room).with_shards(1);
    let cache: foyer_memory::Cache<u64, ()> = builder.with_eviction_config(eviction).build();
    Box::new(move |key| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, ());
        }
        hit
    })
}

fn replay(keys: &[u32], mut request: Request) -> f64 {
    let hits = keys.iter().filter(|key| request(u64::from(**key))).count();
    hits as f64 / keys.len() as f64
}

/// What a cache could reach that evicts what is needed last, or refuses to store it.
fn optimum(keys: &[u32], room: usize) -> f64 {
    let mut next_uses = vec![usize::MAX; keys.len()];
    let mut seen = HashMap::new();
    for (at, key) in keys.iter().enumerate().rev() {
        next_uses[at] = seen.insert(key, at).unwrap_or(usize::MAX);
    }
    let (mut hits, mut present, mut by_next_use) = (0, HashMap::new(), BTreeSet::new());
    for (key, next_use) in keys.iter().zip(next_uses) {
        if let Some(due) = present.insert(key, next_use) {
            hits += 1;
            by_next_use.remove(&(due, key));
        }
        by_next_use.insert((next_use, key));
        if by_next_use.len() > room {
            let (_, last) = by_next_use.pop_last().expect("there is more than fits");
            present.remove(last);
        }
    }
    f64::from(hits) / keys.len() as f64
}

fn print_trace(ratios: &Ratios, trace: &Trace) {
    let sizes = SIZES.map(|percent| format!("{percent} % ({})", room_for(trace, percent)));
    let mut head = vec!["cache"];
    head.extend(sizes.iter().map(String::as_str));
    let rows = ratios.rows.iter().map(|(name, points)| {
        let points = points.iter().map(|ratio| format!("{ratio:.4}"));
        std::iter::once(name.clone()).chain(points).collect()
    });
    let title = format!(
        "{}: {} requests, {} keys",
        trace.name,
        trace.keys.len(),
        trace.unique
    );
    table::print(&title, &head, &rows.collect::<Vec<_>>());
}

/// Average, and the distance to the best of all that keep to their room at each point.
fn summarize(all: &[Ratios]) {
    let points = (all.len() * SIZES.len()) as f64;
    let best = |ratios: &Ratios, size: usize| {
        let others = ratios.rows.iter().skip(1);
        let others = others.filter(|(name, _)| name != OVERFULL);
        others.map(|(_, points)| points[size]).fold(0.0, f64::max)
    };
    let rows = (0..all.first().map_or(0, |ratios| ratios.rows.len())).map(|row| {
        let (mut sum, mut regrets, mut worst, mut wins) = (0.0, 0.0, (0.0, String::new()), 0);
        for ratios in all {
            for (size, percent) in SIZES.iter().enumerate() {
                let ratio = ratios.rows[row].1[size];
                let regret = best(ratios, size) - ratio;
                sum += ratio;
                regrets += regret;
                wins += u32::from(regret <= 0.0);
                if regret > worst.0 {
                    worst = (regret, format!("{} at {percent} %", ratios.name));
                }
            }
        }
        let name = all[0].rows[row].0.clone();
        let of_points = |sum: f64| format!("{:.4}", sum / points);
        if row == 0 {
            let none = || "-".to_owned();
            return vec![name, of_points(sum), none(), none(), none(), none()];
        }
        let worst_regret = format!("{:.4}", worst.0);
        vec![
            name,
            of_points(sum),
            of_points(regrets),
            worst_regret,
            worst.1,
            wins.to_string(),
        ]
    });
    let head = [
        "cache",
        "average",
        "regret",
        "worst regret",
        "where",
        "best",
    ];
    table::print("All traces and sizes", &head, &rows.collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimum_of_a_loop_keeps_what_fits() {
        let keys: Vec<u32> = (0..1_000).map(|at| at % 10).collect();
        let ratio = optimum(&keys, 5);
        assert!(
            (ratio - 0.495).abs() < 1e-9,
            "{ratio}: half, but for the first lap"
        );
        assert!((optimum(&keys, 10) - 0.99).abs() < 1e-9);
    }

    #[test]
    fn nobody_beats_the_optimum() {
        let keys = crate::work::zipf(1_000, 0.8, 20_000, 5);
        let most = optimum(&keys, 50);
        for (name, request) in contestants(50) {
            let ratio = replay(&keys, request);
            assert!(ratio <= most && ratio > 0.1, "{name}: {ratio} of {most}");
        }
    }
}
