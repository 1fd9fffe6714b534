//! Every clause of the contracts has its test.
//!
//! L, F and S (logs, feeds, stores) are functions of the conformance kit, which its macros turn into
//! tests; C (age) are tests of the consumer; P are tests of the publisher. A function carries the
//! clause that its name begins with: `l7_truncate_rounds_to_a_base`. The T clauses (takeover) are not
//! asked for: nothing performs them yet.

use super::sources::Sources;

struct Family {
    letter: char,
    last: u32,
    folder: &'static str,
    /// Whether the function itself must be a `#[test]`.
    is_test: bool,
}

const FAMILIES: [Family; 5] = [
    Family {
        letter: 'l',
        last: 12,
        folder: "crates/conformance/",
        is_test: false,
    },
    Family {
        letter: 'f',
        last: 5,
        folder: "crates/conformance/",
        is_test: false,
    },
    Family {
        letter: 's',
        last: 9,
        folder: "crates/conformance/",
        is_test: false,
    },
    Family {
        letter: 'c',
        last: 6,
        folder: "crates/consumer/",
        is_test: true,
    },
    Family {
        letter: 'p',
        last: 7,
        folder: "crates/publisher/",
        is_test: true,
    },
];

/// A sentence for each clause that no test carries.
pub(crate) fn check(sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for family in &FAMILIES {
        for number in 1..=family.last {
            let start = format!("fn {}{number}_", family.letter);
            let found = sources
                .under(family.folder, "rs")
                .any(|source| has_function(&source.text, &start, family.is_test));
            if !found {
                wrong.push(format!(
                    "clause {}{number} has no test in {}: no function `{start}…`",
                    family.letter.to_ascii_uppercase(),
                    family.folder
                ));
            }
        }
    }
    wrong
}

fn has_function(text: &str, start: &str, is_test: bool) -> bool {
    let mut attributed = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributed |= is_test_attribute(line);
            continue;
        }
        let is_comment = line.starts_with("//");
        if !is_comment && begins_function(line, start) && (attributed || !is_test) {
            return true;
        }
        if !is_comment {
            attributed = false;
        }
    }
    false
}

fn is_test_attribute(line: &str) -> bool {
    let path = line
        .trim_start_matches("#[")
        .split([']', '('])
        .next()
        .unwrap_or_default();
    path.rsplit("::").next() == Some("test")
}

/// Whether a line is the head of such a function, whatever stands before its `fn`.
fn begins_function(line: &str, start: &str) -> bool {
    line.find(start).is_some_and(|at| {
        line.get(..at).is_some_and(|before| {
            before
                .split_whitespace()
                .all(|word| matches!(word, "pub" | "pub(crate)" | "pub(super)" | "async"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Vec<(&'static str, String)> {
        let mut files = Vec::new();
        for family in &FAMILIES {
            let functions: Vec<String> = (1..=family.last)
                .map(|n| {
                    format!(
                        "#[tokio::test]\nasync fn {}{n}_holds() {{}}\n",
                        family.letter
                    )
                })
                .collect();
            let text = functions.concat();
            let path = match family.letter {
                'l' => "crates/conformance/src/log.rs",
                'f' => "crates/conformance/src/feed.rs",
                's' => "crates/conformance/src/store.rs",
                'c' => "crates/consumer/tests/age.rs",
                _ => "crates/publisher/tests/clauses.rs",
            };
            files.push((path, text));
        }
        files
    }

    fn check_files(files: &[(&'static str, String)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
        check(&Sources::of(&files))
    }

    #[test]
    fn a_complete_set_passes() {
        assert_eq!(check_files(&complete()), Vec::<String>::new());
    }

    #[test]
    fn a_missing_clause_is_named_and_l1_is_not_l12() {
        let mut files = complete();
        files[0].1 = files[0].1.replace("fn l1_holds", "fn l13_holds");
        let wrong = check_files(&files);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].starts_with("clause L1 has no test"), "{wrong:?}");
    }

    #[test]
    fn a_comment_or_a_call_is_no_test() {
        let mut files = complete();
        files[0].1 = files[0].1.replace("async fn l2_", "// async fn l2_");
        files[1].1 = files[1]
            .1
            .replace("async fn f2_", "let x = \"fn f2_\"; fn f_");
        assert_eq!(check_files(&files).len(), 2);
    }

    #[test]
    fn a_function_of_the_consumer_must_be_a_test_itself() {
        let mut files = complete();
        files[3].1 = files[3].1.replacen("#[tokio::test]", "#[inline]", 1);
        files[4].1 = files[4].1.replacen("#[tokio::test]", "#[cfg(test)]", 1);
        let wrong = check_files(&files);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn the_place_counts() {
        let mut files = complete();
        files[2].0 = "crates/backends/memory/src/store.rs";
        assert_eq!(check_files(&files).len(), 9);
    }
}
