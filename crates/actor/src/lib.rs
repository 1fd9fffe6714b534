//! What one grain's poll-and-apply actor decides, and what a feed's reader decides.
//!
//! Pure: no async, no clock, no randomness, no I/O, no payloads. Time is a [`Moment`] that the driver
//! hands in, jitter comes from a seed in the state. One [`Event`] in, exactly one [`Step`] out; there
//! is nothing to drain, so there is no rule of calling to break. The driver (gleaner-consumer) performs
//! the step's [`Action`] and reports what came of it as the next event.
//!
//! ```text
//!            Start            Loaded             CaughtUp            Applied
//!   (new) ---------> Loading --------> Polling ----------> Applying --------> Resting
//!                       ^                 ^  ^                |                  |
//!                       |   doubt         |  +-- behind ------+                  |
//!                       +-----------------|-------------------+                  |
//!                                         +---- timer, name, poll now -----------+
//!   an entry that comes unasked and fits: Resting, Applying, Resting; one that does not is a name
//!   a failure: BackingOff, then on from where it was; a misfit: Rereading, Rebasing, else Quarantined
//! ```

mod action;
mod actor;
mod event;
mod feed_reader;
mod health;
mod moment;
mod policy;
mod rest;

pub use action::{Action, Refusal, Reply, Step};
pub use actor::GrainActor;
pub use event::{Answer, Applied, Event, Origin, Place, Push};
pub use feed_reader::{FeedAction, FeedEvent, FeedReader};
pub use health::Health;
pub use moment::Moment;
pub use policy::{Jitter, Policy};
pub use rest::Rest;
