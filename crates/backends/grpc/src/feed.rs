//! The change feed of [`GrpcLog`].

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use foldhash::fast::FixedState;
use gleaner_core::{ChangeFeed, Changes, Filter, GrainId, Moved, Position, Pushed, Result};

use crate::BACKEND;
use crate::error::Lost;
use crate::log::GrpcLog;
use crate::proto;
use crate::wire::{
    HeadReader, Known, Malformed, counters, decode_grains, decode_position, encode_filter,
    encode_position, number,
};

/// How many names are asked for that a stream may be about to bring.
const AHEAD: usize = 64;
/// How long a stream may take to bring what the leader held when it was asked.
const CATCHES_UP: Duration = Duration::from_millis(500);

/// `start` and `changes` ask the leader, and so confirm. `wait` and `pushed` listen to a stream from the
/// leader, one a filter, which begins at the position that is first waited from.
///
/// What the stream has named since the last page need not be asked for again: `changes` puts those names
/// before what the leader answers about the rest. Is there much of that, the stream is on its way with it: then
/// the leader is asked for the feed's end alone, and the page is what the stream has named by the time that it
/// gets there. A page then holds more names than its limit, and a change crosses the network once.
///
/// # Why that confirms
/// The end is asked for after the call began, so nothing that was acknowledged before lies beyond it; and the
/// stream, which begins at a position and misses nothing, has named what moved up to it.
#[async_trait]
impl ChangeFeed for GrpcLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        let request = proto::StartRequest {
            filter: Some(encode_filter(filter)),
        };
        let answer = self
            .link
            .call(
                Lost::Nothing,
                None,
                request,
                |mut client, request| async move { client.start(request).await },
            )
            .await?;
        decode_position(answer.position, filter)
            .map_err(|malformed| Lost::Nothing.malformed(malformed))
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        // Of the identity the leader decides.
        since.counters(since.identity(), filter, BACKEND)?;
        let told = self.subscriptions.told_since(since, filter);
        let streamed = told.whole && self.subscriptions.is_told(filter);
        let (mut told, from) = (told.moved, told.from);
        // What the stream is about to bring is not asked for twice.
        let most = if streamed { limit.min(AHEAD) } else { limit };
        let mut page = self.ask_changes(&from, filter, most).await?;
        if streamed && !page.complete {
            let end = self.start(filter).await?;
            if self.subscriptions.reaches(&end, filter, CATCHES_UP).await {
                let rest = self.subscriptions.told_since(&from, filter);
                // Only what was named up to the end makes the page whole.
                if rest.whole && is_behind(counters(&end), counters(&rest.from)) {
                    told.extend(std::mem::take(&mut page.moved));
                    page.moved = rest.moved;
                    page.next = rest.from;
                    page.complete = true;
                }
            }
        }
        if !told.is_empty() {
            let newer: HashSet<GrainId, FixedState> =
                page.moved.iter().map(|it| it.grain.clone()).collect();
            let told = told.into_iter().filter(|it| !newer.contains(&it.grain));
            page.moved = told.chain(std::mem::take(&mut page.moved)).collect();
        }
        Ok(page)
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        self.subscriptions.wait(since, at_most).await;
    }

    async fn pushed(&self, filter: &Filter) -> Pushed {
        self.subscriptions.pushed(filter).await
    }
}

impl GrpcLog {
    /// The leader's own page.
    async fn ask_changes(&self, from: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        let request = proto::ChangesRequest {
            since: Some(encode_position(from)),
            filter: Some(encode_filter(filter)),
            limit: number(limit),
        };
        let answer = self
            .link
            .call(
                Lost::Nothing,
                None,
                request,
                |mut client, request| async move { client.changes(request).await },
            )
            .await?;
        changes(answer, from, filter).map_err(|malformed| Lost::Nothing.malformed(malformed))
    }
}

fn changes(
    answer: proto::ChangesAnswer,
    from: &Position,
    filter: &Filter,
) -> Result<Changes, Malformed> {
    let grains = decode_grains(&mut Known::default(), answer.grains)?;
    let mut heads = HeadReader::new(answer.heads)?;
    let next = decode_position(answer.next, filter)?;
    if next.identity() != from.identity() {
        return Err(Malformed("a page of another log"));
    }
    if !is_behind(counters(from), counters(&next)) {
        return Err(Malformed("a feed that goes back"));
    }
    // It would be asked for again at once, and for ever.
    if !answer.complete && counters(from) == counters(&next) {
        return Err(Malformed("a page that leads nowhere"));
    }
    let mut moved = Vec::with_capacity(grains.len());
    for grain in grains {
        if !filter.includes(&grain) {
            return Err(Malformed("a grain outside the filter"));
        }
        let head = heads.next()?;
        moved.push(Moved { grain, head });
    }
    heads.end()?;
    Ok(Changes {
        moved,
        next,
        complete: answer.complete,
        age: Duration::from_nanos(answer.age),
    })
}

/// Whether a place of a feed is at or behind another, in every shard.
pub(crate) fn is_behind(one: &[u64], other: &[u64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one <= other)
}
