//! [`Reading`]: a stream's pages, with nothing taken on trust.

use gleaner_core::{Cursor, Entry, Filter, GrainId, Head, Moved, Position, PushedRun};

use crate::feed::is_behind;
use crate::proto;
use crate::read::ascending;
use crate::wire::{HeadReader, Known, Malformed, counters, decode_entries, decode_grains};

/// What one page says.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) counters: Vec<u64>,
    /// Grains whose heads alone were sent.
    pub(super) named: Vec<Moved>,
    /// Heads and entries of the others.
    pub(super) sent: Vec<(Head, PushedRun)>,
}

/// Reads a stream's pages one after the other: they share their tables.
pub(super) struct Reading {
    known: Known,
    counters: Vec<u64>,
}

impl Reading {
    pub(super) fn new(since: &Position) -> Self {
        Self {
            known: Known::default(),
            counters: counters(since).to_vec(),
        }
    }

    pub(super) fn page(
        &mut self,
        wire: proto::WatchPage,
        filter: &Filter,
    ) -> Result<Page, Malformed> {
        if !is_behind(&self.counters, &wire.counters) {
            return Err(Malformed("a stream that goes back"));
        }
        let grains = decode_grains(&mut self.known, wire.grains)?;
        if grains.iter().any(|grain| !filter.includes(grain)) {
            return Err(Malformed("a grain outside the filter"));
        }
        let mut heads = HeadReader::new(wire.heads)?;
        let (named, with_entries) = grains
            .split_at_checked(heads.left())
            .ok_or(Malformed("more heads than grains"))?;
        let named = named
            .iter()
            .map(|grain| {
                let head = heads.next()?;
                Ok(Moved {
                    grain: grain.clone(),
                    head,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let groups = decode_entries(&mut self.known, wire.entries, with_entries, &wire.counts)?;
        let bases = wire.base_epochs.into_iter().zip(wire.base_sequences);
        let mut bases = bases.map(|(epoch, sequence)| Cursor::new(epoch, sequence));
        let mut sent = Vec::with_capacity(groups.len());
        for (grain, entries) in with_entries.iter().zip(groups) {
            sent.push(run(grain, entries?, &mut bases)?);
        }
        self.counters.clone_from(&wire.counters);
        Ok(Page {
            counters: wire.counters,
            named,
            sent,
        })
    }
}

fn run(
    grain: &GrainId,
    entries: Vec<Entry>,
    bases: &mut impl Iterator<Item = Cursor>,
) -> Result<(Head, PushedRun), Malformed> {
    ascending(&entries, Cursor::ZERO)?;
    let last = entries.last().ok_or(Malformed("an empty run"))?;
    let base = if last.kind().is_base() {
        last.cursor()
    } else {
        bases.next().ok_or(Malformed("a head's base is missing"))?
    };
    if !base.is_valid() || base > last.cursor() {
        return Err(Malformed("a head's base is impossible"));
    }
    let head = Head::of(last, base);
    let run = PushedRun {
        grain: grain.clone(),
        entries,
    };
    Ok((head, run))
}
