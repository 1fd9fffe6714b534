//! `reads`: what a follower asks for when some of many grains have moved.

use std::collections::HashSet;

use gleaner::{Cursor, GrainId};
use gleaner_measure::{Work, begin, line, nanos, quantile};

use super::contender::{Contender, append_states, begin_grains};
use super::{URL, raw};
use crate::Outcome;
use crate::versus::logs::ids;

/// Of so many grains one has moved.
const EVERY: usize = 10;
/// How often all that moved is read: so often that a burst of something else on the machine is not the
/// median.
const ROUNDS: usize = 5;
/// How many grains are behind in one catch-up.
const BEHIND: usize = 1_000;

/// Reads over and over, all of the feed and then other thousands of grains, and prints the medians.
pub(crate) async fn run<C: Contender>(work: &Work, contender: C) -> Outcome<()> {
    let ids = ids(work.grains)?;
    begin_grains(&contender, &ids, work.payload).await?;
    let before = contender.end().await?;
    let moved: Vec<&GrainId> = ids.iter().step_by(EVERY).collect();
    append_states(&contender, moved.iter().copied(), 2, work.payload).await?;
    raw::tidy(&std::env::var(URL)?).await?;
    begin();

    let (mut feed, mut catch_up) = (Vec::new(), Vec::new());
    let rounds = std::iter::repeat_n(&moved, ROUNDS);
    for behind in rounds.flat_map(|moved| moved.chunks(BEHIND)) {
        let began = nanos();
        let (mut since, mut named) = (before.clone(), Vec::with_capacity(moved.len()));
        while !contender.page(&mut since, &mut named).await? {}
        feed.push((nanos() - began) as f64 / 1e6);
        check_names(&named, &moved)?;

        let wants: Vec<_> = behind
            .iter()
            .map(|grain| ((*grain).clone(), Cursor::new(1, 1)))
            .collect();
        let began = nanos();
        let states = contender.catch_up(&wants).await?;
        catch_up.push((nanos() - began) as f64 / 1e6);
        let is_newest = |(at, state): &(Cursor, bytes::Bytes)| {
            *at == Cursor::new(1, 2) && state.len() == work.payload
        };
        if states.len() != behind.len() || !states.iter().all(is_newest) {
            return Err("a grain was not brought to its newest state".into());
        }
    }
    for (name, samples) in [
        ("catch_up_1000_ms", &mut catch_up),
        ("feed_10000_ms", &mut feed),
    ] {
        line(name, quantile(samples, 0.5).ok_or("nothing was read")?);
    }
    Ok(())
}

fn check_names(named: &[(GrainId, Cursor)], moved: &[&GrainId]) -> Outcome<()> {
    let newest = named.iter().filter(|(_, at)| *at == Cursor::new(1, 2));
    let newest: HashSet<&GrainId> = newest.map(|(grain, _)| grain).collect();
    if newest.len() == moved.len() && moved.iter().all(|grain| newest.contains(grain)) {
        return Ok(());
    }
    let (found, wanted) = (newest.len(), moved.len());
    Err(format!("the feed named {found} of {wanted} grains").into())
}
