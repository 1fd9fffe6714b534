//! A leader and its follower over the network; `benches/README.md` says how.
//!
//! `cargo run --release -p gleaner-benches --bin wire`

use std::process::ExitCode;

fn main() -> ExitCode {
    gleaner_benches::wire::main()
}
