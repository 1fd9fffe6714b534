//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A database of vector collections, followed by another process.
#[derive(Debug, Parser)]
#[command(name = "collections")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) side: Side,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Side {
    /// Own a database, take commands from standard input, and let followers follow it.
    Leader(Leader),
    /// Follow a leader's database, and answer searches from standard input.
    Follower(Follower),
    /// Run a leader and a follower on this machine, and see that they agree.
    Demo,
}

/// The owner's side.
#[derive(Debug, Args)]
pub(crate) struct Leader {
    /// Where to listen for followers
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The folder of its log; goes on from what is there [default: a fresh temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Who may follow: a line a token, hashed
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificate to show; its key with it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Go without a certificate, unencrypted, or without a token file, open to everybody
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// The following side.
#[derive(Debug, Args)]
pub(crate) struct Follower {
    /// What the leader said that it serves
    #[arg(long, value_name = "URL")]
    pub(crate) leader: String,
    /// The folder of its engine; goes on from what is there [default: a fresh temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The token that the leader knows the hash of
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificate of the authority that the leader's is trusted by
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Go to a grpc:// URL, unencrypted
    #[arg(long)]
    pub(crate) insecure: bool,
}
