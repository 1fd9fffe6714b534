//! [`Watched`]: prints each change of the grains that are followed.

use std::collections::HashMap;
use std::time::Duration;

use futures::FutureExt;
use gleaner::{ChangeStream, Cursor, Follower, GrainId, Health, Progress, RawReader};

use crate::failure::Result;
use crate::out::Out;
use crate::states::Seen;

/// Between two looks for replicas that stand otherwise than their log, which no change of a cursor tells.
const LOOK: Duration = Duration::from_millis(200);

/// A follower's changes, said as they come.
pub(crate) struct Watched<'a> {
    follower: &'a Follower,
    reader: RawReader,
    changes: ChangeStream,
    /// What was said last of those grains that did not go on by waiting.
    held: HashMap<GrainId, (Health, Option<Cursor>)>,
    /// How many of each there were.
    counts: [usize; 6],
}

impl<'a> Watched<'a> {
    /// Changes from now on.
    pub(crate) fn new(follower: &'a Follower) -> Self {
        Self {
            follower,
            reader: follower.raw_reader(),
            changes: follower.changes(),
            held: HashMap::new(),
            counts: [0; 6],
        }
    }

    /// Says changes until the follower has ended and all was said.
    ///
    /// # Errors
    /// The store's; the output's.
    pub(crate) async fn say(&mut self, out: &mut Out) -> Result<()> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = self.changes.next() => match change {
                    Some((grain, _)) => self.one(&grain, out).await?,
                    None => return Ok(()),
                },
                _ = look.tick() => self.health(out).await?,
            }
            // What came meanwhile goes out with it.
            while let Some(Some((grain, _))) = self.changes.next().now_or_never() {
                self.one(&grain, out).await?;
            }
            out.flush()?;
        }
    }

    async fn one(&mut self, grain: &GrainId, out: &mut Out) -> Result<()> {
        let Some(seen) = Seen::look(self.follower, &self.reader, grain, false).await? else {
            return Ok(());
        };
        let stands = (seen.health, seen.cursor);
        if seen.health.is_moving() {
            self.held.remove(grain);
        } else if self.held.insert(grain.clone(), stands) == Some(stands) {
            // A look was faster than the change that led there.
            return Ok(());
        }
        out.say(&seen)
    }

    /// Says which grains were held or let go since the last look. The walk over all is made only when
    /// their number has changed.
    async fn health(&mut self, out: &mut Out) -> Result<()> {
        let counts = held(&self.follower.progress());
        if counts == self.counts {
            return Ok(());
        }
        self.counts = counts;
        for (grain, _, health) in self.follower.worst(usize::MAX) {
            let said = self.held.get(&grain).map(|(health, _)| health);
            if said != Some(&health).filter(|health| !health.is_moving()) {
                self.one(&grain, out).await?;
            }
        }
        Ok(())
    }
}

/// How many grains do not go on by waiting, of each kind.
const fn held(progress: &Progress) -> [usize; 6] {
    [
        progress.quarantined,
        progress.ahead,
        progress.diverged,
        progress.missing,
        progress.foreign,
        progress.paused,
    ]
}
