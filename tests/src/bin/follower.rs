//! The following process of the tests: `follower LOG STORE GRAINS_A_READ`.
//!
//! Follows all grains of the tests' type from the log at one URL into the store at another, and says
//! every entry read and every replica moved. Orders: `stands KEY`, `pages`, `rebase`. When its input
//! ends, it waits to be proved in step, says so, and ends.

use std::sync::Arc;
use std::time::Duration;

use gleaner::{Filter, Follower, GrainId, ReadOptions};
use gleaner_tests::{GRAIN_TYPE, Orders, Outcome, Payload, Report, ToldLog, ToldStore, say};

#[tokio::main]
async fn main() -> Outcome {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [log, store, grains_a_read] = args.as_slice() else {
        return Err("follower LOG STORE GRAINS_A_READ".into());
    };
    let mut orders = Orders::listen();
    let log = Arc::new(ToldLog::new(gleaner::open(log).await?));
    let store = Arc::new(ToldStore::new(gleaner::open_store(store, None).await?));
    let follower = Follower::builder(log, store)
        .poll_interval(Duration::from_millis(20))
        .backoff(Duration::from_millis(5), Duration::from_millis(50))
        .grains_per_read(grains_a_read.parse()?)
        .spawn();
    follower.follow_all(Filter::grain_type(GRAIN_TYPE)).await?;
    say(&Report::Ready);
    while let Some(order) = orders.next().await {
        let words: Vec<&str> = order.split(' ').collect();
        match words.as_slice() {
            ["stands", key] => say(&stands(&follower, key)?),
            ["pages"] => say(&Report::Pages {
                count: follower.progress().pages,
            }),
            ["rebase"] => {
                let (done, left) = follower.rebase_foreign().await?;
                say(&Report::Rebased { done, left });
            }
            _ => return Err(format!("an order {order:?}?").into()),
        }
    }
    let found = follower.caught_up().await?;
    say(&Report::CaughtUp {
        in_step: found.in_step,
        held: found.held,
        entries_read: follower.progress().entries_read,
    });
    follower.shutdown().await;
    say(&Report::Ended);
    Ok(())
}

fn stands(
    follower: &Follower,
    key: &str,
) -> Result<Report, Box<dyn std::error::Error + Send + Sync>> {
    let grain = GrainId::new(GRAIN_TYPE, key)?;
    let options = ReadOptions::max_age(Duration::MAX);
    let Ok(answer) = follower.raw_reader().get(&grain, options) else {
        return Ok(Report::Refused {
            key: key.to_owned(),
        });
    };
    let payload = Payload::read(key, &answer.state).ok_or("a state that nobody published")?;
    Ok(Report::Stands {
        key: key.to_owned(),
        health: answer.health.name().to_owned(),
        cursor: answer.cursor,
        turn: payload.turn(),
    })
}
