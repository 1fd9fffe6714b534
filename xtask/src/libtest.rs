//! [`Reader`]: counts results from what libtest prints.
//!
//! It reads the output of `cargo test -- --show-output`, line by line: many test binaries and doc
//! tests, one behind the other. libtest prints the captured output of each test in a section of its
//! own, which is how a line is known to belong to a test. A test that prints a line beginning with
//! `not applicable: `, its own name (modules may be left out) and a colon counts as nothing; one that
//! prints `skipped: ` counts as skipped. Both show as passed in libtest's own sum, and are taken off it
//! here. A binary that ends without a sum (it crashed) counts as a failure.

use crate::tally::Tally;

const NOT_APPLICABLE: &str = "not applicable: ";
const SKIPPED: &str = "skipped: ";
const NO_PRIVILEGE: &str = "skipped: no privilege: ";

/// What one test said about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Nothing,
    NotPrivileged,
    Skipped,
    NotApplicable,
}

/// Reads lines, adds up.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    tally: Tally,
    /// Sums read: none at all means that nothing was tested.
    sums: u64,
    /// A `running N tests` whose sum has not come yet.
    running: bool,
    /// The test whose output is being read, and what it said.
    section: Option<(String, Said)>,
    in_successes: bool,
    skipped: u64,
    not_privileged: u64,
    not_applicable: u64,
    /// Tests that skipped themselves for want of a server, over all binaries.
    all_skipped: u64,
    lost: u64,
}

