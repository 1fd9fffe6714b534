//! Orlando's side of the comparison. Runs one case in this process and prints `name=value` lines.

mod append;
mod backlog;
mod counted;
mod following;
mod idle;
mod lag;
mod logs;
mod reads;
mod servers;

use gleaner_measure::Work;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The type of all grains.
const TYPE: &str = "grain";

fn main() -> Outcome<()> {
    let work = Work::from_args(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match work.case.as_str() {
        "idle" => runtime.block_on(idle::run(&work)),
        "backlog" | "wide" => runtime.block_on(backlog::run(&work)),
        "lag" => runtime.block_on(lag::run(work)),
        "lag_processes" => match work.role.as_str() {
            "writer" => runtime.block_on(lag::write(&work)),
            _ => runtime.block_on(lag::run_processes(&work)),
        },
        "reads" => reads::run(&work),
        "append" | "append_closed" => runtime.block_on(append::run(&work)),
        case if case.starts_with(servers::PREFIX) => runtime.block_on(servers::run(&work)),
        other => Err(format!("there is no case {other} on this side").into()),
    }
}
