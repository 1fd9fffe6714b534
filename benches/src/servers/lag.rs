//! `lag_hint`, `lag_poll`: from just before an append is made until the reader of a follower in another
//! process is given it.

use std::sync::Arc;
use std::time::Duration;

use gleaner::memory::MemoryReplicaStore;
use gleaner::{Filter, Follower, ReplicationLog};
use gleaner_measure::{Work, begin, line, nanos, quantile};
use tokio::runtime::Runtime;

use super::case::Case;
use super::contender::begin_grains;
use super::options::Side;
use super::ours::Ours;
use super::{raw, side};
use crate::Outcome;
use crate::versus::TYPE;
use crate::versus::following::in_step;
use crate::versus::logs::entry;
use crate::wire::child::{Child, end_with_the_parent, wait_for_the_parent};
use crate::wire::lag::{hear_seen, lags_ms, say_seen};
use crate::wire::order::{FIRST, Order};
use crate::wire::said::Said;

/// The role of the process that follows.
pub(crate) const FOLLOWER: &str = "follower";

/// Appends at the pace, whether or not what was appended before has been answered, as a cluster does in
/// which many grains take turns; then prints the lags.
pub(crate) fn publish(case: Case, work: &Work, url: &str, runtime: &Runtime) -> Outcome<()> {
    let order = Order::new(work.grains)?;
    let log = runtime.block_on(async {
        let ours = open(case, url).await?;
        begin_grains(&ours, order.ids(), work.payload).await?;
        raw::tidy(url).await?;
        Outcome::Ok(ours.log)
    })?;
    let following = Work {
        role: FOLLOWER.to_owned(),
        ..work.clone()
    };
    let mut command = side::command(Side::Gleaner, &following)?;
    begin();
    let follower = Child::start(FOLLOWER, &mut command)?;
    follower.expect(Said::Ready)?;

    let entries = appends(work);
    let (mut appended, mut late, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    let began = nanos();
    for place in 0..entries {
        let due = began + place * (1_000_000_000 / u64::from(work.rate));
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(nanos())));
        late.push(nanos().saturating_sub(due) as f64 / 1e6);
        let (grain, sequence) = order.at(place)?;
        let entry = entry(grain, sequence, work.payload);
        let log = log.clone();
        appended.push(nanos());
        answers.push(runtime.spawn(async move {
            log.append(entry).await?;
            Outcome::Ok(nanos())
        }));
    }
    let mut took = Vec::with_capacity(answers.len());
    let mut ended = began;
    for (answer, from) in answers.into_iter().zip(&appended) {
        let answered = runtime.block_on(answer)??;
        took.push((answered - from) as f64 / 1e6);
        ended = ended.max(answered);
    }
    let mut lags = lags_ms(&appended, &hear_seen(&follower, work.grains)?)?;
    for (name, samples) in [
        ("", &mut lags),
        ("append_", &mut took),
        ("late_", &mut late),
    ] {
        for (of, part) in [("p50_ms", 0.5), ("p99_ms", 0.99)] {
            let value = quantile(samples, part).ok_or("nothing was appended")?;
            line(&format!("{}_{name}{of}", case.name()), value);
        }
    }
    let reached = entries as f64 * 1e9 / (ended - began) as f64;
    line(&format!("{}_appends_per_second", case.name()), reached);
    Ok(())
}

/// Opens the log: told of what others append, or not.
async fn open(case: Case, url: &str) -> Outcome<Ours> {
    match case {
        Case::LagHint => Ours::open(url).await,
        _ => Ours::open_without_hints(url).await,
    }
}

/// How many appends there are: the same number to each grain.
fn appends(work: &Work) -> u64 {
    let all =
        Duration::from_secs_f64(work.seconds).as_millis() as u64 * u64::from(work.rate) / 1_000;
    let grains = u64::from(work.grains);
    (all / grains).max(1) * grains
}

/// The process that follows: with a log, and connections, of its own.
pub(crate) fn follow(case: Case, work: &Work, url: &str, runtime: &Runtime) -> Outcome<()> {
    end_with_the_parent();
    let order = Order::new(work.grains)?;
    let follower = runtime.block_on(async {
        let store = Arc::new(MemoryReplicaStore::new());
        let follower = Follower::builder(open(case, url).await?.log, store)
            .poll_interval(Duration::from_millis(work.interval_ms))
            .spawn();
        follower.follow_all(Filter::grain_type(TYPE)).await?;
        follower.ready().await?;
        in_step(&follower, work.grains)?;
        Outcome::Ok(follower)
    })?;
    let last = u64::from(FIRST) + appends(work) / u64::from(work.grains);
    say_seen(&follower, order.ids(), last, runtime)?;
    // The publisher closes the pipe when it has measured.
    wait_for_the_parent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grain_is_appended_to_as_often() {
        let work = Case::LagHint.work();
        assert_eq!(appends(&work), 10_000);
        let fewer = Work {
            grains: 300,
            ..work
        };
        assert_eq!(appends(&fewer) % 300, 0);
    }
}
