//! The decoders of payloads and of stored entries, given what nobody sent: files that once mattered
//! (`tests/corpus`), and a hundred thousand mutations of them, the same in every run.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test; clippy's exception for tests does not reach its modules"
)]

mod corpus;
mod entries;
mod mutation;
mod payloads;
mod round_trips;
