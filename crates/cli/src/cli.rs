//! What can be asked for on the command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gleaner::grpc::access::Right;
use gleaner::{Cursor, Epoch, Writer};

use crate::scope::{Rules, Scope};

/// The exit codes, as `--help` and the manual say them.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; also if standard output was closed, and if serve or follow was told to end
  1  failed, and waiting will not help
  2  the command line or the input is wrong
  3  the leader refuses the token, or what was asked with it
  4  another writer owns the grain, or the entry does not follow its head
  5  the log cannot be reached or did not answer; the same command may succeed later
  6  there is no such grain, or no such file
  7  follow --once: some replicas do not stand as the log does";

/// Serve a replication log, append to it, follow it, and look into it.
#[derive(Debug, Parser)]
#[command(name = "gleaner", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print an object a line; failures, too, on standard error: {"error":{"kind":..,"message":..}}
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be the leader of a log: serve it to other clusters on one port, until told to end.
    Serve(Serve),
    /// Append one entry from standard input, or many.
    Append(Append),
    /// Follow grains: print each change until told to end, or what they hold once all is caught up.
    Follow(Follow),
    /// List the heads of grains.
    Heads(Heads),
    /// Show one grain: its head, the entries that are left of it, and its state.
    Show(Show),
    /// Remove history that is older than the newest whole state.
    Truncate(Truncate),
    /// Make tokens for a leader.
    #[command(subcommand)]
    Token(Token),
}

/// Which log.
#[derive(Debug, Clone, Args)]
pub(crate) struct Log {
    /// The log: `sqlite:PATH`, `postgres://USER@HOST/DATABASE?password-file=F`, `memory:`,
    /// `grpcs://HOST:PORT?ca=F&token-file=F`, or `grpc://HOST:PORT?insecure=true`
    #[arg(long = "log", value_name = "URL")]
    pub(crate) url: String,
}

/// How long to try.
#[derive(Debug, Clone, Args)]
pub(crate) struct Timeout {
    /// How long a call to the log is tried, such as 500ms or 1m
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// Serve.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) log: Log,
    /// Where to listen, such as 127.0.0.1:7431; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Who may do what: a file of the lines that `token new` prints; followed as it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The leader's certificate and those that lead to its authority, in PEM; followed as it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Ask everyone for a certificate of this authority
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Go without TLS or without tokens if they are not given: whoever reaches the port reads and writes
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// Append.
#[derive(Debug, Args)]
pub(crate) struct Append {
    #[command(flatten)]
    pub(crate) log: Log,
    /// The grain's type
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "lines")]
    pub(crate) grain_type: Option<String>,
    /// The grain's key
    #[arg(long, value_name = "KEY", required_unless_present = "lines")]
    pub(crate) key: Option<String>,
    /// What standard input is; a tombstone reads none
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Full)]
    pub(crate) kind: Kind,
    /// Read an object a line: {"type":..,"key":..,"kind":..,"state":..}, or others of its fields
    #[arg(long, conflicts_with_all = ["grain_type", "key", "kind", "writer"])]
    pub(crate) lines: bool,
    /// The version of the states' layout
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) schema: u32,
    /// The cluster's name, a label on each entry
    #[arg(long, value_name = "NAME", default_value = "gleaner")]
    pub(crate) source: String,
    /// Go on as this writer, as an earlier append printed it; without, the grain is claimed anew
    #[arg(long, value_name = "EPOCH:WRITER", value_parser = writer)]
    pub(crate) writer: Option<(Epoch, Writer)>,
    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The whole state
    Full,
    /// A change to the state just before it
    Delta,
    /// The end of the grain
    Tombstone,
}

impl From<Kind> for gleaner::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Full => Self::FullState,
            Kind::Delta => Self::Delta,
            Kind::Tombstone => Self::Tombstone,
        }
    }
}

/// Follow.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// How long a grain goes unasked-for at most, such as 50ms
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(crate) poll_interval: Duration,
    /// Where to keep the replicas: `sqlite:PATH`, `postgres://..` or `memory:`; goes on from what is there
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub(crate) store: String,
    /// End when all is caught up, and print what the replicas hold then
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: how long to wait for that [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "once")]
    pub(crate) timeout: Option<Duration>,
}

/// Heads.
#[derive(Debug, Args)]
pub(crate) struct Heads {
    #[command(flatten)]
    pub(crate) log: Log,
    /// The grains of this type alone
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) grain_type: Option<String>,
    /// Those whose key begins so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) key_prefix: Option<String>,
    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// Which grain.
#[derive(Debug, Clone, Args)]
pub(crate) struct Grain {
    /// The grain's type
    #[arg(value_name = "TYPE")]
    pub(crate) grain_type: String,
    /// The grain's key
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

/// Show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) grain: Grain,
    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// Truncate.
#[derive(Debug, Args)]
pub(crate) struct Truncate {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) grain: Grain,
    /// Remove only what lies below the newest whole state at or below this cursor [default: the head]
    #[arg(long, value_name = "EPOCH:SEQUENCE", value_parser = cursor)]
    pub(crate) before: Option<Cursor>,
    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// Tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Draw a secret, print it once, and print the line that admits it.
    New(TokenNew),
}

/// A new token.
#[derive(Debug, Args)]
pub(crate) struct TokenNew {
    /// What the leader calls its holder; no two are alike
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// What its holder may do: read, append, claim, truncate; one or more of them
    #[arg(long, value_name = "RIGHT", required = true, num_args = 1.., value_delimiter = ',', value_parser = right)]
    pub(crate) right: Vec<Right>,
    #[command(flatten)]
    pub(crate) scope: Rules,
    /// For how long, such as 90days [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) expires_in: Option<Duration>,
    /// Append the line to this file, too; it is made for its owner alone if it is missing
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "no such host".to_owned())
}

fn right(text: &str) -> Result<Right, String> {
    text.parse()
        .map_err(|error: gleaner::grpc::access::UnknownRight| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    // A longer one could not be added to a clock.
    let longest = Duration::from_secs(100 * 365 * 86_400);
    if duration.is_zero() {
        Err("must be longer than nothing".to_owned())
    } else {
        Ok(duration.min(longest))
    }
}

fn cursor(text: &str) -> Result<Cursor, String> {
    let numbers = text.split_once(':').and_then(|(epoch, sequence)| {
        Some(Cursor::new(epoch.parse().ok()?, sequence.parse().ok()?))
    });
    numbers.ok_or_else(|| "an epoch and a sequence, such as 1:42".to_owned())
}

fn writer(text: &str) -> Result<(Epoch, Writer), String> {
    let parts = text.split_once(':').and_then(|(epoch, writer)| {
        let drawn = u64::from_str_radix(writer, 16).ok()?;
        Some((Epoch::new(epoch.parse().ok()?), Writer::new(drawn)))
    });
    parts.ok_or_else(|| "an epoch and a writer, as an append prints them".to_owned())
}
