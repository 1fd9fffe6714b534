//! Names that a careless key would join, fold, cut, quote or take for a pattern.

use gleaner_core::GrainId;

use crate::pen::grain;
use crate::verdict::Seen;

/// Each means something somewhere: in SQL, in a shell, in a path, in a subject or a pattern, in a URL,
/// in a hash tag, in a text protocol, in C.
const LETTERS: [&str; 26] = [
    ".",
    " ",
    "*",
    "%",
    "_",
    "?",
    ">",
    "'",
    "\"",
    "`",
    "/",
    "\\",
    ":",
    ";",
    "#",
    "$",
    "{",
    "|",
    "\0",
    "\u{1}",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\u{7f}",
    "\u{1f33e}",
];

/// More than one letter, or one that is easily taken for another.
const WORDS: [&str; 31] = [
    "\0\0",
    "  ",
    "..",
    "{a}",
    "[a]",
    "[^a]",
    "--",
    "''",
    "\\0",
    "\\x00",
    "%00",
    "%s",
    "$1",
    "a",
    "A",
    "a ",
    " a",
    "a\0",
    "ab",
    "\u{e9}",
    "e\u{301}",
    "\u{df}",
    "ss",
    "\u{1f468}\u{200d}\u{1f33e}",
    "\u{fffd}",
    "\u{10ffff}",
    "0",
    "00",
    "-1",
    "null",
    "NaN",
];

/// As long as names are: one letter over and over, two that differ in their last letter, all that is
/// above.
fn longest() -> Seen<Vec<String>> {
    let mut all: String = LETTERS.concat();
    all.push('\'');
    let mut mixed = all.repeat(512 / all.len());
    while mixed.len() < 512 {
        mixed.push('\\');
    }
    let names = vec![
        "x".repeat(512),
        format!("{}y", "x".repeat(511)),
        "\u{1f33e}".repeat(128),
        "\0".repeat(512),
        "'".repeat(512),
        "\\".repeat(512),
        mixed,
    ];
    crate::verdict::ensure!(
        names.iter().all(|name| name.len() == 512),
        "the kit's longest names are of 512 bytes"
    );
    Ok(names)
}

/// Names by themselves: types, keys, and prefixes of keys.
pub(crate) fn awkward_names() -> Seen<Vec<String>> {
    let short = LETTERS.iter().chain(&WORDS);
    let mut names: Vec<String> = short.map(|&name| name.to_owned()).collect();
    names.extend(longest()?);
    Ok(names)
}

/// Grains of such names, in byte order; some that would be one if type and key were joined by a letter,
/// or by none.
pub(crate) fn awkward_grains() -> Seen<Vec<GrainId>> {
    let mut grains = Vec::new();
    for name in awkward_names()? {
        grains.push(grain("type", &name)?);
        grains.push(grain(&name, &name)?);
    }
    for letter in LETTERS.iter().chain(&[""]) {
        grains.push(grain("a", &format!("b{letter}c"))?);
        grains.push(grain(&format!("a{letter}b"), "c")?);
    }
    grains.sort();
    grains.dedup();
    Ok(grains)
}
