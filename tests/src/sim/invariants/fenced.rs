//! A fenced writer never gets Ok (L2 (2), L4, P4).

use std::time::Duration;

use super::Invariant;
use crate::sim::seen::Seen;
use crate::sim::truth::Truth;

/// Once an epoch is claimed, nothing of a lower one, or of another writer of it, is written or
/// answered with Ok; and no lower claim is given.
pub(super) struct Fenced;

impl Invariant for Fenced {
    fn name(&self) -> &'static str {
        "fenced"
    }

    fn clauses(&self) -> &'static str {
        "L2 L4 P4"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let (grain, epoch, writer) = match seen {
            Seen::Landed { entry } => (entry.grain(), entry.epoch(), entry.writer()),
            Seen::Accepted {
                grain,
                epoch,
                writer,
            } => (grain, *epoch, *writer),
            Seen::Claimed { grain, fence } => (grain, fence.epoch, fence.writer),
            _ => return Ok(()),
        };
        let Some(fence) = truth.grain(grain).and_then(|grain| grain.fence) else {
            return Ok(());
        };
        let above = epoch > fence.epoch || (epoch == fence.epoch && writer == fence.writer);
        if above {
            return Ok(());
        }
        Err(format!(
            "epoch {epoch} of writer {writer} got Ok on {grain}, which epoch {} of {} owns",
            fence.epoch, fence.writer
        ))
    }
}

#[cfg(test)]
mod tests {
    use gleaner::{Epoch, Fence, Writer};

    use super::super::told::{Told, entry_by, full};
    use super::*;

    #[test]
    fn objects_to_a_deposed_writer() {
        let mut told = Told::of(Fenced);
        told.ok(Seen::Landed {
            entry: entry_by(7, 1, 1),
        });
        told.ok(Seen::Claimed {
            grain: full(1, 1, 1).grain().clone(),
            fence: Fence {
                epoch: Epoch::new(2),
                writer: Writer::new(8),
            },
        });
        told.objects(Seen::Landed {
            entry: entry_by(7, 1, 2),
        });
        told.objects(Seen::Accepted {
            grain: full(1, 1, 1).grain().clone(),
            epoch: Epoch::new(2),
            writer: Writer::new(7),
        });
        told.ok(Seen::Landed {
            entry: entry_by(8, 2, 2),
        });
    }
}
