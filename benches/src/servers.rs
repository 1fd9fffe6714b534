//! `servers`: our log on a server that it starts for itself, beside a plain client that does the same
//! reads and writes by hand, and beside Orlando's log.
//!
//! The driver ([`main`]) starts the server, gives each side of each case and run a database of its own,
//! and prints medians, spread and ratios. Our side and the plain client's are this program called again;
//! Orlando's is built from `benches/orlando`. All are told the same work, in words, and the database's
//! address by the environment: it holds a password.

mod appends;
mod case;
mod contender;
mod driver;
mod idle;
mod lag;
mod load;
mod options;
mod ours;
mod raw;
mod reads;
mod side;

use std::process::ExitCode;

use self::options::{Options, What};

/// What sides find the address of their database by.
const URL: &str = "GLEANER_SERVERS_URL";

/// Runs the measurements, or one part of one if called so by itself.
pub fn main() -> ExitCode {
    let options = <Options as clap::Parser>::parse();
    let (done, what) = match options.what {
        What::Postgres(asked) => (driver::run(&asked), "servers".to_owned()),
        What::Side { side, work } => {
            let what = format!("servers, {}: {}", side.name(), work.join(" "));
            (side::run(side, work), what)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{what}: {error}");
            ExitCode::FAILURE
        }
    }
}
