//! The writing process of the tests: `appender LOG PREFIX GRAINS HOW TURNS`.
//!
//! Owns the grains `PREFIX-0` to `PREFIX-(GRAINS-1)` of the log at a URL, each by a task of its own.
//! It says `ready`, waits for an order, then makes TURNS turns of each grain, or with 0 turns goes on
//! until its input ends; every acknowledged state is said. Any failed append ends it with an error.
//! Each further order is answered by `heard`.
//!
//! - `append`: straight into the log, so that nothing tries again what failed. Only for new grains.
//! - `publish`: through a publisher, each state awaited, all of them kept.
//! - `persist`: as `publish`, but unhurried, and a state that the log refuses is left behind for the
//!   next turn: nothing but being fenced ends it.
//! - `churn`: through a publisher with its defaults: bursts that coalesce, ends of grains and returns
//!   of them, compaction. Said is what stands at the end of a burst.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gleaner::{
    Compaction, Cursor, Draft, GrainId, GrainPublisher, PublishError, Publisher, ReplicationLog,
    Writer,
};
use gleaner_tests::{GRAIN_TYPE, Orders, Outcome, Payload, Report, say};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Append,
    Publish,
    Persist,
    Churn,
}

/// When to stop, and what the next turn is called.
#[derive(Clone)]
struct Turns {
    most: u64,
    told: watch::Receiver<bool>,
    next: Arc<AtomicU64>,
}

impl Turns {
    fn over(&self, done: u64) -> bool {
        if self.most > 0 {
            done >= self.most
        } else {
            *self.told.borrow()
        }
    }

    fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

#[tokio::main]
async fn main() -> Outcome {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, prefix, grains, how, most] = args.as_slice() else {
        return Err("appender LOG PREFIX GRAINS HOW TURNS".into());
    };
    let how = match how.as_str() {
        "append" => How::Append,
        "publish" => How::Publish,
        "persist" => How::Persist,
        "churn" => How::Churn,
        other => return Err(format!("how is {other}?").into()),
    };
    let keys = (0..grains.parse()?).map(|at: u64| format!("{prefix}-{at}"));
    let mut orders = Orders::listen();
    let log = gleaner::open(url).await?;
    say(&Report::Ready);
    let (stop, told) = watch::channel(false);
    if orders.next().await.is_none() {
        return Err("told to end before it was told to begin".into());
    }
    let turns = Turns {
        most: most.parse()?,
        told,
        // No two lives on this machine that write one log have a process id in common for long.
        next: Arc::new(AtomicU64::new(u64::from(std::process::id()) << 32 | 1)),
    };
    tokio::spawn(async move {
        while orders.next().await.is_some() {
            say(&Report::Heard);
        }
        stop.send_replace(true);
    });
    let mut tasks = JoinSet::new();
    let publisher = (how != How::Append).then(|| publisher(log.clone(), how));
    if let Some(publisher) = &publisher {
        let ids = keys.map(|key| GrainId::new(GRAIN_TYPE, key));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        for (at, grain) in (0..).zip(publisher.grains(ids).await) {
            let (grain, turns) = (grain?, turns.clone());
            match how {
                How::Churn => tasks.spawn(churn(grain, at, turns)),
                How::Persist => tasks.spawn(persist(grain, turns)),
                How::Append | How::Publish => tasks.spawn(publish(grain, turns)),
            };
        }
    } else {
        for key in keys {
            tasks.spawn(append(log.clone(), key, turns.clone()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    if let Some(publisher) = publisher {
        publisher.shutdown().await?;
    }
    say(&Report::Ended);
    Ok(())
}

fn publisher(log: Arc<dyn ReplicationLog>, how: How) -> Publisher {
    let builder = Publisher::builder(log).source("tests");
    match how {
        How::Churn => builder.spawn(),
        How::Append | How::Publish => builder
            .compaction(Compaction::never())
            .coalesce(false)
            .spawn(),
        How::Persist => builder
            .compaction(Compaction::never())
            .coalesce(false)
            .backoff(Duration::from_millis(5), Duration::from_millis(50))
            .spawn(),
    }
}

async fn append(log: Arc<dyn ReplicationLog>, key: String, turns: Turns) -> Outcome {
    let grain = GrainId::new(GRAIN_TYPE, key.as_str())?;
    let writer = Writer::new(u64::from(std::process::id()));
    let mut done = 0;
    while !turns.over(done) {
        done += 1;
        let (turn, cursor) = (turns.take(), Cursor::new(1, done));
        let state = Payload::new(turn).bytes(&key);
        let entry = Draft::full(grain.clone(), cursor, writer, state).seal();
        let head = log.append(entry).await?;
        if head.cursor != cursor {
            return Err(format!("{grain}: head {} after {cursor}", head.cursor).into());
        }
        acked(&grain, cursor, Some(turn));
    }
    Ok(())
}

async fn publish(grain: GrainPublisher, turns: Turns) -> Outcome {
    let mut done = 0;
    while !turns.over(done) {
        done += 1;
        let turn = turns.take();
        let state = Payload::new(turn).bytes(grain.id().grain_key());
        let cursor = grain.publish_bytes(state).await?;
        acked(grain.id(), cursor, Some(turn));
    }
    Ok(())
}

/// The pause between two turns, so that a round of faults leaves a log that is read in a moment.
const UNHURRIED: Duration = Duration::from_millis(4);

async fn persist(grain: GrainPublisher, turns: Turns) -> Outcome {
    let mut done = 0;
    while !turns.over(done) {
        done += 1;
        let turn = turns.take();
        let state = Payload::new(turn).bytes(grain.id().grain_key());
        match grain.publish_bytes(state).await {
            Ok(cursor) => acked(grain.id(), cursor, Some(turn)),
            // The publisher has said why.
            Err(PublishError::Log(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(UNHURRIED).await;
    }
    Ok(())
}

/// How many states a burst hands in without waiting for them.
const BURST: u64 = 5;

async fn churn(grain: GrainPublisher, at: u64, turns: Turns) -> Outcome {
    let mut done = 0;
    while !turns.over(done) {
        done += 1;
        let turn = turns.take();
        // Every third turn ends the grain and the next one brings it back; of any three grains in a
        // row, one is at its end at any time.
        if (done + at).is_multiple_of(3) {
            let cursor = grain.delete().await?;
            acked(grain.id(), cursor, None);
            continue;
        }
        let mut newest = (Cursor::ZERO, turn);
        for at in 0..BURST {
            let turn = if at == 0 { turn } else { turns.take() };
            let state = Payload::new(turn).bytes(grain.id().grain_key());
            newest = (grain.enqueue_bytes(state).await?, turn);
        }
        grain.flush().await?;
        if grain.acked() != newest.0 {
            return Err(format!("{}: {} after a flush", grain.id(), grain.acked()).into());
        }
        acked(grain.id(), newest.0, Some(newest.1));
    }
    Ok(())
}

fn acked(grain: &GrainId, cursor: Cursor, turn: Option<u64>) {
    say(&Report::Acked {
        key: grain.grain_key().to_owned(),
        cursor,
        turn,
    });
}
