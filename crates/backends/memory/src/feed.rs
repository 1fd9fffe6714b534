//! The change feed of [`MemoryLog`]: one shard, one row a grain.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{ChangeFeed, Changes, Error, Filter, GrainId, Moved, Position, Result};

use crate::log::{MemoryLog, State};
use crate::{BACKEND, SCAN};

/// Grains by the number of their last append. A grain that is appended to again moves to the end, so
/// the feed has one row a grain, however long the history. A grain's [`Row`] stands in its history.
#[derive(Debug, Default, Clone)]
pub(crate) struct Feed {
    /// The last number given.
    counter: u64,
    rows: BTreeMap<u64, GrainId>,
}

/// Where a grain stands in the feed; nowhere before its first append.
#[derive(Debug, Default, Clone)]
pub(crate) struct Row(Option<u64>);

impl Feed {
    /// A grain's head has moved: its row goes to the end.
    pub(crate) fn record(&mut self, grain: &GrainId, row: &mut Row) {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::FeedForgetsWhoMovedAgain.is_planted()
            && row
                .0
                .is_some_and(|number| self.counter.saturating_sub(number) < 2)
        {
            return;
        }
        self.forget(row);
        // 2^64 appends are out of reach.
        self.counter = self.counter.saturating_add(1);
        row.0 = Some(self.counter);
        self.rows.insert(self.counter, grain.clone());
    }

    /// A grain has no head any more.
    pub(crate) fn forget(&mut self, row: &mut Row) {
        if let Some(former) = row.0.take() {
            self.rows.remove(&former);
        }
    }
}

#[cfg(test)]
impl Feed {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl State {
    /// The feed's number in a position.
    fn number(&self, since: &Position, filter: &Filter) -> Result<u64> {
        match since.counters(&self.identity, filter, BACKEND)? {
            [number] if *number <= self.feed.counter => Ok(*number),
            _ => Err(Error::expired(BACKEND, "the position lies beyond the end")),
        }
    }

    fn position(&self, filter: &Filter, number: u64) -> Position {
        Position::new(self.identity.clone(), filter.clone(), [number])
    }
}

#[async_trait]
impl ChangeFeed for MemoryLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        let state = self.shared().state.read();
        Ok(state.position(filter, state.feed.counter))
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        let state = self.shared().state.read();
        let since = state.number(since, filter)?;
        let mut rows = state
            .feed
            .rows
            .range((Bound::Excluded(since), Bound::Unbounded));
        let mut moved = Vec::new();
        let mut next = since;
        // Foreign grains are passed over for good: `next` moves beyond them too.
        for (number, grain) in rows.by_ref().take(SCAN) {
            next = *number;
            if filter.includes(grain)
                && let Some(head) = state.head(grain)
            {
                moved.push(Moved {
                    grain: grain.clone(),
                    head,
                });
                if moved.len() >= limit {
                    break;
                }
            }
        }
        let complete = rows.next().is_none();
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::FeedPageCompleteTooSoon.is_planted() {
            return Ok(Changes {
                moved,
                next: state.position(filter, next),
                complete: true,
                age: Duration::ZERO,
            });
        }
        if complete {
            next = state.feed.counter;
        }
        Ok(Changes {
            moved,
            next: state.position(filter, next),
            complete,
            age: Duration::ZERO,
        })
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        // Waiting first, compared then: an append before the comparison is seen by it, one after it
        // wakes this.
        let mut moved = pin!(self.shared().moved.notified());
        moved.as_mut().enable();
        let at_end = {
            let state = self.shared().state.read();
            state
                .number(since, since.filter())
                .is_ok_and(|number| number == state.feed.counter)
        };
        if at_end {
            // Elapsed or woken, the caller asks `changes`.
            let _ = tokio::time::timeout(at_most, moved).await;
        }
    }
}

#[cfg(test)]
mod tests;
