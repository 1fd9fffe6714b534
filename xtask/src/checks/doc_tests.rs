//! No doc test is ignored: an example that is not compiled goes stale. `no_run` is allowed.

use super::sources::{Source, Sources};

/// A sentence for each ignored example.
pub(crate) fn check(sources: &Sources) -> Vec<String> {
    let rust = sources.under("", "rs").flat_map(|source| {
        find(source, |line| {
            line.trim_start()
                .strip_prefix("///")
                .or_else(|| line.trim_start().strip_prefix("//!"))
        })
    });
    let markdown = sources
        .under("", "md")
        .flat_map(|source| find(source, |line| Some(line)));
    rust.chain(markdown).collect()
}

fn find(source: &Source, doc: impl for<'a> Fn(&'a str) -> Option<&'a str>) -> Vec<String> {
    source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| doc(line).is_some_and(is_ignored_fence))
        .map(|(at, _)| format!("{}:{}: an ignored example", source.path, at + 1))
        .collect()
}

/// A code fence with `ignore` (or `ignore-target`) among its words.
fn is_ignored_fence(line: &str) -> bool {
    let line = line.trim_start();
    let Some(words) = line
        .strip_prefix("```")
        .or_else(|| line.strip_prefix("~~~"))
    else {
        return false;
    };
    words
        .split([',', ' ', '{', '}', '.', '`', '~'])
        .any(|word| word == "ignore" || word.starts_with("ignore-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_examples_are_found_where_they_stand() {
        let text = "//! Fine.\n/// ```rust,ignore\n    //! ```ignore\n/// ````ignore-windows\n";
        let sources = Sources::of(&[("crates/core/src/a.rs", text), ("README.md", "```ignore\n")]);
        assert_eq!(
            check(&sources),
            [
                "crates/core/src/a.rs:2: an ignored example",
                "crates/core/src/a.rs:3: an ignored example",
                "crates/core/src/a.rs:4: an ignored example",
                "README.md:1: an ignored example",
            ]
        );
    }

    #[test]
    fn other_examples_pass() {
        let text = "/// ```\n/// ```no_run\n/// ```text\nlet a = \"```ignore\";\n// we ignore it\n";
        assert!(check(&Sources::of(&[("crates/a.rs", text)])).is_empty());
    }
}
