//! Runs the comparisons; started by `cargo xtask bench`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use larder_benches::{hit_ratio, latency, speed, traces};

const HELP: &str = "\
Compares the engine with its peers, all in one run and interleaved; and the backends
with the clients that they are made of.

Usage: cargo xtask bench engine [OPTIONS]
       cargo xtask bench hit-ratio [OPTIONS]
       cargo xtask bench backends [OPTIONS], see cargo xtask bench backends --help

engine: processor time per operation, latency, memory, and how fast it comes back
  --only NAME    read-only, read-through, write-heavy, latency, memory or expiry
  --rounds N     rounds in which everyone takes part once; 5 without this
  --quick        fewer operations and rounds, to see whether it works

hit-ratio: replays traces at room for 0.1, 1, 5 and 20 % of their keys
  --traces DIR   where NAME.u64.zst are (zstd over little-endian 64-bit ids);
                 ../shared/traces without this, made ones if it is not there
  --trace NAME   only those whose name contains this
  --cache NAME   only those whose name contains this
  --out DIR      where the pictures go; target/hit-ratio without this";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    match words.next().as_deref() {
        Some("engine") => run_engine(words),
        Some("hit-ratio") => run_hit_ratio(words),
        Some("--help" | "-h" | "help") | None => {
            println!("{HELP}");
            Ok(())
        }
        Some(other) => Err(format!(
            "there is no bench {other}; there are engine, hit-ratio and backends"
        )),
    }
}

fn no_such_option(option: &str) -> String {
    format!("there is no option {option}; --help tells which there are")
}

fn run_engine(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let mut effort = speed::Effort {
        rounds: 5,
        operations: 2_000_000,
    };
    let (mut only, mut slices) = (None, 50);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => (effort.rounds, effort.operations, slices) = (1, 200_000, 5),
            "--rounds" => {
                let rounds = words.next().and_then(|rounds| rounds.parse().ok());
                effort.rounds = rounds
                    .filter(|rounds| *rounds > 0)
                    .ok_or("--rounds wants a number from 1 on")?;
            }
            "--only" => only = Some(words.next().ok_or("--only wants a name")?),
            other => return Err(no_such_option(other)),
        }
    }
    let parts = [
        "read-only",
        "read-through",
        "write-heavy",
        "latency",
        "memory",
        "expiry",
    ];
    if let Some(only) = only.as_deref().filter(|only| !parts.contains(only)) {
        return Err(format!(
            "there is no {only}; there are {}",
            parts.join(", ")
        ));
    }
    for part in parts {
        if only.as_deref().is_some_and(|only| only != part) {
            continue;
        }
        match part {
            "read-only" => {
                speed::read_only::<u64>(effort);
                speed::read_only::<String>(effort);
            }
            "read-through" => {
                speed::read_through::<u64>(effort);
                speed::read_through::<String>(effort);
            }
            "write-heavy" => {
                speed::write_heavy::<u64>(effort);
                speed::write_heavy::<String>(effort);
            }
            "memory" | "expiry" => weigh(part, slices < 50)?,
            _ => {
                latency::churn(100_000, 1, slices);
                latency::churn(100_000, 2, slices);
                latency::churn(1_000_000, 1, slices);
            }
        }
    }
    Ok(())
}

/// Runs the program beside this one whose allocator counts.
fn weigh(part: &str, quick: bool) -> Result<(), String> {
    let mut program = std::env::current_exe().map_err(|error| error.to_string())?;
    program.set_file_name("weigh");
    let entries = if quick { "100000" } else { "1000000" };
    let status = Command::new(&program).args([part, entries]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{} failed: {status}", program.display())),
        Err(error) => Err(format!("cannot start {}: {error}", program.display())),
    }
}

fn run_hit_ratio(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let mut folder = PathBuf::from("../shared/traces");
    let mut out = PathBuf::from("target/hit-ratio");
    let (mut only, mut cache) = (None, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--traces" => folder = value()?.into(),
            "--trace" => only = Some(value()?),
            "--cache" => cache = Some(value()?),
            "--out" => out = value()?.into(),
            other => return Err(no_such_option(other)),
        }
    }
    let traces = traces::load(&folder, only.as_deref())?;
    if traces.is_empty() {
        return Err(format!("there is no such trace in {}", folder.display()));
    }
    hit_ratio::run(&traces, cache.as_deref(), &out)
}
