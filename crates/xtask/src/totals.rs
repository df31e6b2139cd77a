//! Counting tests by the closing lines of their runners.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ran, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Tests that ran and succeeded.
    pub(crate) passed: u64,
    /// Tests that ran and did not succeed.
    pub(crate) failed: u64,
    /// Tests that did not run, or said that what they need is missing.
    pub(crate) skipped: u64,
}

impl Totals {
    /// One check that succeeded.
    pub(crate) const ONE_PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
}

/// Adds up what the lines of a runner's output say.
#[derive(Default)]
pub(crate) struct Counter {
    totals: Totals,
    /// Tests of the binary that is running that said `skipped: REASON`.
    self_skipped: u64,
    /// Whether what comes is the output of tests that succeeded.
    in_successes: bool,
}

impl Counter {
    /// Takes one line of output, whether it counts or not, and says whether it is worth showing:
    /// what successful Rust tests print is not, but for their reasons to skip.
    ///
    /// Understood are the closing lines of `cargo test` and of Node's test runner, and the line
    /// `skipped: REASON` of a Rust test whose data are missing: the harness has no notion of a
    /// test that skips itself, and counts it as passed.
    pub(crate) fn read_line(&mut self, line: &str) -> bool {
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            let self_skipped = std::mem::take(&mut self.self_skipped);
            self.totals.passed += count_before(rest, " passed").saturating_sub(self_skipped);
            self.totals.failed += count_before(rest, " failed");
            self.totals.skipped += count_before(rest, " ignored") + self_skipped;
        } else if line.starts_with("skipped: ") {
            self.self_skipped += 1;
            return true;
        } else if let Some(rest) = line.strip_prefix("# ").or(line.strip_prefix("ℹ ")) {
            self.totals.passed += count_after(rest, "pass ");
            self.totals.failed += count_after(rest, "fail ");
            self.totals.skipped += count_after(rest, "skipped ");
        }
        !self.in_successes
    }

    /// The sum so far.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(
            formatter,
            "{passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

/// The number that ends where `unit` begins: 12 in "ok. 12 passed; …".
fn count_before(text: &str, unit: &str) -> u64 {
    let number = text
        .split(unit)
        .next()
        .filter(|before| before.len() < text.len());
    number
        .and_then(|before| before.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// The number that is all that follows `label`: 5 in "pass 5".
fn count_after(text: &str, label: &str) -> u64 {
    text.strip_prefix(label)
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Totals {
        let mut counter = Counter::default();
        for line in lines {
            counter.read_line(line);
        }
        counter.totals()
    }

    #[test]
    fn cargo_tests_are_counted_over_several_binaries() {
        let totals = read(&[
            "running 12 tests",
            "test result: ok. 11 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        assert_eq!(
            totals,
            Totals {
                passed: 14,
                failed: 2,
                skipped: 1
            }
        );
    }

    #[test]
    fn node_tests_are_counted_in_both_of_its_reporters() {
        let expected = Totals {
            passed: 5,
            failed: 1,
            skipped: 2,
        };
        assert_eq!(read(&["# pass 5", "# fail 1", "# skipped 2"]), expected);
        assert_eq!(read(&["ℹ pass 5", "ℹ fail 1", "ℹ skipped 2"]), expected);
    }

    #[test]
    fn a_test_that_skips_itself_is_not_counted_as_passed() {
        let totals = read(&[
            "skipped: the shared data are missing",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        assert_eq!(
            totals,
            Totals {
                passed: 3,
                failed: 0,
                skipped: 1
            }
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(
            read(&["test a ... ok", "# Subtest: pass 3", "12 passed over"]),
            Totals::default()
        );
    }

    #[test]
    fn output_of_successful_tests_is_not_shown_but_for_reasons_to_skip() {
        let mut counter = Counter::default();
        let mut shown = |line| counter.read_line(line);
        assert!(shown("test a ... ok"));
        assert!(!shown("successes:"));
        assert!(!shown("chatter"));
        assert!(shown("skipped: the shared data are missing"));
        assert!(shown("failures:"));
        assert!(shown("the assertion's message"));
        assert!(!shown("successes:"));
        assert!(shown("test result: ok. 1 passed; 0 failed; 0 ignored"));
    }
}
