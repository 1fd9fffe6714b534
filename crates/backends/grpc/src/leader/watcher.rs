//! [`Watcher`]: what moves, sent to one reader as it moves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use futures::stream::{Stream, unfold};
use gleaner_core::{
    Budget, Caught, Cursor, Entry, Error, Filter, GrainId, Head, Kind, Moved, Position,
};
use tonic::Status;

use super::service::Service;
use crate::BACKEND;
use crate::access::{Grant, Right};
use crate::proto;
use crate::wire::{Column, Tables, counters, encode_grains, push_head, status_of_error};

/// The most grains in a page.
const NAMES: usize = 1_024;
/// The most grains with Deltas of which it is remembered what was sent last. Beyond that all are
/// forgotten: of each the next Delta is then named and not sent, once.
const REMEMBERED: usize = 4_096;
/// How long a wait for a hint lasts before it is looked whether the reader may still read.
const WAIT: Duration = Duration::from_secs(5);

/// Reads the feed for one reader.
///
/// It is polled by the connection as the reader takes pages in (HTTP/2's windows), and computes a page
/// only then: what it holds is one page, a position and a bounded table, however slow the reader is, and
/// a page that is asked for late holds the newest there is.
pub(super) struct Watcher {
    service: Service,
    grant: Arc<Grant>,
    filter: Filter,
    since: Position,
    max_payload: usize,
    tables: Tables,
    /// Up to where Deltas were sent.
    sent: HashMap<GrainId, Cursor, FixedState>,
    ended: bool,
}

/// A grain of a page: its entries, or its head alone.
enum Told {
    Named(GrainId, Head),
    Sent(GrainId, Vec<Entry>, Cursor),
}

impl Watcher {
    pub(super) fn new(
        service: Service,
        grant: Arc<Grant>,
        filter: Filter,
        since: Position,
        max_payload: usize,
    ) -> Self {
        let max_payload = max_payload.min(service.settings.max_pushed);
        Self {
            service,
            grant,
            filter,
            since,
            max_payload,
            tables: Tables::default(),
            sent: HashMap::default(),
            ended: false,
        }
    }