impl Reader {
    /// Takes the next line, without its end; whether it is worth showing. What passed tests printed
    /// is not, except for what is counted here.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if is_running(line) {
            self.close_binary();
            self.running = true;
        } else if let Some(sum) = parse_sum(line) {
            self.close_section();
            self.add(sum);
            self.running = false;
        } else if self.running {
            self.body(line);
        }
        !self.in_successes || line.starts_with(NOT_APPLICABLE) || line.starts_with(SKIPPED)
    }

    fn body(&mut self, line: &str) {
        match line {
            "successes:" => {
                self.close_section();
                self.in_successes = true;
            }
            "failures:" => {
                self.close_section();
                self.in_successes = false;
            }
            _ => {
                if let Some(test) = section_of(line) {
                    self.close_section();
                    self.section = Some((test.to_owned(), Said::Nothing));
                } else if let Some((test, said)) = &mut self.section {
                    *said = said_about(test, line).max(*said);
                }
            }
        }
    }

    /// Only what passed is taken off the sum; a failed test stays failed, whatever it printed.
    fn close_section(&mut self) {
        let said = self.section.take();
        if self.in_successes {
            match said {
                Some((_, Said::Skipped)) => self.skipped += 1,
                Some((_, Said::NotPrivileged)) => self.not_privileged += 1,
                Some((_, Said::NotApplicable)) => self.not_applicable += 1,
                Some((_, Said::Nothing)) | None => {}
            }
        }
    }

    fn add(&mut self, sum: Sum) {
        self.sums += 1;
        let for_servers = self.skipped.min(sum.passed);
        let skipped = for_servers + self.not_privileged.min(sum.passed - for_servers);
        let not_applicable = self.not_applicable.min(sum.passed - skipped);
        self.all_skipped += for_servers;
        self.tally += Tally {
            passed: sum.passed - skipped - not_applicable,
            failed: sum.failed,
            skipped: sum.ignored + skipped,
        };
        self.skipped = 0;
        self.not_privileged = 0;
        self.not_applicable = 0;
        self.in_successes = false;
    }

    fn close_binary(&mut self) {
        if std::mem::take(&mut self.running) {
            self.lost += 1;
        }
        self.section = None;
        self.in_successes = false;
        self.skipped = 0;
        self.not_privileged = 0;
        self.not_applicable = 0;
    }

    /// The results, given whether cargo ended well. A run that failed without a failed test (it did
    /// not compile, a binary crashed) and one that tested nothing count as one failure.
    pub(crate) fn finish(mut self, succeeded: bool, servers_required: bool) -> Tally {
        self.close_binary();
        let mut tally = self.tally;
        tally.failed += self.lost;
        if tally.failed == 0 && (!succeeded || self.sums == 0) {
            tally.failed = 1;
        }
        if servers_required {
            tally = tally.with_skips_failed(self.all_skipped);
        }
        tally
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// `---- module::test stdout ----`.
fn section_of(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// What a line that a test printed says about this test. Tests of the kit that prints such lines
/// print them about others.
fn said_about(test: &str, line: &str) -> Said {
    if line.starts_with(NO_PRIVILEGE) {
        return Said::NotPrivileged;
    }
    if line.starts_with(SKIPPED) {
        return Said::Skipped;
    }
    let named = line
        .strip_prefix(NOT_APPLICABLE)
        .and_then(|rest| rest.split_once(": "))
        .map(|(name, _)| name);
    match named {
        Some(name) if test == name || test.ends_with(&format!("::{name}")) => Said::NotApplicable,
        _ => Said::Nothing,
    }
}

/// `running 3 tests`, `running 1 test`.
fn is_running(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("running ") else {
        return false;
    };
    let mut words = rest.split(' ');
    words.next().is_some_and(|n| n.parse::<u64>().is_ok())
        && matches!(words.next(), Some("test" | "tests"))
        && words.next().is_none()
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
fn parse_sum(line: &str) -> Option<Sum> {
    let counts = line
        .strip_prefix("test result: ok. ")
        .or_else(|| line.strip_prefix("test result: FAILED. "))?;
    let count = |word: &str| {
        counts.split("; ").find_map(|part| {
            let (number, name) = part.split_once(' ')?;
            (name == word).then(|| number.parse::<u64>().ok())?
        })
    };
    Some(Sum {
        passed: count("passed")?,
        failed: count("failed")?,
        ignored: count("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, succeeded: bool, required: bool) -> String {
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.line(line);
        }
        reader.finish(succeeded, required).to_string()
    }

    #[test]
    fn a_missing_privilege_is_no_missing_server() {
        let text = "
running 1 test
test mounts ... ok

successes:

---- mounts stdout ----
skipped: no privilege: mount: permission denied


successes:
    mounts

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        assert_eq!(read(text, true, true), "0 passed, 0 failed, 1 skipped");
        let server = text.replace("no privilege: mount", "no server");
        assert_eq!(read(&server, true, true), "0 passed, 1 failed, 0 skipped");
    }

    const GOOD: &str = "
running 4 tests
test a ... ok
test l10_survives ... ok
test needs_a_server ... ok
test slow ... ignored

successes:

---- l10_survives stdout ----
not applicable: l10_survives: a memory log does not outlive its process
not applicable: l10_survives: said twice

---- needs_a_server stdout ----
skipped: no server at hand

successes:
    a
    l10_survives
    needs_a_server

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

   Doc-tests core

running 2 tests
test core/src/a.rs - a (line 3) ... ok
test core/src/b.rs - b (line 3) ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.30s
";

    #[test]
    fn sums_are_added_and_what_tests_say_is_taken_off() {
        assert_eq!(read(GOOD, true, false), "3 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn what_passed_tests_print_is_shown_only_if_it_counts() {
        let mut reader = Reader::default();
        let shown: Vec<&str> = GOOD.lines().filter(|line| reader.line(line)).collect();
        assert!(shown.contains(&"test a ... ok"));
        assert!(shown.contains(&"skipped: no server at hand"));
        assert!(
            shown
                .iter()
                .any(|line| line.starts_with("not applicable: l10_survives"))
        );
        assert!(
            shown
                .iter()
                .any(|line| line.starts_with("test result: ok. 3 passed"))
        );
        assert!(
            !shown.iter().any(|line| line.starts_with("---- ")),
            "{shown:?}"
        );
    }

    #[test]
    fn required_servers_fail_a_skip_but_not_an_ignored_test() {
        assert_eq!(read(GOOD, true, true), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_failed_test_stays_failed_whatever_it_printed() {
        let text = "
running 2 tests
test a ... FAILED
test b ... ok

successes:

successes:
    b

failures:

---- a stdout ----
not applicable: a: so it said
thread 'a' panicked

failures:
    a

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        assert_eq!(read(text, false, false), "1 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_line_about_another_test_takes_nothing_off() {
        let of_itself = "not applicable: inner::l1_a: for a reason";
        assert_eq!(
            said_about("kit::inner::l1_a", of_itself),
            Said::NotApplicable
        );
        assert_eq!(said_about("inner::l1_a", of_itself), Said::NotApplicable);
        for test in [
            "l1_a",
            "kit::other",
            "kit::inner::xl1_a",
            "kit::thinner::l1_a",
        ] {
            assert_eq!(said_about(test, of_itself), Said::Nothing, "{test}");
        }
        assert_eq!(said_about("t", "not applicable: no name"), Said::Nothing);
    }

    #[test]
    fn a_binary_without_a_sum_is_a_failure() {
        let text = "
running 2 tests
test a ... ok
running 1 test
test b ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
running 9 tests
";
        assert_eq!(read(text, false, false), "1 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn nothing_compiled_and_nothing_tested_are_failures() {
        assert_eq!(read("", false, false), "0 passed, 1 failed, 0 skipped");
        assert_eq!(read("", true, false), "0 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn cargo_failing_after_good_sums_is_a_failure() {
        assert_eq!(read(GOOD, false, false), "3 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn lines_that_only_look_like_sums_count_nothing() {
        for line in [
            "test result: ok. many passed; 0 failed; 0 ignored",
            "x test result: ok. 5 passed; 0 failed; 0 ignored",
            "test result: fine. 5 passed; 0 failed; 0 ignored",
        ] {
            assert_eq!(parse_sum(line), None, "{line}");
        }
        assert!(!is_running("running 3 tests of ours"));
        assert!(!is_running("running some tests"));
        assert!(is_running("running 1 test"));
    }
}
