//! Cursors, identities, positions and filters.

use bytes::Bytes;
use gleaner_core::{Cursor, Filter, Identity, LogId, Position, Slice, SliceSet};

use super::Malformed;
use crate::BACKEND;
use crate::proto;

/// The most bytes of a log's or history's name: those of every backend are shorter by far.
const LONGEST_NAME: usize = 1 << 10;
/// The most shards of a feed.
const MOST_SHARDS: usize = 1 << 14;
/// One bit a slice.
const SLICES: usize = Slice::COUNT as usize / 8;

/// A length that is within a message, and so within 32 bits.
pub(super) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A count or size as it travels.
pub(crate) fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

pub(crate) fn encode_cursor(cursor: Cursor) -> proto::Cursor {
    proto::Cursor {
        epoch: cursor.epoch.get(),
        sequence: cursor.sequence.get(),
    }
}

/// A cursor; `ZERO` if none was sent.
pub(crate) fn cursor(wire: Option<proto::Cursor>) -> Cursor {
    wire.map_or(Cursor::ZERO, |wire| Cursor::new(wire.epoch, wire.sequence))
}

pub(crate) fn encode_identity(identity: &Identity) -> proto::Identity {
    proto::Identity {
        log: Bytes::copy_from_slice(identity.log.as_bytes()),
        history: identity.history.clone(),
    }
}

pub(crate) fn decode_identity(wire: Option<proto::Identity>) -> Result<Identity, Malformed> {
    let wire = wire.ok_or(Malformed("no identity"))?;
    if wire.log.len() > LONGEST_NAME || wire.history.len() > LONGEST_NAME {
        return Err(Malformed("an identity is too long"));
    }
    // A copy: a slice would keep the whole message.
    let history = Bytes::copy_from_slice(&wire.history);
    Ok(Identity::new(LogId::new(&wire.log), history))
}

/// The counters of a position, for whatever it was taken.
pub(crate) fn counters(position: &Position) -> &[u64] {
    position
        .counters(position.identity(), position.filter(), BACKEND)
        .unwrap_or_default()
}

pub(crate) fn encode_position(position: &Position) -> proto::Position {
    proto::Position {
        identity: Some(encode_identity(position.identity())),
        counters: counters(position).to_vec(),
    }
}

/// A position that serves `filter`.
pub(crate) fn decode_position(
    wire: Option<proto::Position>,
    filter: &Filter,
) -> Result<Position, Malformed> {
    let wire = wire.ok_or(Malformed("no position"))?;
    if wire.counters.len() > MOST_SHARDS {
        return Err(Malformed("a position of too many shards"));
    }
    let identity = decode_identity(wire.identity)?;
    Ok(Position::new(identity, filter.clone(), wire.counters))
}

pub(crate) fn encode_filter(filter: &Filter) -> proto::Filter {
    let slices = filter.only_slices().map(|slices| {
        let mut bits = vec![0_u8; SLICES];
        for number in slices.iter() {
            if let Some(byte) = bits.get_mut(usize::from(number / 8)) {
                *byte |= 1 << (number % 8);
            }
        }
        Bytes::from(bits)
    });
    proto::Filter {
        grain_type: filter.only_type().map(str::to_owned),
        key_prefix: filter.only_prefix().map(str::to_owned),
        slices,
    }
}

/// A filter; every grain if none was sent.
pub(crate) fn decode_filter(wire: Option<proto::Filter>) -> Result<Filter, Malformed> {
    let wire = wire.unwrap_or_default();
    let mut filter = match wire.grain_type {
        Some(name) => Filter::grain_type(name),
        None => Filter::all(),
    };
    if let Some(prefix) = wire.key_prefix {
        filter = filter.key_prefix(prefix);
    }
    if let Some(bits) = wire.slices {
        if bits.len() != SLICES {
            return Err(Malformed("a set of slices has 128 bytes"));
        }
        let set: SliceSet = (0..Slice::COUNT)
            .filter(|number| {
                let byte = bits.get(usize::from(number / 8)).copied().unwrap_or(0);
                byte & (1 << (number % 8)) != 0
            })
            .collect();
        filter = filter.slices(set.iter());
    }
    Ok(filter)
}
