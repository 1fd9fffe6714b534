//! The primary's side of Gleaner: coalesce, number, append, compact.
//!
//! A [`Publisher`] owns the grains that it was asked to [open](Publisher::grain): it claims an epoch
//! of each, gives every state that it is handed a number, and brings the newest of them into a
//! [`ReplicationLog`](gleaner_core::ReplicationLog), whatever the log does meanwhile. It holds
//! clauses **P1** to **P7**, which stand on [`GrainPublisher`]. It knows no backend, no replica and
//! no follower, and it decodes nothing.
//!
//! ```text
//! publish -> Room (bytes) -> GrainQueue (pure: numbers, coalescing, answers) -> sender -> append_batch
//!                                                          acknowledged bases -> compactor -> truncate
//! ```
//!
//! # Defaults
//!
//! | setting | default | why |
//! |---|---|---|
//! | [`mode`](PublisherBuilder::mode) | [`Mode::Immediate`] | the least lag; while calls are under way, states gather by themselves |
//! | [`coalesce`](PublisherBuilder::coalesce) | on | replicas skip to the newest state anyway |
//! | [`max_buffered_bytes`](PublisherBuilder::max_buffered_bytes) | 64 MiB | one batch of the largest size |
//! | [`compaction`](PublisherBuilder::compaction) | [`Compaction::keep`]`(16)` | a short history for people to look at, bounded for ever |
//! | [`backoff`](PublisherBuilder::backoff) | 100 ms to 30 s | soon enough after a hiccup, quiet in an outage |
//! | [`call_timeout`](PublisherBuilder::call_timeout) | 30 s | a hung call is then of unknown outcome, and made again |

mod backoff;
mod builder;
mod claim;
mod compaction;
mod error;
mod folding;
mod grain;
mod handle;
mod publisher;
mod queue;
mod room;
mod sender;
mod settle;
mod shared;

#[cfg(any(test, gleaner_plant))]
mod fault;
#[cfg(test)]
mod tests;

pub use builder::{Mode, PublisherBuilder};
pub use compaction::Compaction;
pub use error::{PublishError, Unsent};
pub use folding::DeltaOptions;
pub use grain::Status;
pub use handle::GrainPublisher;
pub use publisher::Publisher;
