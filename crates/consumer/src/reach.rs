//! [`Reach`]: says once that log or store cannot be reached, and once that it can again.

use gleaner_core::{Error, LogId};

use crate::counts::Side;

/// What the driver has said about log and store: one line per change, not one per failed call.
///
/// A log whose feed answers may fail every read, and a store that knows its cursors may fail every
/// write: either is down while anything that failed has not answered since.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// A bit for each [`Asked`] that failed last.
    down: u8,
    foreign: Option<LogId>,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The log: positions, pages of changes and of heads.
    Feed = 0b00001,
    /// The log: entries.
    Reads = 0b00010,
    /// The log: which it is.
    Binding = 0b00100,
    /// The store: where replicas stand.
    Cursors = 0b01000,
    /// The store: to apply and to rebase.
    Writes = 0b10000,
}

impl Reach {
    pub(crate) fn failed(&mut self, asked: Asked, error: &Error) {
        let was_down = self.down & asked.side() != 0;
        self.down |= asked as u8;
        if !was_down {
            let side = asked.name();
            tracing::warn!(
                error = report(error),
                "the {side} cannot be reached; backing off"
            );
        }
    }

    pub(crate) fn answered(&mut self, asked: Asked) {
        let was_down = self.down & asked.side() != 0;
        self.down &= !(asked as u8);
        if was_down && self.down & asked.side() == 0 {
            let side = asked.name();
            tracing::info!("the {side} answers again");
        }
    }

    /// An answer came from this log, while the store belongs to `bound`.
    pub(crate) fn identity(&mut self, followed: &LogId, bound: &LogId) {
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
}

impl Asked {
    /// All that is asked of the same side.
    const fn side(self) -> u8 {
        match self {
            Self::Feed | Self::Reads | Self::Binding => {
                Self::Feed as u8 | Self::Reads as u8 | Self::Binding as u8
            }
            Self::Cursors | Self::Writes => Self::Cursors as u8 | Self::Writes as u8,
        }
    }

    /// Which side is asked.
    pub(crate) const fn of(self) -> Side {
        match self {
            Self::Feed | Self::Reads | Self::Binding => Side::Log,
            Self::Cursors | Self::Writes => Side::Store,
        }
    }

    const fn name(self) -> &'static str {
        self.of().name()
    }
}

fn report(error: &Error) -> &(dyn std::error::Error + 'static) {
    error
}
