//! A log on a real server, beside a plain client and beside Orlando's; `benches/README.md` says how.
//!
//! `cargo run --release -p gleaner-benches --bin servers -- postgres`

use std::process::ExitCode;

fn main() -> ExitCode {
    gleaner_benches::servers::main()
}
