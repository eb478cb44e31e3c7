//! Running another program: shown, streamed, and judged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Tests that ran, as test harnesses count them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Reads a line like `test result: ok. 3 passed; 0 failed; …`.
    fn of_line(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix("test result: ")?;
        let count = |word: &str| {
            let before = counts.split(word).next()?.trim_end();
            before.rsplit(' ').next()?.parse().ok()
        };
        Some(Self {
            passed: count(" passed")?,
            failed: count(" failed")?,
        })
    }
}

/// Runs cargo with `arguments`, passes its output on, and counts tests in it.
pub(crate) fn cargo(
    root: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (bool, Tally) {
    println!("$ cargo {}", arguments.join(" "));
    let mut tally = Tally::default();
    let child = Command::new("cargo")
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            println!("cannot start cargo: {error}");
            return (false, tally);
        }
    };
    let output = child.stdout.take().expect("it was asked to be piped");
    // Split as bytes: a line that is no UTF-8 must not end the reading, because
    // the child would then die of a closed pipe.
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.add(Tally::of_line(&line).unwrap_or_default());
    }
    let succeeded = child.wait().is_ok_and(|status| status.success());
    (succeeded, tally)
}

/// Whether a program answers, for finding out what is missing.
pub(crate) fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_off_the_harness_line() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        let expected = Tally {
            passed: 12,
            failed: 3,
        };
        assert_eq!(Tally::of_line(line), Some(expected));
        assert_eq!(Tally::of_line("running 3 tests"), None);
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_does_not_answer() {
        assert!(answers("cargo", &["--version"]));
        assert!(!answers("cargo", &["no-such-command"]));
        assert!(!answers("no-such-program", &[]));
    }
}
