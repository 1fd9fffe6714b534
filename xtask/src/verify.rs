//! `cargo xtask test`: everything that must hold, in one read-only command.

use std::path::Path;

use crate::cargo::{cargo, status, stream};
use crate::checks::sources::Sources;
use crate::checks::{clauses, direction, doc_tests, file_size, licences, rust_version};
use crate::libtest::Reader;
use crate::metadata::{Workspace, workspace_root};
use crate::models;
use crate::servers;
use crate::tally::Tally;

/// Runs every check, whatever failed before, and prints the sum as the last line; whether all is
/// well.
pub(crate) fn run() -> Result<bool, String> {
    let root = workspace_root()?;
    let mut tally = sources_and_dependencies(&root);
    tally += command("format", &root, &["fmt", "--all", "--check"]);
    tally += command(
        "clippy",
        &root,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    );
    tally += facade(&root);
    tally += tests(&root);
    tally += metrics(&root);
    tally += command(
        "2,000 seeds of the simulation",
        &root,
        &[
            "run",
            "--release",
            "--locked",
            "--package",
            "gleaner-tests",
            "--bin",
            "simulate",
            "--",
            "--seeds",
            "2000",
        ],
    );
    tally += match models::run() {
        Ok(true) => report("models", &[]),
        Ok(false) => report("models", &["see above".to_owned()]),
        Err(why) => report("models", &[why]),
    };

    println!("\n{tally}");
    Ok(tally.failed == 0)
}

/// The checks that build nothing, alone; whether they pass.
pub(crate) fn run_quick() -> Result<bool, String> {
    let tally = sources_and_dependencies(&workspace_root()?);
    println!("\n{tally}");
    Ok(tally.failed == 0)
}

fn sources_and_dependencies(root: &Path) -> Tally {
    let mut tally = Tally::default();

    println!("== sources and dependencies");
    match Sources::load(root) {
        Ok(sources) => {
            tally += report("every clause has its test", &clauses::check(&sources));
            tally += report("no ignored doc test", &doc_tests::check(&sources));
            tally += report("file sizes", &file_size::check(&sources));
        }
        Err(why) => tally += report("sources can be read", &[why]),
    }
    match Workspace::load(root) {
        Ok(workspace) => {
            tally += report("direction of dependencies", &direction::check(&workspace));
            tally += report("licences", &licences::check(&workspace));
            tally += report("rust-version", &rust_version::check(&workspace));
        }
        Err(why) => tally += report("dependencies can be read", &[why]),
    }
    tally
}

fn report(name: &str, wrong: &[String]) -> Tally {
    println!(
        "check {name} ... {}",
        if wrong.is_empty() { "ok" } else { "FAILED" }
    );
    for sentence in wrong {
        println!("    {sentence}");
    }
    Tally::of_check(wrong.is_empty())
}

fn command(name: &str, root: &Path, arguments: &[&str]) -> Tally {
    match status(cargo(root).args(arguments)) {
        Ok(true) => report(name, &[]),
        Ok(false) => report(name, &["see above".to_owned()]),
        Err(why) => report(name, &[why]),
    }
}

/// What users build: the facade with one of its features, or none. Within the workspace the members turn
/// on most of them together.
fn facade(root: &Path) -> Tally {
    let mut tally = Tally::default();
    for feature in ["", "memory", "sqlite", "grpc", "postgres", "metrics"] {
        let alone = ["clippy", "--locked", "--package", "gleaner"];
        let features = ["--no-default-features", "--features", feature];
        let name = format!("clippy of the facade with features \"{feature}\"");
        tally += command(
            &name,
            root,
            &[&alone[..], &features[..], &["--", "-D", "warnings"]].concat(),
        );
    }
    tally
}

/// The follower's metrics: behind a feature that no member turns on, so that the others are tested
/// without it.
fn metrics(root: &Path) -> Tally {
    let with_metrics = [
        "--locked",
        "--package",
        "gleaner-consumer",
        "--features",
        "metrics",
    ];
    let lints = [
        &["clippy", "--all-targets"],
        &with_metrics[..],
        &["--", "-D", "warnings"],
    ]
    .concat();
    let mut tally = command("clippy with metrics", root, &lints);
    tally += command(
        "tests with metrics",
        root,
        &[&["test"], &with_metrics[..]].concat(),
    );
    tally
}

/// Unit, integration and doc tests of all members. Without `--all-targets`, because that would build
/// the examples as (empty) tests, and the tests of the examples run the real ones; benches are
/// compiled by clippy above and run by nobody here.
fn tests(root: &Path) -> Tally {
    servers::prepare();
    let mut reader = Reader::default();
    let result = stream(
        cargo(root).args([
            "test",
            "--workspace",
            "--locked",
            "--no-fail-fast",
            "--",
            "--show-output",
        ]),
        |line| reader.line(line),
    );
    match result {
        Ok(succeeded) => reader.finish(succeeded, servers::required()),
        Err(why) => report("tests", &[why]),
    }
}
