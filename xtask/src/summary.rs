//! What became of each step, as one table at the end.

use std::fmt;
use std::time::Duration;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// All steps with their outcome and time.
#[derive(Debug, Default)]
pub(crate) struct Summary(Vec<(&'static str, Outcome, Duration)>);

impl Summary {
    pub(crate) fn add(&mut self, step: &'static str, outcome: Outcome, time: Duration) {
        self.0.push((step, outcome, time));
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.0
            .iter()
            .all(|(_, outcome, _)| *outcome != Outcome::Failed)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14} {:<8} {:>8}", "step", "outcome", "seconds")?;
        for (step, outcome, time) in &self.0 {
            let outcome = match outcome {
                Outcome::Passed => "ok",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            writeln!(f, "{step:<14} {outcome:<8} {:>8.1}", time.as_secs_f64())?;
        }
        let total: Duration = self.0.iter().map(|(_, _, time)| *time).sum();
        write!(f, "{:<14} {:<8} {:>8.1}", "total", "", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole_and_a_skipped_one_does_not() {
        let mut summary = Summary::default();
        summary.add("tidy", Outcome::Passed, Duration::from_millis(1_500));
        summary.add("docs", Outcome::Skipped, Duration::ZERO);
        assert!(summary.all_passed());
        summary.add("tests", Outcome::Failed, Duration::from_secs(2));
        assert!(!summary.all_passed());
        let text = summary.to_string();
        assert!(text.contains("tests          FAILED        2.0"), "{text}");
        assert!(text.ends_with("3.5"), "{text}");
    }
}
