//! `cargo xtask bench`: builds the comparisons with the peers, and runs them.

use crate::command::{Tally, cargo};
use crate::workspace::Workspace;
use std::path::Path;

/// Where the comparisons live: a workspace of its own, so that the peers weigh on
/// nobody's build.
pub(crate) const MANIFEST: &str = "benches/Cargo.toml";

/// Builds and runs; what the words mean, the comparisons know themselves.
pub(crate) fn run(words: &[String]) -> Result<bool, String> {
    let root = Workspace::load()?.root;
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    // The backends are apart: their clients take long to build.
    let (package, program) = match words.first() {
        Some(&"backends") => {
            words.remove(0);
            ("larder-bench-backends", "backends")
        }
        _ => ("larder-benches", "compare"),
    };
    let build = ["build", "--release", "--bins", "--package", package];
    if !in_benches(&root, &build, &[]).0 {
        return Ok(false);
    }
    let start = ["run", "--release", "--quiet", "--bin", program];
    Ok(in_benches(&root, &start, &words).0)
}

/// Runs cargo on the workspace of the comparisons.
pub(crate) fn in_benches(root: &Path, command: &[&str], words: &[&str]) -> (bool, Tally) {
    let place = ["--locked", "--manifest-path", MANIFEST];
    let place = [&place[..], &["--target-dir", "target/benches"]].concat();
    let mut arguments = [command, &place].concat();
    if !words.is_empty() {
        arguments.push("--");
        arguments.extend(words);
    }
    cargo(root, &arguments, &[])
}
