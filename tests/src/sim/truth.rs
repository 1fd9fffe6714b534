//! [`Truth`]: what really happened, as the wire to the log saw it. The invariants compare with it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use gleaner::{Cursor, Digest, Entry, Fence, GrainId, Kind};

use super::seen::{FenceLeft, Seen};
use super::states::{applies, folded};

/// An entry that the log has held.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) cursor: Cursor,
    pub(crate) digest: Digest,
    pub(crate) kind: Kind,
    /// The grain's state with it; none after a Tombstone.
    pub(crate) state: Option<Bytes>,
    /// Whether a follower can apply it, where it fits.
    pub(crate) applies: bool,
    /// When it was written; the last time, if it was lost in between.
    pub(crate) landed: Duration,
    /// When the log lost it.
    pub(crate) lost: Option<Duration>,
}

/// One grain's truth.
#[derive(Debug, Default)]
pub(crate) struct Grain {
    /// Everything ever written, in the order of writing.
    pub(crate) written: Vec<Written>,
    pub(crate) fence: Option<Fence>,
    /// What was given up of history, by truncation.
    pub(crate) floor: Cursor,
    /// How often a tail was lost.
    pub(crate) lost_tails: u32,
}

impl Grain {
    /// The entry of a digest.
    pub(crate) fn find(&self, cursor: Cursor, digest: Digest) -> Option<&Written> {
        self.written
            .iter()
            .rfind(|written| written.digest == digest && written.cursor == cursor)
    }

    /// The newest entry that the log holds.
    pub(crate) fn head(&self) -> Option<&Written> {
        self.present().max_by_key(|written| written.cursor)
    }

    /// What the log holds, or has truncated.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Written> {
        self.written.iter().filter(|written| written.lost.is_none())
    }

    /// The newest base at or below a cursor.
    pub(crate) fn base_of(&self, head: Cursor) -> Cursor {
        self.present()
            .filter(|written| written.kind.is_base() && written.cursor <= head)
            .map(|written| written.cursor)
            .max()
            .unwrap_or(Cursor::ZERO)
    }
}

/// All that is known to have happened.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) grains: BTreeMap<GrainId, Grain>,
    /// Whether the log confirms at all.
    pub(crate) confirms: bool,
    /// Whether every state that was published stands in the log: nothing is coalesced, and no tail
    /// is lost.
    pub(crate) every_state: bool,
    /// How many times the log was begun anew.
    pub(crate) anew: u32,
}

impl Truth {
    pub(crate) fn grain(&self, grain: &GrainId) -> Option<&Grain> {
        self.grains.get(grain)
    }

    /// Takes in what was seen, after the invariants have looked at it.
    pub(crate) fn take(&mut self, at: Duration, seen: &Seen) {
        match seen {
            Seen::Landed { entry } => self.landed(at, entry),
            Seen::Claimed { grain, fence } => {
                self.grains.entry(grain.clone()).or_default().fence = Some(*fence);
            }
            Seen::Anew => self.anew += 1,
            Seen::Cut { grain, floor } => {
                let grain = self.grains.entry(grain.clone()).or_default();
                grain.floor = grain.floor.max(*floor);
            }
            Seen::Rewound {
                grain,
                holds,
                fence,
            } => {
                let grain = self.grains.entry(grain.clone()).or_default();
                if let FenceLeft::Was(fence) = fence {
                    grain.fence = *fence;
                }
                grain.rewound(at, holds);
            }
            _ => {}
        }
    }

    fn landed(&mut self, at: Duration, entry: &Entry) {
        let grain = self.grains.entry(entry.grain().clone()).or_default();
        let state = match entry.kind() {
            Kind::FullState => Some(entry.payload().clone()),
            Kind::Tombstone => None,
            Kind::Delta => grain
                .present()
                .find(|written| Some(written.digest) == entry.prev())
                .and_then(|before| before.state.as_ref())
                .and_then(|before| folded(before, entry.payload())),
        };
        let fence = Fence {
            epoch: entry.epoch(),
            writer: entry.writer(),
        };
        if grain.fence.is_none_or(|known| known.epoch < fence.epoch) {
            grain.fence = Some(fence);
        }
        let written = Written {
            cursor: entry.cursor(),
            digest: entry.digest(),
            kind: entry.kind(),
            state,
            applies: applies(entry),
            landed: at,
            lost: None,
        };
        // Written once more after it was lost: the same entry.
        grain
            .written
            .retain(|known| known.digest != written.digest || known.cursor != written.cursor);
        grain.written.push(written);
    }
}

impl Grain {
    fn rewound(&mut self, at: Duration, holds: &[(Cursor, Digest)]) {
        let first = holds.first().map(|(cursor, _)| *cursor);
        let mut lost = false;
        for written in &mut self.written {
            let held = holds.contains(&(written.cursor, written.digest));
            let cut = first.is_some_and(|first| written.cursor < first);
            if held {
                if written.lost.take().is_some() {
                    written.landed = at;
                }
            } else if written.lost.is_none() && !cut {
                written.lost = Some(at);
                lost = true;
            }
        }
        self.floor = first.unwrap_or(Cursor::ZERO);
        self.lost_tails += u32::from(lost);
    }
}
