//! The words of the contracts as messages, and back.
//!
//! Encoding cannot fail. Decoding trusts nothing: lengths, places in tables, numbers, UTF-8 and
//! digests are checked, and what does not hold together is [`Malformed`]. Nothing is allocated by what
//! a length claims, only by what is there.

mod entries;
mod errors;
mod grains;
mod heads;
mod tables;
mod words;

pub(crate) use entries::{Column, decode_entries};
pub use errors::Denied;
pub(crate) use errors::{clipped, decode_error, encode_error, error_of_status, status_of_error};
pub(crate) use grains::{decode_grain, decode_grains, encode_grain, encode_grains};
pub(crate) use heads::{HeadReader, push_head};
pub(crate) use tables::{Known, Tables};
pub(crate) use words::{
    counters, cursor, decode_filter, decode_identity, decode_position, encode_cursor,
    encode_filter, encode_identity, encode_position, number,
};

/// What is in a message does not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

#[cfg(test)]
mod tests;
