//! `scale`: idle cost, start and lag against the number of grains.

use std::sync::Arc;

use gleaner_measure::{Work, line, quantile};

use super::idle::Resting;
use super::{Outcome, lag, logs};

pub(crate) async fn run(work: &Work) -> Outcome<()> {
    let ids = Arc::new(logs::ids(work.grains)?);
    let resting = Resting::reach(work, &ids).await?;
    let name = |metric| format!("{}.{metric}", work.grains);
    line(&name("follow_seconds"), resting.follow_seconds);
    line(&name("ready_seconds"), resting.ready_seconds);
    line(&name("bytes_per_grain"), resting.bytes_per_grain);
    let (cpu, calls) = resting.cost(work).await?;
    line(&name("idle_cpu_seconds_per_second"), cpu);
    line(&name("log_calls_per_second"), calls);
    let log = resting.log.clone();
    let (heard, observer) = lag::write_and_watch(work, &ids, log, &resting.follower).await?;
    let (reached, mut lags) = heard.lags(observer)?;
    line(&name("appends_per_second"), reached.per_second);
    let p99 = quantile(&mut lags, 0.99).ok_or("nothing was appended")?;
    line(&name("append_to_visible_p99_ms"), p99);
    resting.follower.shutdown().await;
    Ok(())
}
