//! `cargo xtask test`: the steps, in order, all of them even if one fails.

use std::time::{Duration, Instant};

use crate::bench::{MANIFEST, in_benches};
use crate::command::{Tally, answers, cargo};
use crate::features;
use crate::fuzz;
use crate::servers;
use crate::summary::{Outcome, Summary};
use crate::tidy;
use crate::workspace::Workspace;

/// The version of cargo-deny that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

pub(crate) const HELP: &str = "\
Everything that has to hold, in one command. Brings what is missing first: on a
fresh machine it installs cargo-deny, which takes some minutes, once, and the
servers that tests start privately, with apt-get as root.

Usage: cargo xtask test [--only STEP,…] [--skip STEP,…] [--list]

  --only STEP,…  run these steps only
  --skip STEP,…  run all steps but these
  --list         print the steps and what they do

A failing step does not stop the others. Exit code 1 if one failed.";

/// One thing that has to hold.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Workspace) -> (bool, Tally),
}

const STEPS: [Step; 12] = [
    Step {
        name: "tidy",
        what: "the rules for source files",
        run: |workspace| (tidy::report(workspace), Tally::default()),
    },
    Step {
        name: "format",
        what: "rustfmt has nothing to change",
        run: format,
    },
    Step {
        name: "clippy",
        what: "lints, with warnings as errors",
        run: clippy,
    },
    Step {
        name: "servers",
        what: "the servers that tests start are there, or can be installed",
        run: servers::bring,
    },
    Step {
        name: "tests",
        what: "unit tests, integration tests and the behaviour suite",
        run: |workspace| {
            let what = ["--lib", "--bins", "--tests"];
            tests(workspace, &what)
        },
    },
    Step {
        name: "doctests",
        what: "every example in the documentation",
        run: |workspace| tests(workspace, &["--doc"]),
    },
    Step {
        name: "examples",
        what: "every example program runs and its assertions hold",
        run: examples,
    },
    Step {
        name: "docs",
        what: "the documentation builds without warnings",
        run: docs,
    },
    Step {
        name: "features",
        what: "every library builds with no feature and with each one alone",
        run: every_feature,
    },
    Step {
        name: "benches",
        what: "the comparisons with the peers build, and their tests pass",
        run: benches,
    },
    Step {
        name: "fuzz",
        what: "a fuzzer finds nothing in half a minute",
        run: fuzz_briefly,
    },
    Step {
        name: "licences",
        what: "licences, bans and sources of what we depend on",
        run: licences,
    },
];

/// Runs the steps that the arguments ask for.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let mut wanted: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => {
                for step in &STEPS {
                    println!("{:<10} {}", step.name, step.what);
                }
                return Ok(true);
            }
            option @ ("--only" | "--skip") => {
                let named = names(option, arguments.next())?;
                let keep = option == "--only";
                wanted.retain(|step| named.contains(step) == keep);
            }
            other => {
                return Err(format!(
                    "unknown option {other}; see cargo xtask test --help"
                ));
            }
        }
    }
    let workspace = Workspace::load()?;
    Ok(run_steps(&workspace, &wanted))
}

/// The steps in a comma list.
fn names<'a>(option: &str, list: Option<&'a String>) -> Result<Vec<&'a str>, String> {
    let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    let list = list.ok_or_else(|| format!("{option} needs steps: {}", known.join(", ")))?;
    let named: Vec<&str> = list.split(',').collect();
    match named.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("no step {name}; there are {}", known.join(", "))),
        None => Ok(named),
    }
}

fn run_steps(workspace: &Workspace, wanted: &[&str]) -> bool {
    let (mut summary, mut tally) = (Summary::default(), Tally::default());
    for step in &STEPS {
        if !wanted.contains(&step.name) {
            summary.add(step.name, Outcome::Skipped, Duration::ZERO);
            continue;
        }
        println!("\n== {}: {}", step.name, step.what);
        let stopwatch = stopwatch();
        let (passed, tests) = (step.run)(workspace);
        tally.add(tests);
        let outcome = if passed {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        let time = stopwatch.elapsed();
        println!(
            "-- {}: {outcome:?} in {:.1} s",
            step.name,
            time.as_secs_f64()
        );
        summary.add(step.name, outcome, time);
    }
    println!("\n{summary}\n");
    println!("{} passed, {} failed", tally.passed, tally.failed);
    summary.all_passed()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time a step takes is real time"
)]
fn stopwatch() -> Instant {
    Instant::now()
}

