//! `cargo xtask fuzz`: builds the fuzz targets with libFuzzer's instruments, and runs one.
//!
//! The flags are what the stable compiler has: counters on the edges of the control
//! flow, and the operands of comparisons. Sanitizers need another compiler and would
//! find little here, since there is no unsafe code.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::cargo;
use crate::workspace::Workspace;

/// Where the targets live: a workspace of its own, compiled in its own way.
pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

/// What can be fuzzed.
pub(crate) const TARGETS: [&str; 2] = ["engine", "stored"];

const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

const TARGET_DIR: &str = "target/fuzz";

pub(crate) const HELP: &str = "\
Feeds a part of Larder with bytes that libFuzzer thinks up, and looks for panics.

Usage: cargo xtask fuzz [TARGET] [--seconds N]

  TARGET         engine: operations on a cache, compared with a naive model;
                 stored: bytes that a store gives back;
                 all of them, one after the other, without this
  --seconds N    how long each; 60 without this

What was learned stays in target/fuzz/corpus and is used the next time. An input that
fails is kept in target/fuzz/failures; its name is printed, and
`target/fuzz/*/release/TARGET FILE` runs it alone.";

/// Builds all targets and runs those that are asked for.
pub(crate) fn run(words: &[String]) -> Result<bool, String> {
    let (mut targets, mut seconds) = (Vec::new(), 60);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|number| number.parse().ok());
            seconds = number
                .filter(|seconds| *seconds > 0)
                .ok_or("--seconds wants a number from 1 on")?;
        } else {
            let target = TARGETS.into_iter().find(|target| target == word);
            targets.push(target.ok_or(format!(
                "there is no target {word}; there are {}",
                TARGETS.join(", ")
            ))?);
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    let root = Workspace::load()?.root;
    fuzz(&root, &targets, seconds)
}

/// Fuzzes each target for some seconds; whether none failed.
pub(crate) fn fuzz(root: &Path, targets: &[&str], seconds: u32) -> Result<bool, String> {
    let host = host()?;
    let place = ["--manifest-path", MANIFEST, "--target-dir", TARGET_DIR];
    // With a target named, the flags are not used for what runs during the build.
    let build = [
        "build",
        "--release",
        "--locked",
        "--bins",
        "--target",
        &host,
    ];
    if !cargo(
        root,
        &[&build[..], &place].concat(),
        &[("RUSTFLAGS", FLAGS)],
    )
    .0
    {
        return Ok(false);
    }
    let mut passed = true;
    for target in targets {
        passed &= fuzz_one(root, &host, target, seconds)?;
    }
    Ok(passed)
}

fn fuzz_one(root: &Path, host: &str, target: &str, seconds: u32) -> Result<bool, String> {
    let dir = root.join(TARGET_DIR);
    let (corpus, failures) = (dir.join("corpus").join(target), dir.join("failures"));
    for dir in [&corpus, &failures] {
        fs::create_dir_all(dir)
            .map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    }
    println!("fuzzing {target} for {seconds} s");
    let program = dir.join(host).join("release").join(target);
    let status = Command::new(&program)
        .arg(&corpus)
        .arg(format!("-artifact_prefix={}/", failures.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args([
            "-max_len=2048",
            "-len_control=10",
            "-timeout=10",
            "-rss_limit_mb=1024",
        ])
        .args(["-print_final_stats=1", "-print_funcs=0", "-verbosity=0"])
        .current_dir(root)
        .status()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    if !status.success() {
        println!("{target} failed; the input is in {}", failures.display());
    }
    Ok(status.success())
}

/// What the compiler calls this kind of machine.
fn host() -> Result<String, String> {
    let output = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .output();
    let output = output.map_err(|error| format!("cannot ask rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_words_are_named_with_what_there_is() {
        let error = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            run(&words).unwrap_err()
        };
        assert!(error(&["nonsense"]).contains("engine"));
        assert!(error(&["--seconds", "0"]).contains("from 1 on"));
    }

    #[test]
    fn every_target_has_a_program() {
        let manifest = Workspace::load().unwrap().root.join(MANIFEST);
        let manifest = fs::read_to_string(manifest).unwrap();
        for target in TARGETS {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
        }
    }
}
