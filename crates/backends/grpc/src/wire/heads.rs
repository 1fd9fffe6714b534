//! Heads in columns.

use gleaner_core::{Cursor, Digest, Head, Kind};

use super::Malformed;
use crate::proto;

/// Adds a head behind the others.
pub(crate) fn push_head(wire: &mut proto::Heads, head: &Head) {
    wire.epochs.push(head.cursor.epoch.get());
    wire.sequences.push(head.cursor.sequence.get());
    wire.digests.push(head.digest.get());
    wire.kinds.push(u32::from(head.kind.code()));
    if !head.kind.is_base() {
        wire.base_epochs.push(head.base.epoch.get());
        wire.base_sequences.push(head.base.sequence.get());
    }
}

/// A kind, if this version knows it.
pub(super) fn kind(code: u32) -> Result<Kind, Malformed> {
    u8::try_from(code)
        .ok()
        .and_then(|code| Kind::from_code(code).ok())
        .ok_or(Malformed("an unknown kind of entry"))
}

/// Takes heads off their columns, one after the other.
#[derive(Debug)]
pub(crate) struct HeadReader {
    wire: proto::Heads,
    at: usize,
    bases: usize,
}

impl HeadReader {
    pub(crate) fn new(wire: Option<proto::Heads>) -> Result<Self, Malformed> {
        let wire = wire.unwrap_or_default();
        let count = wire.epochs.len();
        let deltas = wire
            .kinds
            .iter()
            .filter(|kind| **kind == u32::from(Kind::Delta.code()))
            .count();
        let columns = [wire.sequences.len(), wire.digests.len(), wire.kinds.len()];
        let bases = [wire.base_epochs.len(), wire.base_sequences.len()];
        if columns.iter().any(|length| *length != count)
            || bases.iter().any(|length| *length != deltas)
        {
            return Err(Malformed("heads' columns differ in length"));
        }
        Ok(Self {
            wire,
            at: 0,
            bases: 0,
        })
    }

    /// The next head; one must be there.
    pub(crate) fn next(&mut self) -> Result<Head, Malformed> {
        let (wire, at) = (&self.wire, self.at);
        let (Some(epoch), Some(sequence), Some(digest), Some(code)) = (
            wire.epochs.get(at),
            wire.sequences.get(at),
            wire.digests.get(at),
            wire.kinds.get(at),
        ) else {
            return Err(Malformed("a head is missing"));
        };
        let kind = kind(*code)?;
        let cursor = Cursor::new(*epoch, *sequence);
        let base = if kind.is_base() {
            cursor
        } else {
            let base = (
                wire.base_epochs.get(self.bases),
                wire.base_sequences.get(self.bases),
            );
            let (Some(epoch), Some(sequence)) = base else {
                return Err(Malformed("a head's base is missing"));
            };
            self.bases += 1;
            Cursor::new(*epoch, *sequence)
        };
        if !(cursor.is_valid() && base.is_valid() && base <= cursor) {
            return Err(Malformed("a head's numbers are impossible"));
        }
        self.at += 1;
        Ok(Head {
            cursor,
            digest: Digest::new(*digest),
            kind,
            base,
        })
    }

    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.wire.epochs.len() - self.at
    }

    /// All of them must have been taken.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.left() == 0 {
            Ok(())
        } else {
            Err(Malformed("more heads than were announced"))
        }
    }
}
