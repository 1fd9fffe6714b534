//! `cargo xtask fix`: what a machine can repair.

use crate::cargo::{cargo, status};
use crate::metadata::workspace_root;

/// Runs clippy's suggestions, then the formatter; whether both succeeded.
pub(crate) fn run() -> Result<bool, String> {
    let root = workspace_root()?;
    let fixed = status(cargo(&root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    let formatted = status(cargo(&root).args(["fmt", "--all"]))?;
    Ok(fixed && formatted)
}
