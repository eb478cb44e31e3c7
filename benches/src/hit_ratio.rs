//! Replays traces through every policy and the peers, with the optimum beside them.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::picture;
use crate::progress;
use crate::replay::{HitRatios, OPTIMUM, OVERFULL, Room, contestants, optimum, replay};
use crate::table;
use crate::traces::Trace;

/// Sizes of the cache in percent of the different keys, or of their bytes.
pub const SIZES: [f64; 4] = [0.1, 1.0, 5.0, 20.0];

/// Hit ratios of one trace: by contestant, then by size.
pub struct Ratios {
    /// The trace.
    pub name: String,
    /// Names and hit ratios.
    pub rows: Vec<(String, [f64; 4])>,
}

/// A trace in a cache that is limited by entries or by bytes.
#[derive(Clone, Copy)]
struct Series<'a> {
    trace: &'a Trace,
    in_bytes: bool,
}

impl Series<'_> {
    fn room(self, percent: f64) -> Room {
        let share = |whole: f64| (whole * percent / 100.0).max(1.0);
        if self.in_bytes {
            Room::Bytes(share(self.trace.bytes() as f64) as u64)
        } else {
            Room::Entries(share(self.trace.unique as f64) as usize)
        }
    }

    /// Who takes part, the optimum first; for bytes it would take too long to find.
    fn names(self, only: Option<&str>) -> Vec<String> {
        let everyone = contestants(self.room(1.0))
            .into_iter()
            .map(|(name, _)| name);
        let wanted = everyone.filter(|name| only.is_none_or(|only| name.contains(only)));
        let optimum = (!self.in_bytes).then(|| OPTIMUM.to_owned());
        optimum.into_iter().chain(wanted).collect()
    }

    fn measure(self, name: &str, percent: f64) -> HitRatios {
        let (trace, room) = (self.trace, self.room(percent));
        if let (OPTIMUM, Room::Entries(entries)) = (name, room) {
            let objects = optimum(&trace.keys, entries);
            return HitRatios {
                objects,
                bytes: f64::NAN,
            };
        }
        let mut everyone = contestants(room).into_iter();
        let (_, make) = everyone
            .find(|(other, _)| other == name)
            .expect("it takes part");
        replay(&trace.keys, trace.sizes.as_deref(), make())
    }
}

/// Replays all traces, prints the tables and draws the pictures.
pub fn run(traces: &[Trace], only: Option<&str>, out: &Path) -> Result<(), String> {
    let by_entries = traces.iter().map(|trace| Series {
        trace,
        in_bytes: false,
    });
    let sized = traces.iter().filter(|trace| trace.sizes.is_some());
    let by_bytes = sized.map(|trace| Series {
        trace,
        in_bytes: true,
    });
    let all: Vec<Series> = by_entries.chain(by_bytes).collect();
    let names: Vec<Vec<String>> = all.iter().map(|series| series.names(only)).collect();
    if names
        .iter()
        .any(|names| names.iter().all(|name| name == OPTIMUM))
    {
        return Err("there is no cache of this name".to_owned());
    }
    let measured = measure(&all, &names);
    fs::create_dir_all(out).map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    let mut by_entries = Vec::new();
    for ((series, names), measured) in all.iter().zip(&names).zip(&measured) {
        let rows = |ratio: fn(&HitRatios) -> f64| {
            let points = measured
                .iter()
                .map(|row| std::array::from_fn(|size| ratio(&row[size])));
            names.iter().cloned().zip(points).collect()
        };
        let trace = series.trace;
        let publish = |name: String, title: &str, rows| {
            let ratios = Ratios { name, rows };
            print_trace(&ratios, *series, title);
            let file = out.join(format!("{}.svg", ratios.name));
            fs::write(&file, picture::draw(&ratios))
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            Ok::<_, String>(ratios)
        };
        if series.in_bytes {
            publish(
                format!("{}-objects", trace.name),
                "limited by bytes, objects",
                rows(|ratio| ratio.objects),
            )?;
            publish(
                format!("{}-bytes", trace.name),
                "limited by bytes, bytes",
                rows(|ratio| ratio.bytes),
            )?;
        } else {
            by_entries.push(publish(
                trace.name.clone(),
                "limited by entries",
                rows(|ratio| ratio.objects),
            )?);
        }
    }
    summarize(&by_entries);
    println!("\nPictures: {}", out.display());
    Ok(())
}

/// Measures everybody in every series at every size, on two threads.
fn measure(all: &[Series], names: &[Vec<String>]) -> Vec<Vec<[HitRatios; 4]>> {
    let nothing = HitRatios {
        objects: f64::NAN,
        bytes: f64::NAN,
    };
    let empty = names.iter().map(|names| vec![[nothing; 4]; names.len()]);
    let measured = Mutex::new(empty.collect::<Vec<_>>());
    let jobs: Vec<(usize, usize, usize)> = names
        .iter()
        .enumerate()
        .flat_map(|(series, names)| (0..names.len()).map(move |name| (series, name)))
        .flat_map(|(series, name)| (0..SIZES.len()).map(move |size| (series, name, size)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let work = || {
            while let Some((series, name, size)) = jobs.get(next.fetch_add(1, Relaxed)).copied() {
                let ratios = all[series].measure(&names[series][name], SIZES[size]);
                measured.lock().expect("nobody panics with it")[series][name][size] = ratios;
                let done = done.fetch_add(1, Relaxed) + 1;
                let name = &all[series].trace.name;
                progress::show(&format!("{done} of {}: {name}", jobs.len()));
            }
        };
        scope.spawn(work);
        scope.spawn(work);
    });
    progress::clear();
    measured.into_inner().expect("nobody panicked with it")
}

fn print_trace(ratios: &Ratios, series: Series, title: &str) {
    let trace = series.trace;
    let sizes = SIZES.map(|percent| match series.room(percent) {
        Room::Entries(entries) => format!("{percent} % ({entries})"),
        Room::Bytes(bytes) => format!("{percent} % ({} KiB)", bytes / 1024),
    });
    let mut head = vec!["cache"];
    head.extend(sizes.iter().map(String::as_str));
    let rows = ratios.rows.iter().map(|(name, points)| {
        let points = points.iter().map(|ratio| format!("{ratio:.4}"));
        std::iter::once(name.clone()).chain(points).collect()
    });
    let title = format!(
        "{}: {} requests, {} keys; {title}",
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
