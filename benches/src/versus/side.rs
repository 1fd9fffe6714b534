//! Our side: one case in this process.

use gleaner_measure::Work;

use super::{Outcome, append, backlog, idle, lag, neighbours, overload, reads, scale};

/// What the driver calls itself with to be our side.
pub(crate) const FLAG: &str = "--side";

pub(crate) fn run(args: impl Iterator<Item = String>) -> Outcome<()> {
    let work = Work::from_args(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match work.case.as_str() {
        "idle" => runtime.block_on(idle::run(&work)),
        "backlog" | "wide" => runtime.block_on(backlog::run(&work)),
        "lag" => runtime.block_on(lag::run(&work)),
        "lag_processes" if work.role == "writer" => runtime.block_on(lag::write(&work)),
        "lag_processes" => runtime.block_on(lag::run_processes(&work)),
        "reads" => reads::run(&work, &runtime),
        "append" | "append_closed" => runtime.block_on(append::run(&work)),
        "scale" => runtime.block_on(scale::run(&work)),
        "neighbours" => runtime.block_on(neighbours::run(&work)),
        "overload" => runtime.block_on(overload::run(&work)),
        other => Err(format!("there is no case {other} on this side").into()),
    }
}
