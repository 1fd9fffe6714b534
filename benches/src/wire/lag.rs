//! `lag`: from an append inside the leader's process until the follower's reader is given it.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gleaner::{Follower, GrainId};
use gleaner_measure::{line, nanos, quantile};
use tokio::runtime::Runtime;

use super::case::Case;
use super::child::Child;
use super::follow_all;
use super::order::{FIRST, Order};
use super::said::Said;
use super::served::Served;
use crate::Outcome;
use crate::versus::following::readable;

/// Appends a second.
const RATE: u64 = 1_000;

/// What was seen of each grain, in the order in which it was: a sequence, and when.
pub(crate) type Seen = Vec<Vec<(u64, u64)>>;

pub(crate) fn lead(folder: &Path, runtime: &Runtime) -> Outcome<()> {
    let case = Case::Lag;
    let served = runtime.block_on(Served::open(case, folder))?;
    let follower = served.follower_in_step()?;
    let mut appended = Vec::with_capacity(case.entries() as usize);
    let mut late = Vec::with_capacity(appended.capacity());
    let began = nanos();
    for place in 0..case.entries() {
        let due = began + place * (1_000_000_000 / RATE);
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(nanos())));
        late.push(nanos().saturating_sub(due) as f64 / 1e6);
        let entry = served.order.entry(place)?;
        appended.push(nanos());
        runtime.block_on(served.log.append(entry))?;
    }
    let reached = case.entries() as f64 * 1e9 / (nanos() - began) as f64;
    let mut lags = lags_ms(&appended, &hear_seen(&follower, case.grains())?)?;
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        let lag = quantile(&mut lags, part).ok_or("nothing was appended")?;
        line(&format!("lag_{name}_ms"), lag);
    }
    line("lag_appends_per_second", reached);
    let late = quantile(&mut late, 0.99).ok_or("nothing was appended")?;
    line("lag_writer_late_p99_ms", late);
    served.end(follower, runtime);
    Ok(())
}

/// What [`say_seen`] says at its end, in the follower's process.
pub(crate) fn hear_seen(follower: &Child, grains: u32) -> Outcome<Seen> {
    let mut seen: Seen = vec![Vec::new(); grains as usize];
    loop {
        match follower.hear()? {
            Said::Seen {
                grain,
                sequence,
                at,
            } => {
                let of_grain = seen.get_mut(grain as usize);
                of_grain.ok_or("no such grain")?.push((sequence, at));
            }
            Said::Done => return Ok(seen),
            other => return Err(follower.unexpected(other)),
        }
    }
}

/// Milliseconds from before each append until its state, or a later one of its grain, was seen.
pub(crate) fn lags_ms(appended: &[u64], seen: &Seen) -> Outcome<Vec<f64>> {
    let grains = seen.len().max(1);
    let mut lags = Vec::with_capacity(appended.len());
    for (place, from) in appended.iter().enumerate() {
        let sequence = u64::from(FIRST) + 1 + (place / grains) as u64;
        let at = seen
            .get(place % grains)
            .and_then(|seen| seen.iter().find(|(newest, _)| *newest >= sequence));
        let (_, at) = at.ok_or_else(|| format!("append {place} was never readable"))?;
        lags.push(at.saturating_sub(*from) as f64 / 1e6);
    }
    Ok(lags)
}

pub(crate) fn follow(leader: SocketAddr, runtime: &Runtime) -> Outcome<()> {
    let case = Case::Lag;
    let order = Order::new(case.grains())?;
    let follower = follow_all(leader, &order, runtime)?;
    runtime.block_on(follower.ready())?;
    let last = u64::from(FIRST) + case.entries() / u64::from(case.grains());
    say_seen(&follower, order.ids(), last, runtime)
}

/// Says that it is ready, then reads each grain that the follower says has moved, as a cache beside it
/// would, until all of them are at their last sequence, and says what it has seen.
pub(crate) fn say_seen(
    follower: &Follower,
    ids: &[GrainId],
    last: u64,
    runtime: &Runtime,
) -> Outcome<()> {
    let numbers: HashMap<GrainId, u32> = ids.iter().cloned().zip(0..).collect();
    let mut changes = follower.changes();
    let reader = follower.raw_reader();
    Said::Ready.say()?;
    let seen = runtime.spawn(async move {
        let mut seen = Vec::new();
        let mut to_come: HashSet<u32> = numbers.values().copied().collect();
        while !to_come.is_empty() {
            let (grain, _) = changes.next().await.ok_or("the follower has ended")?;
            let sequence = readable(&reader, &grain);
            let at = nanos();
            let sequence = sequence.ok_or("what has moved cannot be read")?;
            let grain = *numbers.get(&grain).ok_or("no such grain")?;
            if sequence == last {
                to_come.remove(&grain);
            }
            seen.push(Said::Seen {
                grain,
                sequence,
                at,
            });
        }
        Outcome::Ok(seen)
    });
    for said in runtime.block_on(seen)?? {
        said.say()?;
    }
    Said::Done.say()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_ends_with_the_first_look_that_sees_the_state_or_a_later_one() {
        // Two grains; of the second the first append was leapt over.
        let seen = vec![vec![(2, 2_000_000), (3, 9_000_000)], vec![(3, 10_000_000)]];
        let lags = lags_ms(&[1_000_000, 2_000_000, 3_000_000, 4_000_000], &seen).unwrap();
        assert_eq!(lags, [1.0, 8.0, 6.0, 6.0]);
        assert!(lags_ms(&[1, 1, 1], &vec![vec![(2, 5)], vec![(2, 5)]]).is_err());
    }
}
