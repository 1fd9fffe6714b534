//! The `gleaner` command: serve a log, append to it, follow it, and look into it.
//!
//! It owns words: what can be asked on a command line, how answers are printed, and which exit code
//! stands for which failure. What is done is the library's doing; this program numbers and retries as
//! much as one writer must ([`pen`]) and decides nothing about replicas.
//!
//! ```text
//! cli, scope -> serve | append (lines, pen) | follow (watched, states) | heads | show | truncate | token
//!                   |
//!                out (text, or an object a line) and failure (kind, exit code)
//! ```

mod append;
mod cli;
mod failure;
mod follow;
mod heads;
mod lines;
mod open;
mod out;
mod patience;
mod pen;
mod progress;
mod said;
mod scope;
mod serve;
mod show;
mod states;
mod stop;
mod token;
mod traces;
mod truncate;
mod watched;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, Token};
use crate::failure::Result;
use crate::out::Out;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::not_understood(&error),
    };
    traces::begin(cli.json);
    let mut out = Out::new(cli.json);
    let done = run(cli.command, &mut out).await;
    // What was said before a failure is said, too.
    match done.and(out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(cli.json),
    }
}

async fn run(command: Command, out: &mut Out) -> Result<()> {
    match command {
        Command::Serve(options) => serve::run(options, out).await,
        Command::Append(options) => append::run(options, out).await,
        Command::Follow(options) => follow::run(options, out).await,
        Command::Heads(options) => heads::run(options, out).await,
        Command::Show(options) => show::run(options, out).await,
        Command::Truncate(options) => truncate::run(options, out).await,
        Command::Token(Token::New(options)) => token::new(options, out),
    }
}
