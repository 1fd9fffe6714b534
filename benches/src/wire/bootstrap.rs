//! `bootstrap_memory` and `bootstrap_sqlite`: from the follower's start until every grain is readable.

use std::net::SocketAddr;
use std::path::Path;

use gleaner::ReadOptions;
use gleaner_measure::{begin, line, nanos, payload};
use tokio::runtime::Runtime;

use super::case::Case;
use super::child::Child;
use super::order::{FIRST, Order};
use super::said::Said;
use super::served::Served;
use super::{PAYLOAD, follow_all};
use crate::Outcome;

pub(crate) fn lead(case: Case, folder: &Path, runtime: &Runtime) -> Outcome<()> {
    let served = runtime.block_on(Served::open(case, folder))?;
    begin();
    let follower = Child::follower(case, served.leader.local_addr())?;
    let Said::Took(nanos) = follower.hear()? else {
        return Err("the follower did not say how long it took".into());
    };
    let sent = served.bytes_sent();
    follower.expect(Said::Done)?;
    let grains = f64::from(case.grains());
    line(
        &format!("{}_grains_per_second", case.name()),
        grains * 1e9 / nanos as f64,
    );
    if case == Case::BootstrapMemory {
        line("bootstrap_bytes_per_grain", sent as f64 / grains);
    }
    served.end(follower, runtime);
    Ok(())
}

pub(crate) fn follow(case: Case, leader: SocketAddr, runtime: &Runtime) -> Outcome<()> {
    // The ids are only looked up with; a user has them, too.
    let order = Order::new(case.grains())?;
    let began = nanos();
    let follower = follow_all(leader, &order, runtime)?;
    Said::Took(nanos() - began).say()?;
    let state = payload(PAYLOAD, u64::from(FIRST));
    for grain in order.ids() {
        let answer = follower.raw_reader().get(grain, ReadOptions::default())?;
        if answer.state[..] != state[..] {
            return Err(format!("{grain} has another state").into());
        }
    }
    Said::Done.say()
}
