//! `cargo xtask faults`: the tests of real crashes and hostile files, or of a server that fails, many rounds
//! of them, summed up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cargo::{cargo, output};
use crate::metadata::workspace_root;

/// Which tests, and what they count.
#[derive(Debug, PartialEq, Eq)]
struct Tests {
    /// The test binary.
    name: &'static str,
    /// The server whose tests of it they are, if not all.
    server: Option<&'static str>,
    /// What is printed in the end, in this order, whether anything was counted or not.
    counts: &'static [&'static str],
}

const FILES: Tests = Tests {
    name: "faults",
    server: None,
    counts: &OF_FILES,
};

/// By server.
const SERVERS: [Tests; 1] = [Tests {
    name: "server_faults",
    server: Some("postgres"),
    counts: &OF_SERVERS,
}];

const OF_SERVERS: [&str; 14] = [
    "server_kills",
    "publisher_kills",
    "follower_kills",
    "pauses",
    "cuts",
    "doubts",
    "full_disks",
    "ended_themselves",
    "restores",
    "given_up",
    "failovers",
    "ages_checked",
    "acknowledged",
    "lost",
];

const OF_FILES: [&str; 12] = [
    "kills",
    "publisher_kills",
    "follower_kills",
    "full_disks",
    "read_only_files",
    "files_taken_away",
    "foreign_files",
    "newer_schemas",
    "clocks_set",
    "ages_checked",
    "acknowledged",
    "lost",
];

/// How many rounds of what, and the seed of the first; each further one has the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    tests: &'static Tests,
    rounds: u64,
    seed: u64,
}

impl Wanted {
    fn parse(words: &[&str], drawn: u64) -> Result<Self, String> {
        let mut wanted = Self {
            tests: &FILES,
            rounds: 1,
            seed: drawn,
        };
        let mut words = words.iter();
        while let Some(option) = words.next() {
            let value = match *option {
                "--rounds" => &mut wanted.rounds,
                "--seed" => &mut wanted.seed,
                "--server" => {
                    wanted.tests = server(words.next().copied())?;
                    continue;
                }
                other => {
                    let takes = "--rounds N, --seed S and --server NAME";
                    return Err(format!("faults takes {takes}, not {other}"));
                }
            };
            *value = words
                .next()
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| format!("a number follows {option}"))?;
        }
        if wanted.rounds == 0 {
            return Err("no round shows nothing".to_owned());
        }
        Ok(wanted)
    }
}

/// The tests of a server.
fn server(name: Option<&str>) -> Result<&'static Tests, String> {
    let known = SERVERS.iter().find(|tests| tests.server == name);
    known.ok_or_else(|| {
        let names: Vec<&str> = SERVERS.iter().filter_map(|tests| tests.server).collect();
        format!("one of these follows --server: {}", names.join(", "))
    })
}

/// Adds up what tests say: lines of the form `count NAME=NUMBER`, and reasons why one was skipped.
#[derive(Debug, Default)]
struct Sum {
    counts: BTreeMap<String, u64>,
    skipped: BTreeSet<String>,
}

impl Sum {
    fn line(&mut self, line: &str) {
        if let Some((name, number)) = line
            .strip_prefix("count ")
            .and_then(|count| count.split_once('='))
            && let Ok(number) = number.parse::<u64>()
        {
            *self.counts.entry(name.to_owned()).or_default() += number;
            if name.ends_with("_kills") {
                *self.counts.entry("kills".to_owned()).or_default() += number;
            }
        }
        if line.starts_with("skipped: ") {
            self.skipped.insert(line.to_owned());
        }
    }

    fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

/// Makes the rounds, prints a line for each and the sums in the end; whether nothing was lost and no
/// test failed.
pub(crate) fn run(words: &[&str]) -> Result<bool, String> {
    let wanted = Wanted::parse(words, RandomState::new().hash_one("seed") >> 32)?;
    let root = workspace_root()?;
    let program = build(&root, wanted.tests.name)?;
    let server = wanted.tests.server;
    let mut sum = Sum::default();
    let mut failed = 0_u64;
    for round in 0..wanted.rounds {
        let seed = wanted.seed.wrapping_add(round);
        let ended = Command::new(&program)
            .arg("--show-output")
            // All tests of a server lie in a module of its name.
            .args(server.map(|server| format!("{server}::")))
            .current_dir(root.join("tests"))
            .env("GLEANER_SEED", seed.to_string())
            .env("GLEANER_LONG_ROUND", "1")
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let passed = ended.status.success();
        let said = String::from_utf8_lossy(&ended.stdout);
        said.lines().for_each(|line| sum.line(line));
        println!(
            "round {} of {}: seed={seed} {}",
            round + 1,
            wanted.rounds,
            if passed { "ok" } else { "FAILED" }
        );
        if !passed {
            failed += 1;
            tell(&root, &file_name(server, seed), &said)?;
        }
    }
    println!();
    for reason in &sum.skipped {
        println!("{reason}");
    }
    println!("rounds={}", wanted.rounds);
    for name in wanted.tests.counts {
        println!("{name}={}", sum.of(name));
    }
    println!("failed_rounds={failed}");
    Ok(failed == 0 && sum.of("lost") == 0 && sum.of("acknowledged") > 0)
}

/// Builds the tests once, so that all rounds are of the same; where the program lies.
fn build(root: &Path, name: &str) -> Result<PathBuf, String> {
    let messages = output(cargo(root).args([
        "test",
        "--locked",
        "--no-run",
        "--message-format=json-render-diagnostics",
        "-p",
        "gleaner-tests",
        "--test",
        name,
    ]))?;
    String::from_utf8_lossy(&messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| executable(&message, name))
        .ok_or_else(|| format!("cargo built no test {name}"))
}

/// The program that a message of cargo's is about, if it is ours.
fn executable(message: &Value, name: &str) -> Option<PathBuf> {
    let is_ours = message.pointer("/target/name")? == name;
    let program = message.get("executable")?.as_str()?;
    is_ours.then(|| PathBuf::from(program))
}

/// Where all that a failed round said is left.
fn file_name(server: Option<&str>, seed: u64) -> String {
    let server = server
        .map(|server| format!("{server}-"))
        .unwrap_or_default();
    format!("{server}seed-{seed}.txt")
}

/// Shows where a round failed, and leaves all that it said in a file.
fn tell(root: &Path, file: &str, said: &str) -> Result<(), String> {
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        if line.contains("panicked at") {
            println!("    {line}");
            println!("    {}", lines.next().unwrap_or_default());
        } else if line.starts_with("LOST: ") {
            println!("    {line}");
        }
    }
    let folder = root.join("target").join("faults");
    let path = folder.join(file);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, said))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    println!("    all that it said: {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_seed_are_numbers() {
        let wanted = |rounds, seed| {
            let tests = &FILES;
            Ok(Wanted {
                tests,
                rounds,
                seed,
            })
        };
        assert_eq!(Wanted::parse(&[], 7), wanted(1, 7));
        assert_eq!(Wanted::parse(&["--rounds", "50"], 7), wanted(50, 7));
        let both = ["--seed", "9", "--rounds", "2"];
        assert_eq!(Wanted::parse(&both, 7), wanted(2, 9));
        for wrong in [
            &["--rounds"][..],
            &["--rounds", "x"],
            &["--rounds", "0"],
            &["50"],
            &["--server"],
            &["--server", "x"],
        ] {
            assert!(Wanted::parse(wrong, 7).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_server_has_tests_of_its_own() {
        let words = ["--server", "postgres", "--rounds", "3"];
        let wanted = Wanted::parse(&words, 7).unwrap();
        assert_eq!((wanted.tests, wanted.rounds), (&SERVERS[0], 3));
        assert_eq!(file_name(wanted.tests.server, 7), "postgres-seed-7.txt");
        assert_eq!(file_name(FILES.server, 7), "seed-7.txt");
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let message = |text| executable(&serde_json::from_str(text).unwrap(), "faults");
        let ours = r#"{"target":{"name":"faults"},"executable":"/x/faults-1"}"#;
        assert_eq!(message(ours), Some(PathBuf::from("/x/faults-1")));
        let other = r#"{"target":{"name":"appender"},"executable":"/x/appender"}"#;
        assert_eq!(message(other), None);
        assert_eq!(
            message(r#"{"target":{"name":"faults"},"executable":null}"#),
            None
        );
    }

    #[test]
    fn counts_add_up_and_other_lines_do_not_count() {
        let mut sum = Sum::default();
        for line in [
            "count lost=2",
            "count publisher_kills=3",
            "appender: count lost=9",
            "count lost=x",
            "count follower_kills=4",
            "count lost=1",
            "skipped: no small disk",
            "skipped: no small disk",
        ] {
            sum.line(line);
        }
        assert_eq!((sum.of("lost"), sum.of("kills")), (3, 7));
        assert_eq!((sum.of("nothing"), sum.skipped.len()), (0, 1));
    }
}
