//! Starts a server and ends without a word to it, for the test of what is left then.
//!
//! `abandon postgres|redis|nats kill|paused|return|panic`: says the server's port and folder, waits for a line, then
//! kills itself with -9 (`paused`: while the server is), returns from `main` with the server in a `static`,
//! or panics.

use std::io::Read;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use gleaner_servers::{Nats, Postgres, Program, Redis, Server, or_skip};

fn main() -> ExitCode {
    static REDIS: OnceLock<Redis> = OnceLock::new();
    static NATS: OnceLock<Nats> = OnceLock::new();

    let mut words = std::env::args().skip(1);
    let server = words.next().unwrap_or_default();
    let how = words.next().unwrap_or_default();
    let done = match server.as_str() {
        "postgres" => Postgres::shared().map(|server| abandon(server, &how)),
        "redis" => Redis::start().map(|server| abandon(REDIS.get_or_init(|| server), &how)),
        "nats" => Nats::start().map(|server| abandon(NATS.get_or_init(|| server), &how)),
        _ => return ExitCode::FAILURE,
    };
    or_skip(done).unwrap_or(ExitCode::SUCCESS)
}

fn abandon<P: Program>(server: &'static Server<P>, how: &str) -> ExitCode {
    println!("{} {}", server.port(), server.folder().display());
    let _ = std::io::stdin().read(&mut [0]);
    match how {
        "return" => return ExitCode::SUCCESS,
        "panic" => panic!("as asked"),
        "paused" => server.pause(),
        _ => {}
    }
    let itself = std::process::id().to_string();
    let _ = Command::new("kill").args(["-9", &itself]).status();
    ExitCode::FAILURE
}
