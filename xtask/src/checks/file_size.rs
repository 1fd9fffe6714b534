//! A file holds one idea: at most 500 lines before its tests.

use super::sources::Sources;

const CEILING: usize = 500;

/// A sentence for each source file of a crate that is too long.
pub(crate) fn check(sources: &Sources) -> Vec<String> {
    sources
        .under("", "rs")
        .filter(|source| source.path.contains("/src/"))
        .filter_map(|source| {
            let lines = before_tests(&source.text);
            (lines > CEILING).then(|| {
                format!(
                    "{}: {lines} lines before its tests, {CEILING} are allowed",
                    source.path
                )
            })
        })
        .collect()
}

/// Lines before the test module; an attribute on anything but a module ends nothing.
fn before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .position(|pair| {
            matches!(pair, ["#[cfg(test)]", next] if next.starts_with("mod ") && next.ends_with('{'))
        })
        .unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_are_free() {
        let long = "x\n".repeat(CEILING) + "#[cfg(test)]\nmod tests {\n" + &"y\n".repeat(900);
        assert!(check(&Sources::of(&[("crates/a/src/a.rs", &long)])).is_empty());
    }

    #[test]
    fn a_line_too_many_is_named() {
        let long = "x\n".repeat(CEILING + 1);
        let wrong = check(&Sources::of(&[("crates/a/src/a.rs", &long)]));
        assert_eq!(
            wrong,
            ["crates/a/src/a.rs: 501 lines before its tests, 500 are allowed"]
        );
    }

    #[test]
    fn an_early_attribute_hides_nothing() {
        let long = "#[cfg(test)]\nfn seam() {}\n#[cfg(test)]\nmod tests;\n".to_owned()
            + &"x\n".repeat(CEILING);
        assert_eq!(
            check(&Sources::of(&[("crates/a/src/a.rs", &long)])).len(),
            1
        );
    }
}