    pub(super) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<proto::WatchPage, Status>> + Send + 'static {
        unfold(self, |mut watcher| async move {
            if watcher.ended {
                return None;
            }
            let page = watcher.next().await.transpose()?;
            watcher.ended = page.is_err();
            Some((page, watcher))
        })
    }

    /// The next page; none if the leader is ending, or the tables are full and the reader shall begin
    /// anew.
    async fn next(&mut self) -> Result<Option<proto::WatchPage>, Status> {
        loop {
            if self.tables.is_full(NAMES) || *self.service.closing.borrow() {
                return Ok(None);
            }
            // A token that was taken back, or another's, ends what it began.
            self.grant = self.service.access.still(&self.grant).map_err(|refused| {
                tracing::warn!(token = self.grant.name(), %refused, "a watch has ended");
                Status::unauthenticated(refused.to_string())
            })?;
            if !self.grant.may(Right::Read) || !self.grant.covers(&self.filter) {
                return Err(Status::permission_denied("the token no longer allows it"));
            }
            let page = self
                .service
                .feed()?
                .changes(&self.since, &self.filter, NAMES)
                .await
                .map_err(|error| status_of_error(&error))?;
            let quiet = page.moved.is_empty() && page.complete;
            self.since = page.next;
            if !page.moved.is_empty() {
                return self.page(page.moved).await.map(Some);
            }
            if quiet {
                let mut closing = self.service.closing.clone();
                tokio::select! {
                    () = self.service.feed()?.wait(&self.since, WAIT) => {}
                    _ = closing.changed() => {}
                }
            }
        }
    }

    /// The page that says what moved.
    async fn page(&mut self, moved: Vec<Moved>) -> Result<proto::WatchPage, Status> {
        let told = self.told(moved).await?;
        let mut page = proto::WatchPage {
            counters: counters(&self.since).to_vec(),
            ..proto::WatchPage::default()
        };
        let mut heads = proto::Heads::default();
        let mut column = Column::default();
        let mut grains = Vec::with_capacity(told.len());
        for told in &told {
            if let Told::Named(grain, head) = told {
                grains.push(grain);
                push_head(&mut heads, head);
            }
        }
        for told in &told {
            if let Told::Sent(grain, entries, base) = told {
                grains.push(grain);
                page.counts
                    .push(u32::try_from(entries.len()).unwrap_or(u32::MAX));
                for entry in entries {
                    column.push(&mut self.tables, entry);
                }
                if entries
                    .last()
                    .is_some_and(|last| last.kind() == Kind::Delta)
                {
                    page.base_epochs.push(base.epoch.get());
                    page.base_sequences.push(base.sequence.get());
                }
            }
        }
        page.grains = Some(encode_grains(&mut self.tables, grains));
        page.heads = Some(heads);
        page.entries = Some(column.finish());
        Ok(page)
    }

    /// What is told of each grain that moved.
    async fn told(&mut self, mut moved: Vec<Moved>) -> Result<Vec<Told>, Status> {
        // The feed keeps to the filter, and the filter to the scope: looked at once more all the same.
        moved.retain(|it| self.filter.includes(&it.grain) && self.grant.includes(&it.grain));
        let mut wants = Vec::new();
        let mut told = Vec::with_capacity(moved.len());
        let mut wanted = Vec::new();
        for Moved { grain, head } in moved {
            match self.after(&grain, &head) {
                Some(after) if self.max_payload > 0 => {
                    wants.push((grain.clone(), after));
                    wanted.push((grain, head));
                }
                _ => told.push(Told::Named(grain, head)),
            }
        }
        if wants.is_empty() {
            return Ok(told);
        }
        let budget = Budget::new(NAMES, self.service.settings.max_page);
        let caught = self
            .service
            .log
            .catch_up(&wants, budget)
            .await
            .map_err(|error| status_of_error(&error))?;
        if caught.identity != *self.since.identity() {
            let why = "the log or its history is another now";
            return Err(status_of_error(&Error::expired(BACKEND, why)));
        }
        for ((grain, head), caught) in wanted.into_iter().zip(caught.grains) {
            told.push(self.small(grain, head, caught));
        }
        Ok(told)
    }

    /// Behind which cursor a grain's entries are new to the reader; none if that is not known.
    fn after(&mut self, grain: &GrainId, head: &Head) -> Option<Cursor> {
        if head.kind.is_base() {
            return Some(head.cursor.predecessor());
        }
        let after = self.sent.get(grain).copied();
        if after.is_none() {
            if self.sent.len() >= REMEMBERED {
                self.sent.clear();
            }
            self.sent.insert(grain.clone(), head.cursor);
        }
        after.filter(|after| *after < head.cursor)
    }

    /// A run, if it is whole and all of it is small.
    fn small(&mut self, grain: GrainId, head: Head, caught: Caught) -> Told {
        let Caught::Run(run) = caught else {
            return self.named(grain, head);
        };
        let (Some(newest), true, Some(last)) = (run.head, run.complete, run.entries.last()) else {
            return self.named(grain, head);
        };
        let small = |entry: &Entry| entry.payload().len() <= self.max_payload;
        if last.cursor() != newest.cursor || !run.entries.iter().all(small) {
            return self.named(grain, newest);
        }
        if let Some(sent) = self.sent.get_mut(&grain) {
            *sent = newest.cursor;
        }
        Told::Sent(grain, run.entries, newest.base)
    }

    /// Named alone. The reader fetches what is there now: what comes then is new to it.
    fn named(&mut self, grain: GrainId, head: Head) -> Told {
        if let Some(sent) = self.sent.get_mut(&grain) {
            *sent = head.cursor;
        }
        Told::Named(grain, head)
    }
}
