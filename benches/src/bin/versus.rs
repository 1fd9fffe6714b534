//! This crate and `orlando-cluster` on the same work, side by side; `benches/README.md` says how.
//!
//! `cargo run --release -p gleaner-benches --bin versus -- CASE`

use std::process::ExitCode;

fn main() -> ExitCode {
    gleaner_benches::versus::main()
}
