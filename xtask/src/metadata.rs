//! [`Workspace`]: what `cargo metadata` says, as far as the checks ask.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cargo::{cargo, output};

/// A package of the dependency graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SPDX expression, if it states one.
    pub(crate) license: Option<String>,
    pub(crate) rust_version: Option<String>,
    /// Whether it belongs to this workspace.
    pub(crate) member: bool,
    /// A member's folder, relative to the root, with forward slashes.
    pub(crate) folder: String,
    /// Names of the packages that its manifest asks for, for building or running, optional ones
    /// included; not for testing.
    pub(crate) asks_for: Vec<String>,
    /// Ids of what that came to in the lock file.
    pub(crate) resolved: Vec<String>,
}

/// All packages of the lock file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// The folder above this package's own.
///
/// # Errors
/// If there is none.
pub(crate) fn workspace_root() -> Result<PathBuf, String> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| "xtask lies in no workspace".to_owned())
}

impl Workspace {
    /// Asks cargo. The lock file must be up to date; nothing is written.
    ///
    /// # Errors
    /// If cargo fails, or answers what is no metadata.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let json = output(cargo(root).args(["metadata", "--format-version", "1", "--locked"]))?;
        let value = serde_json::from_slice(&json)
            .map_err(|error| format!("cannot read cargo's metadata: {error}"))?;
        Self::parse(&value).ok_or_else(|| "cargo's metadata lacks a field".to_owned())
    }

    /// The packages that belong to the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.member)
    }

    /// Everything that a member needs to build and run, itself excluded.
    pub(crate) fn tree_of(&self, name: &str) -> Vec<&Package> {
        let by_id: HashMap<&str, &Package> = self
            .packages
            .iter()
            .map(|package| (package.id.as_str(), package))
            .collect();
        let mut seen = HashSet::new();
        let mut tree = Vec::new();
        let mut open: Vec<&Package> = self
            .members()
            .filter(|package| package.name == name)
            .collect();
        while let Some(package) = open.pop() {
            for id in &package.resolved {
                if let Some(next) = by_id.get(id.as_str())
                    && seen.insert(next.id.as_str())
                {
                    tree.push(*next);
                    open.push(next);
                }
            }
        }
        tree
    }

    fn parse(value: &Value) -> Option<Self> {
        let root = PathBuf::from(value.get("workspace_root")?.as_str()?);
        let members: HashSet<&str> = value
            .get("workspace_members")?
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut resolved: HashMap<&str, Vec<String>> = HashMap::new();
        for node in value.get("resolve")?.get("nodes")?.as_array()? {
            let needs = node.get("deps")?.as_array()?.iter().filter(|dependency| {
                dependency
                    .get("dep_kinds")
                    .and_then(Value::as_array)
                    .is_some_and(|kinds| kinds.iter().any(is_not_for_testing))
            });
            resolved.insert(
                node.get("id")?.as_str()?,
                needs.filter_map(|needed| text(needed, "pkg")).collect(),
            );
        }
        let mut packages = Vec::new();
        for package in value.get("packages")?.as_array()? {
            let id = text(package, "id")?;
            let manifest = PathBuf::from(text(package, "manifest_path")?);
            let folder = manifest
                .parent()
                .and_then(|folder| folder.strip_prefix(&root).ok())
                .map(|folder| folder.to_string_lossy().replace('\\', "/"))
                .unwrap_or_default();
            packages.push(Package {
                member: members.contains(id.as_str()),
                resolved: resolved.remove(id.as_str()).unwrap_or_default(),
                id,
                name: text(package, "name")?,
                version: text(package, "version")?,
                license: text(package, "license"),
                rust_version: text(package, "rust_version"),
                folder,
                asks_for: package
                    .get("dependencies")?
                    .as_array()?
                    .iter()
                    .filter(|dependency| is_not_for_testing(dependency))
                    .filter_map(|dependency| text(dependency, "name"))
                    .collect(),
            });
        }
        Some(Self { packages })
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}

fn is_not_for_testing(dependency: &Value) -> bool {
    dependency.get("kind").and_then(Value::as_str) != Some("dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
      "workspace_root": "/w",
      "workspace_members": ["a"],
      "packages": [
        {"id": "a", "name": "a", "version": "1.0.0", "license": null, "rust_version": "1.89",
         "manifest_path": "/w/crates/a/Cargo.toml",
         "dependencies": [{"name": "b", "kind": null}, {"name": "c", "kind": "dev"}]},
        {"id": "b", "name": "b", "version": "2.0.0", "license": "MIT",
         "manifest_path": "/r/b/Cargo.toml", "dependencies": []},
        {"id": "c", "name": "c", "version": "3.0.0", "license": "MIT",
         "manifest_path": "/r/c/Cargo.toml", "dependencies": []}
      ],
      "resolve": {"nodes": [
        {"id": "a", "deps": [
          {"pkg": "b", "dep_kinds": [{"kind": null}]},
          {"pkg": "c", "dep_kinds": [{"kind": "dev"}]}]},
        {"id": "b", "deps": []}, {"id": "c", "deps": []}
      ]}
    }"#;

    #[test]
    fn a_tree_holds_no_dependency_of_tests() {
        let workspace = Workspace::parse(&serde_json::from_str(JSON).unwrap()).unwrap();
        let names: Vec<_> = workspace.tree_of("a").iter().map(|p| &p.name).collect();
        assert_eq!(names, ["b"]);
        let member = workspace.members().next().unwrap();
        assert_eq!(member.folder, "crates/a");
        assert_eq!(member.asks_for, ["b"]);
        assert_eq!(member.license, None);
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        assert!(Workspace::parse(&serde_json::from_str("{}").unwrap()).is_none());
    }
}
