//! Grains in columns.

use bytes::Bytes;
use gleaner_core::GrainId;

use super::words::length;
use super::{Known, Malformed, Tables};
use crate::proto;

/// Grains, in their order.
pub(crate) fn encode_grains<'a>(
    tables: &mut Tables,
    grains: impl IntoIterator<Item = &'a GrainId>,
) -> proto::Grains {
    let mut wire = proto::Grains::default();
    let mut keys = Vec::new();
    for grain in grains {
        let place = tables.grain_type(grain.grain_type(), &mut wire.new_types);
        wire.types.push(place);
        wire.key_lengths.push(length(grain.grain_key().len()));
        keys.extend_from_slice(grain.grain_key().as_bytes());
    }
    wire.keys = Bytes::from(keys);
    wire
}

/// A message's only grain, with tables of its own.
pub(crate) fn encode_grain(grain: &GrainId) -> proto::Grains {
    encode_grains(&mut Tables::default(), [grain])
}

/// Grains, each whole and allowed.
pub(crate) fn decode_grains(
    known: &mut Known,
    wire: Option<proto::Grains>,
) -> Result<Vec<GrainId>, Malformed> {
    let wire = wire.unwrap_or_default();
    known.learn_types(wire.new_types)?;
    if wire.types.len() != wire.key_lengths.len() {
        return Err(Malformed("grains' columns differ in length"));
    }
    let mut keys = &wire.keys[..];
    let mut grains = Vec::with_capacity(wire.types.len());
    for (place, length) in wire.types.into_iter().zip(wire.key_lengths) {
        let name = known.grain_type(place)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (key, rest) = keys
            .split_at_checked(length)
            .ok_or(Malformed("a key is cut off"))?;
        keys = rest;
        let key = std::str::from_utf8(key).map_err(|_| Malformed("a key is not UTF-8"))?;
        let grain = GrainId::new(name, key)
            .map_err(|_| Malformed("a grain's type or key is empty or too long"))?;
        grains.push(grain);
    }
    if keys.is_empty() {
        Ok(grains)
    } else {
        Err(Malformed("more keys than grains"))
    }
}

/// A message's only grain, if there is one.
pub(crate) fn decode_grain(wire: Option<proto::Grains>) -> Result<Option<GrainId>, Malformed> {
    let mut grains = decode_grains(&mut Known::default(), wire)?.into_iter();
    match (grains.next(), grains.next()) {
        (grain, None) => Ok(grain),
        (_, Some(_)) => Err(Malformed("more than one grain")),
    }
}
