//! Dependencies point one way.
//!
//! ```text
//! core <- actor <- consumer      core <- publisher, conformance, each backend      gleaner <- cli
//! ```
//! Backends know neither each other nor the consumer; the actor is pure. What a crate's tests use is
//! not looked at. A new crate needs a rule here before it may depend on another of ours.

use crate::metadata::{Package, Workspace};

/// What would make the actor impure if it were anywhere in its tree: runtimes, clocks, randomness,
/// I/O. (`async-trait` is a macro of core's and leaves nothing behind.)
const IMPURE: [&str; 15] = [
    "tokio",
    "tokio-util",
    "async-std",
    "async-io",
    "smol",
    "futures",
    "futures-core",
    "futures-util",
    "mio",
    "rand",
    "getrandom",
    "fastrand",
    "parking_lot",
    "chrono",
    "jiff",
];

/// A sentence for each arrow that points the wrong way.
pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let ours: Vec<&str> = workspace.members().map(|p| p.name.as_str()).collect();
    let mut wrong = Vec::new();
    for package in workspace.members() {
        if !package.folder.starts_with("crates/") {
            continue;
        }
        let Some(may_know) = rule(package) else {
            wrong.push(format!(
                "{} ({}) has no rule that says what it may depend on",
                package.name, package.folder
            ));
            continue;
        };
        for asked in &package.asks_for {
            if ours.contains(&asked.as_str()) && !may_know.allows(asked, workspace) {
                wrong.push(format!("{} must not depend on {asked}", package.name));
            }
        }
        if package.name == "gleaner-actor" {
            wrong.extend(impure(workspace, package));
        }
    }
    wrong
}

enum MayKnow {
    These(&'static [&'static str]),
    /// Core, consumer, publisher, every backend: the facade.
    AllButTheKit,
}

impl MayKnow {
    fn allows(&self, asked: &str, workspace: &Workspace) -> bool {
        match self {
            Self::These(names) => names.contains(&asked),
            Self::AllButTheKit => {
                asked != "gleaner-conformance"
                    && workspace
                        .members()
                        .any(|p| p.name == asked && p.folder.starts_with("crates/"))
            }
        }
    }
}

fn rule(package: &Package) -> Option<MayKnow> {
    let folder = package.folder.strip_prefix("crates/")?;
    Some(match folder {
        "core" => MayKnow::These(&[]),
        "actor" | "publisher" | "conformance" => MayKnow::These(&["gleaner-core"]),
        "consumer" => MayKnow::These(&["gleaner-core", "gleaner-actor"]),
        "gleaner" => MayKnow::AllButTheKit,
        // What any application may know.
        "cli" => MayKnow::These(&["gleaner"]),
        _ if folder.starts_with("backends/") => MayKnow::These(&["gleaner-core"]),
        _ => return None,
    })
}

fn impure(workspace: &Workspace, actor: &Package) -> Vec<String> {
    let mut wrong: Vec<String> = workspace
        .tree_of(&actor.name)
        .into_iter()
        .filter(|package| IMPURE.contains(&package.name.as_str()))
        .map(|package| {
            format!(
                "{} must be pure, its tree holds {}",
                actor.name, package.name
            )
        })
        .collect();
    if actor.asks_for.iter().any(|name| name == "async-trait") {
        wrong.push(format!(
            "{} must be pure, it asks for async-trait",
            actor.name
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, asks_for: &[&str]) -> Package {
        Package {
            id: name.to_owned(),
            name: name.to_owned(),
            member: !folder.is_empty(),
            folder: folder.to_owned(),
            asks_for: asks_for.iter().map(|name| (*name).to_owned()).collect(),
            resolved: asks_for.iter().map(|name| (*name).to_owned()).collect(),
            ..Package::default()
        }
    }

    fn good() -> Workspace {
        Workspace {
            packages: vec![
                package("gleaner-core", "crates/core", &["bytes"]),
                package("gleaner-actor", "crates/actor", &["gleaner-core"]),
                package(
                    "gleaner-consumer",
                    "crates/consumer",
                    &["gleaner-core", "gleaner-actor", "tokio"],
                ),
                package(
                    "gleaner-memory",
                    "crates/backends/memory",
                    &["gleaner-core"],
                ),
                package(
                    "gleaner-sqlite",
                    "crates/backends/sqlite",
                    &["gleaner-core"],
                ),
                package(
                    "gleaner-conformance",
                    "crates/conformance",
                    &["gleaner-core"],
                ),
                package(
                    "gleaner",
                    "crates/gleaner",
                    &["gleaner-core", "gleaner-consumer", "gleaner-sqlite"],
                ),
                package(
                    "gleaner-tests",
                    "tests",
                    &["gleaner-sqlite", "gleaner-consumer"],
                ),
                package("bytes", "", &[]),
                package("tokio", "", &["mio"]),
                package("mio", "", &[]),
            ],
        }
    }

    fn with(name: &str, asked: &str) -> Vec<String> {
        let mut workspace = good();
        let package = workspace
            .packages
            .iter_mut()
            .find(|package| package.name == name)
            .unwrap();
        package.asks_for.push(asked.to_owned());
        package.resolved.push(asked.to_owned());
        check(&workspace)
    }

    #[test]
    fn our_arrows_pass() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_wrong_arrow_is_named() {
        for (from, to) in [
            ("gleaner-core", "gleaner-actor"),
            ("gleaner-actor", "gleaner-consumer"),
            ("gleaner-consumer", "gleaner-memory"),
            ("gleaner-memory", "gleaner-sqlite"),
            ("gleaner-sqlite", "gleaner-consumer"),
            ("gleaner-sqlite", "gleaner-tests"),
            ("gleaner-conformance", "gleaner-memory"),
            ("gleaner", "gleaner-conformance"),
            ("gleaner", "gleaner-tests"),
        ] {
            let wrong = with(from, to);
            assert!(
                wrong.contains(&format!("{from} must not depend on {to}")),
                "{from} -> {to}: {wrong:?}"
            );
        }
    }

    #[test]
    fn the_actor_stays_pure_through_its_whole_tree() {
        assert_eq!(with("gleaner-actor", "async-trait").len(), 1);
        assert_eq!(with("gleaner-actor", "tokio").len(), 2, "tokio and its mio");
        assert_eq!(with("gleaner-core", "mio").len(), 1, "by way of core");
    }

    #[test]
    fn a_crate_without_a_rule_is_named() {
        let mut workspace = good();
        workspace
            .packages
            .push(package("gleaner-new", "crates/new", &[]));
        assert_eq!(check(&workspace).len(), 1);
    }
}
