//! [`Reach`]: says once that log or store cannot be reached, and once that it can again.

use gleaner_core::{Error, LogId};

/// What the driver has said about log and store: one line per change, not one per failed call.
#[derive(Debug, Default)]
pub(super) struct Reach {
    log_down: bool,
    store_down: bool,
    foreign: Option<LogId>,
}

/// Whose answer it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Log,
    Store,
}

impl Reach {
    pub(super) fn failed(&mut self, side: Side, error: &Error) {
        let down = self.down(side);
        if !std::mem::replace(down, true) {
            let side = side.name();
            tracing::warn!(
                error = report(error),
                "the {side} cannot be reached; backing off"
            );
        }
    }

    pub(super) fn answered(&mut self, side: Side) {
        let down = self.down(side);
        if std::mem::replace(down, false) {
            let side = side.name();
            tracing::info!("the {side} answers again");
        }
    }

    /// An answer came from this log, while the store belongs to `bound`.
    pub(super) fn identity(&mut self, followed: &LogId, bound: &LogId) {
        if followed == bound {
            if self.foreign.take().is_some() {
                tracing::info!(log = %followed, "the followed log is the store's again");
            }
        } else if self.foreign.as_ref() != Some(followed) {
            tracing::error!(
                followed = %followed,
                store = %bound,
                "the followed log is not the one that the store belongs to; replicas are served as \
                 foreign until rebased"
            );
            self.foreign = Some(followed.clone());
        }
    }

    fn down(&mut self, side: Side) -> &mut bool {
        match side {
            Side::Log => &mut self.log_down,
            Side::Store => &mut self.store_down,
        }
    }
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Store => "store",
        }
    }
}

fn report(error: &Error) -> &(dyn std::error::Error + 'static) {
    error
}
