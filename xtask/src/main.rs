//! The tasks of this workspace, run as `cargo xtask`.
//!
//! - `test` is the one test command: everything that has to hold.
//! - `tidy` is the part of it that reads source files only.
//! - `requirements` tells which requirements have a test.
//! - `bench` compares with the peers.
//! - `fuzz` feeds it with bytes that a fuzzer thinks up.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "telling people what happens is what it is for"
)]

mod bench;
mod command;
mod features;
mod fuzz;
mod requirements;
mod servers;
mod steps;
mod summary;
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
The tasks of this workspace.

Usage: cargo xtask COMMAND [OPTIONS]

Commands:
  test          everything that has to hold; brings what is missing first
  tidy          the rules for source files only, in a second
  requirements  which requirements have a test, and which not yet
  bench         comparisons with the peers; builds them first
  fuzz          looks for inputs that break a promise; builds the fuzzer first
  help          this text

`cargo xtask COMMAND --help` tells more.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", arguments.as_slice()),
    };
    let wants_help = rest.iter().any(|word| word == "--help" || word == "-h");
    let outcome = match command {
        "test" if wants_help => Ok(say(steps::HELP)),
        "tidy" if wants_help => Ok(say(tidy::HELP)),
        "requirements" if wants_help => Ok(say(requirements::HELP)),
        "fuzz" if wants_help => Ok(say(fuzz::HELP)),
        "test" => steps::run(rest),
        "tidy" => tidy::run(rest),
        "requirements" => requirements::run(rest),
        "bench" => bench::run(rest),
        "fuzz" => fuzz::run(rest),
        "help" | "--help" | "-h" => Ok(say(HELP)),
        other => Err(format!(
            "there is no command {other}; there are test, tidy, requirements, bench, fuzz and help"
        )),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(usage) => {
            eprintln!("xtask: {usage}");
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) -> bool {
    println!("{text}");
    true
}
