//! `wire`: a leader, its follower and its writers, each a process of its own, over loopback.
//!
//! The driver starts a leader for each case and run; the leader starts the others and measures. All are
//! this program, called again with a hidden command. Leader and children talk over the children's pipes
//! ([`child`], [`said`]), never over the connection that is measured, and read one monotonic clock.

mod bootstrap;
mod case;
pub(crate) mod child;
mod driver;
pub(crate) mod lag;
mod options;
pub(crate) mod order;
pub(crate) mod said;
mod served;
mod tail;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gleaner::grpc::GrpcLog;
use gleaner::memory::MemoryReplicaStore;
use gleaner::{Filter, Follower};
use tokio::runtime::{Builder, Runtime};

use self::case::Case;
use self::options::{Options, Part};
use self::order::{Order, TYPE};
use crate::Outcome;
use crate::versus::following::all_readable;

/// A payload, in bytes.
const PAYLOAD: usize = 108;

/// Runs the measurements, or one part of one if called so by itself.
pub fn main() -> ExitCode {
    let options = <Options as clap::Parser>::parse();
    let (done, what) = match &options.part {
        None => (driver::run(&options), "wire".to_owned()),
        Some(part) => (play(part), format!("wire, {}", part.name())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{what}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(part: &Part) -> Outcome<()> {
    // What a user's `#[tokio::main]` makes.
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    match *part {
        Part::Leader { case, ref folder } => match case {
            Case::BootstrapMemory | Case::BootstrapSqlite => {
                bootstrap::lead(case, folder, &runtime)
            }
            Case::TailBatch => tail::lead_batches(folder, &runtime),
            Case::TailSingle => tail::lead_singles(folder, &runtime),
            Case::Lag => lag::lead(folder, &runtime),
        },
        Part::Follower { case, leader } => {
            child::end_with_the_parent();
            match case {
                Case::BootstrapMemory | Case::BootstrapSqlite => {
                    bootstrap::follow(case, leader, &runtime)?;
                }
                Case::TailBatch | Case::TailSingle => tail::follow(case, leader, &runtime)?,
                Case::Lag => lag::follow(leader, &runtime)?,
            }
            // The leader closes the pipe when it has measured.
            child::wait_for_the_parent()
        }
        Part::Writers { leader } => tail::write(leader, &runtime),
    }
}

/// The leader's log, as a user opens it.
fn open(leader: SocketAddr) -> Outcome<Arc<GrpcLog>> {
    let log = GrpcLog::builder(format!("grpc://{leader}")).insecure(true);
    Ok(Arc::new(log.open()?))
}

/// Opens the log, follows all of it, and returns when each grain is readable at its first state.
fn follow_all(leader: SocketAddr, order: &Order, runtime: &Runtime) -> Outcome<Follower> {
    runtime.block_on(async {
        let follower = Follower::builder(open(leader)?, Arc::new(MemoryReplicaStore::new()))
            .poll_interval(Duration::from_millis(100))
            .spawn();
        follower.follow_all(Filter::grain_type(TYPE)).await?;
        all_readable(order::FIRST, order.ids(), &follower.raw_reader()).await;
        Ok(follower)
    })
}
