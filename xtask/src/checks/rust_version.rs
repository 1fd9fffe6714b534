//! No dependency asks for a newer Rust than the workspace promises to build with.

use crate::metadata::Workspace;

/// A sentence for each package that declares more than the members do.
pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut wrong = Vec::new();
    let promised: Vec<_> = workspace
        .members()
        .map(|member| (member, member.rust_version.as_deref().and_then(parse)))
        .collect();
    for (member, version) in &promised {
        if version.is_none() {
            wrong.push(format!("{} declares no rust-version", member.name));
        }
    }
    let Some(floor) = promised.iter().filter_map(|(_, version)| *version).min() else {
        return wrong;
    };
    for package in workspace.packages.iter().filter(|package| !package.member) {
        let Some(declared) = package.rust_version.as_deref() else {
            continue;
        };
        // One that cannot be read is named too: silence would pass it.
        if parse(declared).is_none_or(|version| version > floor) {
            wrong.push(format!(
                "{} {} asks for Rust {declared}",
                package.name, package.version
            ));
        }
    }
    wrong
}

/// `1.89` is `1.89.0`.
fn parse(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let parsed = (
        parts.next()??,
        parts.next().unwrap_or(Some(0))?,
        parts.next().unwrap_or(Some(0))?,
    );
    parts.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    fn check_dependency(declared: Option<&str>) -> usize {
        let member = Package {
            name: "ours".to_owned(),
            member: true,
            rust_version: Some("1.89".to_owned()),
            ..Package::default()
        };
        let dependency = Package {
            name: "theirs".to_owned(),
            rust_version: declared.map(str::to_owned),
            ..Package::default()
        };
        check(&Workspace {
            packages: vec![member, dependency],
        })
        .len()
    }

    #[test]
    fn as_old_or_silent_passes() {
        for declared in [None, Some("1.89"), Some("1.89.0"), Some("1.9"), Some("1")] {
            assert_eq!(check_dependency(declared), 0, "{declared:?}");
        }
    }

    #[test]
    fn newer_or_unreadable_is_named() {
        for declared in ["1.90", "1.89.1", "2.0", "soon", "1.89.0.0"] {
            assert_eq!(check_dependency(Some(declared)), 1, "{declared}");
        }
    }

    #[test]
    fn a_member_without_one_is_named() {
        let member = Package {
            member: true,
            ..Package::default()
        };
        let workspace = Workspace {
            packages: vec![member],
        };
        assert_eq!(check(&workspace).len(), 1);
    }
}
