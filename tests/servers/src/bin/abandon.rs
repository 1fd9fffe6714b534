//! Starts a server and ends without a word to it, for the test of what is left then.
//!
//! `abandon postgres kill|paused|return|panic`: says the server's port and folder, waits for a line, then
//! kills itself with -9 (`paused`: while the server is), returns from `main` with the server in a `static`,
//! or panics.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use gleaner_servers::Postgres;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let server = words.next().unwrap_or_default();
    let started = match server.as_str() {
        "postgres" => Postgres::shared().map(|server| say(server.port(), server.folder())),
        _ => return ExitCode::FAILURE,
    };
    if let Err(missing) = started {
        eprintln!("{missing}");
        return ExitCode::FAILURE;
    }
    let _ = std::io::stdin().read(&mut [0]);
    let how = words.next();
    if let (Some("paused"), Ok(server)) = (how.as_deref(), Postgres::shared()) {
        server.pause();
    }
    match how.as_deref() {
        Some("kill" | "paused") => {
            let itself = std::process::id().to_string();
            let _ = Command::new("kill").args(["-9", &itself]).status();
            ExitCode::FAILURE
        }
        Some("return") => ExitCode::SUCCESS,
        Some("panic") => panic!("as asked"),
        _ => ExitCode::FAILURE,
    }
}

fn say(port: u16, folder: &Path) {
    println!("{port} {}", folder.display());
    let _ = std::io::stdout().flush();
}
