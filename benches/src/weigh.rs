//! Memory over the payload, and how soon that of expired entries is back.
//!
//! A program of its own, because its allocator counts; and each cache is measured in a
//! process of its own, because some free memory later.

use std::alloc::System;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder_benches::contestants::{BOUND, Entrant, everyone, everyone_with_lifetimes};
use larder_benches::progress;
use larder_benches::table;
use larder_benches::work::Key;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Long enough that nothing expires while it is weighed.
const HOUR: Duration = Duration::from_secs(3_600);
/// The entries that are to expire are all stored before this has passed.
const LIFETIME: Duration = Duration::from_secs(5);
/// After so long one need not wait for memory any more.
const PATIENCE: Duration = Duration::from_secs(10);

type Inline = [u8; 16];

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| {
        word.parse::<usize>()
            .map_err(|_| format!("{word} is no number"))
    };
    match words[..] {
        ["memory", entries] => memory(number(entries)?),
        ["expiry", entries] => expiry(number(entries)?),
        ["weigh", kind, at, entries] => {
            let (at, entries) = (number(at)?, number(entries)?);
            match kind {
                "inline" => weigh(&all::<Inline>()[at], entries),
                _ => weigh(&all::<String>()[at], entries),
            }
            Ok(())
        }
        ["expire", at, entries] => {
            let end = now() + LIFETIME;
            let all = everyone_with_lifetimes::<Inline>(end);
            watch_expiry(&all[number(at)?], number(entries)?, end);
            Ok(())
        }
        _ => Err("usage: weigh memory|expiry ENTRIES".to_owned()),
    }
}

/// Everyone, and those with lifetimes once more with lifetimes.
fn all<K: Key>() -> Vec<Entrant<K>> {
    let mut all = everyone::<K>();
    all.retain(|entrant| entrant.name != BOUND);
    let with_lifetimes = everyone_with_lifetimes::<K>(now() + HOUR);
    all.extend(with_lifetimes.into_iter().map(|entrant| Entrant {
        name: format!("{}, with a TTL each", entrant.name),
        ..entrant
    }));
    all
}

fn memory(entries: usize) -> Result<(), String> {
    let inline = names::<Inline>();
    print_memory::<Inline>("16-byte keys and 64-byte values inline", &inline, entries)?;
    let strings = names::<String>();
    print_memory::<String>("String keys, values of 100 shared bytes", &strings, entries)
}

fn names<K: Key>() -> Vec<String> {
    all::<K>().into_iter().map(|entrant| entrant.name).collect()
}

fn print_memory<K: Key>(what: &str, names: &[String], entries: usize) -> Result<(), String> {
    let mut rows = Vec::new();
    for (at, name) in names.iter().enumerate() {
        progress::show(&format!("weighing {name}"));
        let row = in_a_process(&["weigh", K::NAME, &at.to_string(), &entries.to_string()])?;
        rows.push([vec![name.clone()], row].concat());
    }
    progress::clear();
    let title = format!("bytes per entry over the payload, room for {entries}: {what}");
    let head = [
        "cache",
        "filled",
        "after churn",
        "resident, filled",
        "after churn",
        "entries",
    ];
    table::print(&title, &head, &rows);
    Ok(())
}

/// Runs this program once more and splits what it prints at bars.
fn in_a_process(words: &[&str]) -> Result<Vec<String>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(words)
        .output()
        .map_err(|error| format!("cannot start itself: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    Ok(printed.trim().split('|').map(str::to_owned).collect())
}

/// Bytes that were asked for and not given back.
fn live_bytes() -> f64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

/// Bytes of memory that the process really has.
fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(f64::NAN) * 4_096.0
}

/// Prints what one cache takes when it is full, and after three times as many entries
/// have come and gone.
fn weigh<K: Key>(entrant: &Entrant<K>, entries: usize) {
    let (live, resident) = (live_bytes(), resident_bytes());
    let course = (entrant.make)(entries);
    let mut cells = [const { String::new() }; 5];
    for (stage, numbers) in [(0, 0..entries), (1, entries..4 * entries)] {
        for number in numbers.clone() {
            course.churn(K::of(number as u64), &K::of(number as u64 / 2));
        }
        let (live, resident) = (live_bytes() - live, resident_bytes() - resident);
        let mut held = 0;
        for number in 0..numbers.end {
            held += course.read(&[K::of(number as u64)], &[0]);
        }
        let over = |bytes: f64| format!("{:.1}", bytes / held as f64 - K::PAYLOAD as f64);
        cells[stage] = over(live);
        cells[2 + stage] = over(resident);
        cells[4] = held.to_string();
    }
    println!("{}", cells.join("|"));
}

fn expiry(entries: usize) -> Result<(), String> {
    let mut rows = Vec::new();
    let all = everyone_with_lifetimes::<Inline>(now());
    for (at, entrant) in all.iter().enumerate() {
        progress::show(&format!("waiting for {}", entrant.name));
        let row = in_a_process(&["expire", &at.to_string(), &entries.to_string()])?;
        rows.push([vec![entrant.name.clone()], row].concat());
    }
    progress::clear();
    let title = format!("{entries} entries expire untouched while others are used");
    let head = [
        "cache",
        "memory back after the deadline",
        "longest operation",
        "longest nothing beside it",
    ];
    table::print(&title, &head, &rows);
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "real time is what is measured here"
)]
fn now() -> Instant {
    Instant::now()
}

/// Prints when the memory of expired entries is back, and how long single operations
/// took meanwhile.
fn watch_expiry(entrant: &Entrant<Inline>, entries: usize, due: Instant) {
    let empty = live_bytes();
    let course = (entrant.make)(2 * entries);
    for number in 0..entries as u64 {
        course.churn(Inline::of(number), &Inline::of(number));
    }
    let full = live_bytes();
    assert!(now() < due, "it took too long to store them");
    let is_over = AtomicBool::new(false);
    let mut longest = [Duration::ZERO; 2];
    let back = std::thread::scope(|scope| {
        // Reads and writes of a few other keys, and as a floor of what the machine
        // does by itself, nothing at all.
        scope.spawn(|| {
            let mut number = u64::MAX;
            while !is_over.load(Relaxed) {
                number -= 1;
                let key = Inline::of(u64::MAX - number % 1_000);
                let start = now();
                course.churn(key, &key);
                let between = now();
                longest[0] = longest[0].max(between - start);
                longest[1] = longest[1].max(between.elapsed());
            }
        });
        let back = loop {
            let is_back = live_bytes() - empty < (full - empty) / 50.0;
            if is_back || now() > due + PATIENCE {
                break is_back.then(|| now().saturating_duration_since(due));
            }
            std::thread::park_timeout(Duration::from_millis(1));
        };
        is_over.store(true, Relaxed);
        back
    });
    let back = back.map_or(format!("not within {PATIENCE:?}"), |back| {
        format!("{back:.0?}")
    });
    println!("{back}|{:.0?}|{:.0?}", longest[0], longest[1]);
}
