//! One side of one case, in this process.

use std::process::Command;

use gleaner_measure::Work;
use tokio::runtime::Builder;

use super::case::Case;
use super::contender::Contender;
use super::options::Side;
use super::ours::Ours;
use super::raw::Raw;
use super::{URL, appends, idle, lag, reads};
use crate::Outcome;

/// This program, called again to be a side of ours.
pub(crate) fn command(side: Side, work: &Work) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["side", side.name()]).args(work.to_args());
    Ok(command)
}

pub(crate) fn run(side: Side, words: Vec<String>) -> Outcome<()> {
    let work = Work::from_args(words)?;
    let case = Case::of(&work).ok_or("there is no such case")?;
    let url = std::env::var(URL)?;
    // What a user's `#[tokio::main]` makes.
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    match (side, case) {
        (Side::Gleaner, Case::Idle100k | Case::Idle10k) => idle::rest(&work, &url, &runtime),
        (Side::Gleaner, Case::LagHint | Case::LagPoll) if work.role == lag::FOLLOWER => {
            lag::follow(case, &work, &url, &runtime)
        }
        (Side::Gleaner, Case::LagHint | Case::LagPoll) => lag::publish(case, &work, &url, &runtime),
        (Side::Gleaner, _) => runtime.block_on(async {
            let ours = Ours::open(&url).await?;
            contend(case, &work, ours).await
        }),
        (Side::Raw, _) => runtime.block_on(async {
            // A connection for each task.
            let connections = match case {
                Case::Append16 => work.grains,
                _ => 1,
            };
            contend(case, &work, Raw::open(&url, connections).await?).await
        }),
        (Side::Orlando, _) => Err("it is another program".into()),
    }
}

async fn contend<C: Contender>(case: Case, work: &Work, contender: C) -> Outcome<()> {
    match case {
        Case::Append1 | Case::Append16 => appends::one_by_one(work, contender).await,
        Case::AppendBatch => appends::batches(work, contender).await,
        Case::Reads => reads::run(work, contender).await,
        _ => Err("this side has no such case".into()),
    }
}
