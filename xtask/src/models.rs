//! `cargo xtask models`: the lock-free and wake-up code under loom, in a target folder of its own, since
//! every crate is built with another `cfg`.

use crate::cargo::{cargo, stream};
use crate::metadata::workspace_root;

/// The packages with models. Each keeps them in modules named `models`.
const PACKAGES: [&str; 2] = ["gleaner-memory", "gleaner-consumer"];

/// Runs every model; whether all hold.
pub(crate) fn run() -> Result<bool, String> {
    let root = workspace_root()?;
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut all_hold = true;
    for package in PACKAGES {
        // In release: loom runs thousands of orders. `--lib`: the other tests run on real threads.
        let mut command = cargo(&root);
        command
            .args(["test", "--release", "--locked", "--package", package])
            .args(["--lib", "--target-dir", "target/loom", "--", "models::"])
            .env("RUSTFLAGS", format!("{flags} --cfg gleaner_loom"));
        let mut ran = 0;
        let succeeded = stream(&mut command, |line| {
            ran += u32::from(line.starts_with("test ") && line.contains("models::"));
            true
        })?;
        // A filter that fits nothing succeeds, too.
        if ran == 0 {
            println!("no model of {package} was run");
        }
        all_hold &= succeeded && ran > 0;
    }
    Ok(all_hold)
}