fn format(workspace: &Workspace) -> (bool, Tally) {
    if !has_component("fmt", "rustfmt") {
        return (false, Tally::default());
    }
    let formatted = cargo(&workspace.root, &["fmt", "--all", "--check"], &[]);
    let apart = [MANIFEST, fuzz::MANIFEST].map(|manifest| {
        let place = ["fmt", "--check", "--manifest-path", manifest];
        cargo(&workspace.root, &place, &[]).0
    });
    (formatted.0 && apart == [true; 2], Tally::default())
}

/// Whether a part of the toolchain is there; if not, says how to get it.
fn has_component(command: &str, component: &str) -> bool {
    let is_there = answers("cargo", &[command, "--version"]);
    if !is_there {
        println!("{component} is missing; get it with: rustup component add {component}");
    }
    is_there
}

fn clippy(workspace: &Workspace) -> (bool, Tally) {
    if !has_component("clippy", "clippy") {
        return (false, Tally::default());
    }
    let all = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
    ];
    let arguments = [&all[..], &["--", "-D", "warnings"]].concat();
    cargo(&workspace.root, &arguments, &[])
}

fn tests(workspace: &Workspace, what: &[&str]) -> (bool, Tally) {
    let all = [
        "test",
        "--workspace",
        "--all-features",
        "--locked",
        "--no-fail-fast",
    ];
    cargo(&workspace.root, &[&all[..], what].concat(), &[])
}

fn examples(workspace: &Workspace) -> (bool, Tally) {
    let mut passed = true;
    for package in &workspace.packages {
        for example in &package.examples {
            let arguments = ["run", "--locked", "-p", &package.name, "--example", example];
            passed &= cargo(&workspace.root, &arguments, &[]).0;
        }
    }
    (passed, Tally::default())
}

fn docs(workspace: &Workspace) -> (bool, Tally) {
    let arguments = [
        "doc",
        "--workspace",
        "--no-deps",
        "--all-features",
        "--locked",
    ];
    cargo(
        &workspace.root,
        &arguments,
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

fn every_feature(workspace: &Workspace) -> (bool, Tally) {
    let mut passed = true;
    for package in workspace
        .packages
        .iter()
        .filter(|package| package.is_library)
    {
        let bare = [
            "check",
            "--locked",
            "-p",
            &package.name,
            "--no-default-features",
        ];
        passed &= cargo(&workspace.root, &bare, &[]).0;
        for feature in features::distinct(&package.features) {
            let alone = [&bare[..], &["--features", feature]].concat();
            passed &= cargo(&workspace.root, &alone, &[]).0;
        }
    }
    (passed, Tally::default())
}

fn benches(workspace: &Workspace) -> (bool, Tally) {
    let lints = ["-D", "warnings"];
    let passed = in_benches(
        &workspace.root,
        &["clippy", "--workspace", "--all-targets"],
        &lints,
    )
    .0;
    let (tested, tally) = in_benches(&workspace.root, &["test", "--workspace"], &[]);
    (passed && tested, tally)
}

fn fuzz_briefly(workspace: &Workspace) -> (bool, Tally) {
    let seconds = 30 / u32::try_from(fuzz::TARGETS.len()).unwrap_or(30);
    let lints = ["clippy", "--manifest-path", fuzz::MANIFEST, "--locked"];
    let place = ["--target-dir", "target/fuzz", "--", "-D", "warnings"];
    let passed = cargo(&workspace.root, &[&lints[..], &place].concat(), &[]).0;
    let fuzzed = fuzz::fuzz(&workspace.root, &fuzz::TARGETS, seconds.max(1));
    let fuzzed = fuzzed.unwrap_or_else(|message| {
        println!("{message}");
        false
    });
    (passed && fuzzed, Tally::default())
}

fn licences(workspace: &Workspace) -> (bool, Tally) {
    if !answers("cargo", &["deny", "--version"]) {
        println!("cargo-deny is missing; building it takes some minutes, once");
        let install = ["install", "cargo-deny", "--locked", "--version", CARGO_DENY];
        if !cargo(&workspace.root, &install, &[]).0 {
            return (false, Tally::default());
        }
    }
    let check = [
        "deny",
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ];
    cargo(&workspace.root, &check, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_step_is_named_with_those_there_are() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let error = run(&words("--only tidy,nonsense")).unwrap_err();
        assert!(
            error.contains("nonsense") && error.contains("licences"),
            "{error}"
        );
        assert!(run(&words("--skip")).unwrap_err().contains("needs steps"));
        assert!(run(&words("--fast")).unwrap_err().contains("--help"));
    }
}
