//! One line for each change of a grain's health.

use gleaner_actor::Health;
use gleaner_core::{Cursor, Error, GrainId};

/// Whether a change of health is said where lines of debugging are not.
pub(super) fn is_said(was: Health, now: Health) -> bool {
    match now {
        Health::Quarantined | Health::Ahead | Health::Diverged | Health::Missing => true,
        Health::Live if was != Health::Bootstrapping => true,
        Health::Live | Health::Bootstrapping | Health::Foreign | Health::Paused => {
            tracing::enabled!(tracing::Level::DEBUG)
        }
    }
}

/// Says that a replica's health has changed. A grain that turns foreign is said in one line for the
/// whole log ([`Reach`](super::reach::Reach)): there may be a million of them.
pub(super) fn health_changed(
    grain: &GrainId,
    cursor: Cursor,
    was: Health,
    now: Health,
    why: Option<&str>,
) {
    let (grain_type, grain_key) = (grain.grain_type(), grain.grain_key());
    let (epoch, sequence) = (cursor.epoch.get(), cursor.sequence.get());
    let (was, health) = (was.name(), now.name());
    let why = why.unwrap_or_default();
    match now {
        Health::Quarantined | Health::Ahead | Health::Diverged | Health::Missing => tracing::warn!(
            grain_type,
            grain_key,
            epoch,
            sequence,
            was,
            health,
            why,
            "replica health changed"
        ),
        Health::Live if was != Health::Bootstrapping.name() => tracing::info!(
            grain_type,
            grain_key,
            epoch,
            sequence,
            was,
            health,
            "replica health changed"
        ),
        Health::Live | Health::Bootstrapping | Health::Foreign | Health::Paused => tracing::debug!(
            grain_type,
            grain_key,
            epoch,
            sequence,
            was,
            health,
            "replica health changed"
        ),
    }
}

/// Says that the store cannot read a replica that it holds.
pub(super) fn unloadable(error: &Error) {
    let grain = error.grain();
    tracing::warn!(
        grain_type = grain.map(GrainId::grain_type),
        grain_key = grain.map(GrainId::grain_key),
        %error,
        "a replica cannot be read from the store; it is tried again"
    );
}

/// Says that a replica was set back.
pub(super) fn lowered(grain: &GrainId, from: Cursor, to: Cursor) {
    tracing::warn!(
        grain_type = grain.grain_type(),
        grain_key = grain.grain_key(),
        epoch = to.epoch.get(),
        sequence = to.sequence.get(),
        from_epoch = from.epoch.get(),
        from_sequence = from.sequence.get(),
        "replica set back by a rebase"
    );
}

/// Says that the store was bound to another log.
pub(super) fn rebound(log: &gleaner_core::LogId) {
    tracing::warn!(log = %log, "the store is bound to the followed log now");
}
