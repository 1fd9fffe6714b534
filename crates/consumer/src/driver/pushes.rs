//! Entries that a log sends unasked (F5): heard beside the reading of the feed, and dealt to the actors.
//!
//! A feed has one listener. It waits for no page that is read meanwhile, so that an entry is applied as soon
//! as it has come, and asks for the next when the shards have taken what came: each tells its actors, and
//! answers once it holds no more for the store than a read may bring. What the log sends meanwhile is the
//! log's to hold or to drop. An actor holds one run at the most; what comes for it then is a name to it.
//!
//! # Which entries are heard
//! Those of the history that the feed is read in, for grains that this feed speaks for. A history that
//! forks has lost entries, and its feed begins anew, which brings every grain of the feed into doubt. A
//! push of the former one that comes after that would lead a replica on to what the log does not hold, and
//! nothing would tell. It would, too, for a grain of another feed, which may have begun anew before this one.

use std::sync::atomic::Ordering;

use gleaner_actor::{Event, Origin, Push};
use gleaner_core::{Digest, Entry, LogId, Position, Pushed, PushedRun};
use tokio::sync::oneshot;

use super::Lead;
use super::deal::all;
use super::feeds::deafness;
use super::grains::{Cargo, bytes};
use super::message::Message;
use super::ops::LeadDone;
use super::shard::Shard;
use crate::cell::FeedNumber;

/// Hears what a log sends for one feed.
#[derive(Default)]
pub(super) struct Listener {
    /// Dropped with the feed's reader, it ends the operation that listens.
    listens: Option<oneshot::Sender<()>>,
    /// Sendings in a row that had nothing for a followed grain.
    fruitless: u32,
}

/// What a shard has heard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// Something for a grain that is followed.
    known: bool,
    /// Something for a grain that is not, and that was not unfollowed by name.
    strange: bool,
}

impl Lead {
    /// Listens for the next entries, on behalf of the feed's reader.
    pub(super) fn listen(&mut self, index: usize) {
        let (log, hints) = (self.tools.log.clone(), self.tools.settings.hints);
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        // A feed without a number speaks for no grain.
        if !hints || feed.number.is_none() {
            return;
        }
        let (listens, ended) = oneshot::channel();
        feed.listener.listens = Some(listens);
        let (serial, filter) = (feed.serial, feed.filter.clone());
        let deaf = deafness(feed.listener.fruitless);
        self.ops.push(Box::pin(async move {
            let next = async {
                if !deaf.is_zero() {
                    tokio::time::sleep(deaf).await;
                }
                match log.feed() {
                    Some(feed) => feed.pushed(&filter).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = ended => LeadDone::Nothing,
                pushed = next => LeadDone::Pushed { feed: index, serial, pushed },
            }
        }));
    }

    /// Deals out what the log has sent.
    pub(super) fn pushed(&mut self, index: usize, serial: u32, pushed: Pushed) {
        let Pushed { identity, runs } = pushed;
        let Some(feed) = self.feeds.get(index).filter(|feed| feed.serial == serial) else {
            return;
        };
        let Some(number) = feed.number else {
            return;
        };
        let sent = runs.len();
        let read_in = feed.position.as_ref().map(Position::identity);
        let same = read_in == Some(&identity);
        if !same && read_in.is_some() {
            // The log may have forked: its feed tells.
            feed.nudge.notify_one();
        }
        let mut hands: Vec<Vec<PushedRun>> = self.shards.iter().map(|_| Vec::new()).collect();
        for run in runs {
            let whole = !run.entries.is_empty()
                && run.entries.iter().all(|entry| *entry.grain() == run.grain);
            if same
                && whole
                && feed.filter.includes(&run.grain)
                && let Some(hand) = hands.get_mut(self.shard_of(&run.grain))
            {
                hand.push(run);
            }
        }
        let dealt: usize = hands.iter().map(Vec::len).sum();
        self.dropped(sent - dealt);
        let foreign = !self.tools.shared.is_bound(&identity.log);
        let mut taken = Vec::new();
        for (shard, runs) in hands.into_iter().enumerate() {
            if !runs.is_empty() {
                let log = identity.log.clone();
                taken.push(self.ask(shard, |taken| Message::Pushed {
                    feed: number,
                    log,
                    foreign,
                    runs,
                    taken,
                }));
            }
        }
        if taken.is_empty() {
            return self.taken(index, serial, Heard::default());
        }
        self.ops.push(Box::pin(async move {
            let Some(parts) = all(taken).await else {
                return LeadDone::ShardGone;
            };
            let heard = Heard {
                known: parts.iter().any(|part| part.known),
                strange: parts.iter().any(|part| part.strange),
            };
            LeadDone::Taken {
                feed: index,
                serial,
                heard,
            }
        }));
    }

    /// The shards have room for more.
    pub(super) fn taken(&mut self, index: usize, serial: u32, heard: Heard) {
        let Some(feed) = self
            .feeds
            .get_mut(index)
            .filter(|feed| feed.serial == serial)
        else {
            return;
        };
        if heard.strange && feed.discover {
            // A grain that is new: a page names it, and it is followed from then on.
            feed.nudge.notify_one();
        }
        let listener = &mut feed.listener;
        listener.fruitless = if heard.known {
            0
        } else {
            listener.fruitless.saturating_add(1)
        };
        self.listen(index);
    }

    fn dropped(&self, runs: usize) {
        let dropped = &self.tools.shared.counts.pushes_dropped;
        dropped.fetch_add(runs as u64, Ordering::Relaxed);
    }
}

impl Shard {
    /// Tells the actors what came for them.
    pub(super) fn pushed(
        &mut self,
        feed: FeedNumber,
        log: &LogId,
        foreign: bool,
        runs: Vec<PushedRun>,
    ) -> Heard {
        let mut heard = Heard::default();
        for PushedRun { grain, entries } in runs {
            let number = self.tools.shared.directory.number(&grain);
            heard.known |= number.is_some();
            heard.strange |= number.is_none() && !self.excluded.contains(&grain);
            let given = number.is_some_and(|number| self.push(number, feed, log, foreign, entries));
            let counts = &self.tools.shared.counts;
            let count = if given {
                &counts.pushes_applied
            } else {
                &counts.pushes_dropped
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        heard
    }

    /// Tells one actor; whether the run goes to the store.
    fn push(
        &mut self,
        number: u32,
        feed: FeedNumber,
        log: &LogId,
        foreign: bool,
        entries: Vec<Entry>,
    ) -> bool {
        let cell = self.slots.cell(number);
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return false;
        };
        if cell.is_none_or(|cell| cell.feed() != Some(feed)) {
            return false;
        }
        let push = Push {
            first: first.cursor(),
            prev: (!first.kind().is_base()).then(|| first.prev().unwrap_or(Digest::ZERO)),
            last: last.cursor(),
            foreign,
        };
        let counts = &self.tools.shared.counts;
        counts.came(entries.len(), bytes(&entries));
        let held = self.queues.runs.len();
        let cargo = Cargo {
            run: Some((log.clone(), entries, Origin::Push(push))),
            ..Cargo::default()
        };
        #[cfg(gleaner_plant)]
        let cargo = Cargo {
            t0: gleaner_core::plant::Plant::PushConfirms
                .is_planted()
                .then(|| self.tools.shared.t0()),
            ..cargo
        };
        self.tell_with(number, &Event::Pushed(push), cargo);
        self.queues.runs.len() > held
    }

    /// There is room for more.
    pub(super) fn take_more(&mut self) {
        for (taken, heard) in self.full.drain(..) {
            // A lead that is gone asks for nothing.
            let _ = taken.send(heard);
        }
    }
}
