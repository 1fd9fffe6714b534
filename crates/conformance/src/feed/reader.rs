//! A reader of a feed that remembers what it was told.

use std::collections::HashMap;

use gleaner_core::{ChangeFeed, Changes, Cursor, Filter, GrainId, Position, ReplicationLog};

use crate::Broken;
use crate::verdict::{Seen, ensure};

/// More pages than any test needs: a feed that does not get on is told so.
const PAGES: usize = 20_000;

pub(super) fn feed_of<L: ReplicationLog>(log: &L) -> Seen<&dyn ChangeFeed> {
    log.feed().ok_or_else(|| {
        Broken::new("the log has no feed: leave feed_conformance! out, such a log is listed")
    })
}

/// A position, a filter, and the newest head told of each grain.
pub(super) struct Reader {
    pub(super) since: Position,
    filter: Filter,
    pub(super) told: HashMap<GrainId, Cursor>,
}

impl Reader {
    pub(super) async fn start(feed: &dyn ChangeFeed, filter: Filter) -> Seen<Self> {
        Ok(Self {
            since: feed.start(&filter).await?,
            filter,
            told: HashMap::new(),
        })
    }

    /// Reads a page and goes on behind it.
    pub(super) async fn page(&mut self, feed: &dyn ChangeFeed, limit: usize) -> Seen<Changes> {
        let page = feed.changes(&self.since, &self.filter, limit).await?;
        for moved in &page.moved {
            let told = self.told.entry(moved.grain.clone()).or_default();
            *told = moved.head.cursor.max(*told);
        }
        self.since = page.next.clone();
        Ok(page)
    }

    /// Reads pages up to a complete one; how many.
    pub(super) async fn drain(&mut self, feed: &dyn ChangeFeed, limit: usize) -> Seen<usize> {
        for pages in 1..=PAGES {
            if self.page(feed, limit).await?.complete {
                return Ok(pages);
            }
        }
        Err(Broken::new(format!(
            "no page of limit {limit} was complete in {PAGES}, though nothing is written"
        )))
    }

    /// Whether all of these, as far as the filter includes them, were told with a head as new.
    pub(super) fn must_know<'a>(
        &self,
        moved: impl IntoIterator<Item = (&'a GrainId, &'a Cursor)>,
        said: &str,
    ) -> Result<(), Broken> {
        for (grain, cursor) in moved {
            if self.filter.includes(grain) {
                let told = self.told.get(grain);
                ensure!(
                    told.is_some_and(|told| told >= cursor),
                    "{grain} moved to {cursor}, the feed told {told:?}: {said}"
                );
            }
        }
        Ok(())
    }
}
