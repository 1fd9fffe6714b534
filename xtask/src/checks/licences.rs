//! Every dependency can be used under licences that ask for no more than a notice.

use super::spdx::Expression;
use crate::metadata::Workspace;

const OURS: &str = "MIT OR Apache-2.0";

const ALLOWED: [&str; 9] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "BSL-1.0",
    "Unlicense",
];

const ALLOWED_WITH: [(&str, &str); 1] = [("Apache-2.0", "LLVM-exception")];

/// A sentence for each package whose licence is missing, unreadable or not allowed.
pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in &workspace.packages {
        let Some(licence) = package.license.as_deref() else {
            wrong.push(format!("{} states no licence", package.name));
            continue;
        };
        if package.member {
            if licence != OURS {
                wrong.push(format!("{} is {licence}, not {OURS}", package.name));
            }
            continue;
        }
        match Expression::parse(licence) {
            Ok(expression) if expression.holds(&is_allowed) => {}
            Ok(_) => wrong.push(format!(
                "{} {}: {licence} is not allowed",
                package.name, package.version
            )),
            Err(why) => wrong.push(format!(
                "{} {}: cannot read {licence:?}: {why}",
                package.name, package.version
            )),
        }
    }
    wrong
}

fn is_allowed(licence: &str, exception: Option<&str>) -> bool {
    match exception {
        None => ALLOWED.contains(&licence),
        // An exception only grants: what is allowed without stays so, but it has to be known.
        Some(exception) => ALLOWED_WITH.contains(&(licence, exception)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    fn check_one(member: bool, license: Option<&str>) -> usize {
        let package = Package {
            member,
            license: license.map(str::to_owned),
            ..Package::default()
        };
        check(&Workspace {
            packages: vec![package],
        })
        .len()
    }

    #[test]
    fn what_can_be_had_under_an_allowed_licence_passes() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
        ] {
            assert_eq!(check_one(false, Some(licence)), 0, "{licence}");
        }
    }

    #[test]
    fn what_cannot_is_named() {
        for licence in [
            "AGPL-3.0-only",
            "MIT AND GPL-2.0-only",
            "MIT AND (GPL-2.0-only OR MPL-2.0)",
            "GPL-2.0-only WITH Classpath-exception-2.0",
            "MIT OR",
            "",
        ] {
            assert_eq!(check_one(false, Some(licence)), 1, "{licence}");
        }
        assert_eq!(check_one(false, None), 1);
    }

    #[test]
    fn members_carry_ours() {
        assert_eq!(check_one(true, Some(OURS)), 0);
        assert_eq!(check_one(true, Some("MIT")), 1);
    }
}
