//! `versus`: this crate and `orlando-cluster` on the same work, side by side.
//!
//! The driver ([`main`]) decides what is to be done, gives the same words to a process of each side in
//! turn, and prints medians, spread and ratios. Our side of a case is the same program called again;
//! Orlando's is built from `benches/orlando`. What both are measured with is `gleaner-measure`.

mod append;
mod backlog;
mod counted;
pub(crate) mod driver;
pub(crate) mod following;
mod idle;
mod lag;
pub(crate) mod logs;
pub(crate) mod metric;
mod neighbours;
mod options;
mod overload;
mod plan;
mod reads;
mod scale;
mod side;
mod slow;

use std::process::ExitCode;

use crate::Outcome;

/// The type of all grains.
pub(crate) const TYPE: &str = "grain";

/// Runs the comparison, or one side of it if called so by itself.
pub fn main() -> ExitCode {
    let done = if std::env::args().nth(1).as_deref() == Some(side::FLAG) {
        side::run(std::env::args().skip(2))
    } else {
        driver::run(&<options::Options as clap::Parser>::parse())
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}
