//! `idle_100k`, `idle_10k`: what following grains that stand still costs, seen from outside.
//!
//! A side follows, says that it is ready, and stands still until it is told that it was measured. The
//! server's own counters and `/proc` say what it cost meanwhile.

use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use gleaner::memory::MemoryReplicaStore;
use gleaner::{Filter, Follower};
use gleaner_measure::{Work, nanos};
use gleaner_servers::Postgres;
use tokio::runtime::Runtime;

use super::contender::begin_grains;
use super::load::{family_nanos, process_nanos};
use super::ours::Ours;
use super::raw;
use crate::Outcome;
use crate::runs::PATIENCE;
use crate::versus::TYPE;
use crate::versus::following::in_step;
use crate::versus::logs::{ids, put_in_step};
use crate::wire::child::{Child, wait_for_go};
use crate::wire::said::Said;

/// A session that has nothing more to do tells the server's counters of what it did at most this late.
const COUNTED: Duration = Duration::from_secs(11);
/// Between two looks at a counter.
const LOOKS: Duration = Duration::from_millis(50);

/// Our side.
pub(crate) fn rest(work: &Work, url: &str, runtime: &Runtime) -> Outcome<()> {
    let follower = runtime.block_on(async {
        let ids = ids(work.grains)?;
        let store = Arc::new(MemoryReplicaStore::new());
        let ours = Ours::open(url).await?;
        begin_grains(&ours, &ids, work.payload).await?;
        put_in_step(&ids, &*ours.log, &*store).await?;
        drop(ours);
        raw::tidy(url).await?;
        // With connections of its own: what those that filled did is not counted with it.
        let follower = Follower::builder(Ours::open(url).await?.log, store)
            .poll_interval(Duration::from_millis(work.interval_ms))
            .spawn();
        follower.follow_all(Filter::grain_type(TYPE)).await?;
        follower.ready().await?;
        in_step(&follower, work.grains)?;
        Outcome::Ok(follower)
    })?;
    Said::Ready.say()?;
    wait_for_go()?;
    in_step(&follower, work.grains)?;
    runtime.block_on(follower.shutdown());
    Said::Done.say()
}

/// Starts a side and measures it while it stands still.
pub(crate) fn measure(
    mut command: Command,
    work: &Work,
    name: &str,
    server: &Postgres,
    database: &str,
) -> Outcome<Vec<(String, f64)>> {
    let postmaster = postmaster(server)?;
    let mut side = Child::start("side", &mut command)?;
    side.expect_within(PATIENCE, Said::Ready)?;
    sleep(COUNTED);
    server.sql("CHECKPOINT");

    let (began, queries) = next_count(server, database)?;
    let processors = || {
        Outcome::Ok((
            nanos(),
            family_nanos(postmaster)?,
            process_nanos(side.pid())?,
        ))
    };
    let before = processors()?;
    sleep(Duration::from_secs_f64(work.seconds));
    let after = processors()?;
    let (ended, counted) = next_count(server, database)?;

    side.go()?;
    side.expect_within(PATIENCE, Said::Done)?;
    let seconds = (after.0 - before.0) as f64;
    Ok(vec![
        (
            format!("{name}_queries_per_second"),
            (counted - queries) / (ended - began).as_secs_f64(),
        ),
        (
            format!("{name}_server_cpu"),
            after.1.saturating_sub(before.1) as f64 / seconds,
        ),
        (
            format!("{name}_client_cpu"),
            after.2.saturating_sub(before.2) as f64 / seconds,
        ),
    ])
}

/// When a session has next told the counter what it did, and the count: transactions of the database
/// since it was made, ended either way. Sessions tell it once a second and when they go to rest; two
/// counts taken at such a moment are what happened between them. The looks themselves are at another
/// database.
fn next_count(server: &Postgres, database: &str) -> Outcome<(Instant, f64)> {
    let look = || -> Outcome<f64> {
        let count = server.sql(&format!(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
        ));
        Ok(count.trim().parse()?)
    };
    let before = look()?;
    let began = Instant::now();
    loop {
        sleep(LOOKS);
        let count = look()?;
        // If nobody tells anything for so long, nothing was done.
        if count > before || began.elapsed() > COUNTED {
            return Ok((Instant::now(), count));
        }
    }
}

/// The parent of all of the server's processes.
fn postmaster(server: &Postgres) -> Outcome<u32> {
    let file = std::fs::read_to_string(server.folder().join("postmaster.pid"))?;
    let pid = file.lines().next().ok_or("postmaster.pid is empty")?;
    Ok(pid.trim().parse()?)
}
