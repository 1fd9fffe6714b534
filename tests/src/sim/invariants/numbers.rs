//! One number never names two entries (L1, L2, P1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gleaner::{Cursor, Digest, Fence, GrainId, Kind, Writer};

use super::Invariant;
use crate::sim::seen::{FenceLeft, Seen};
use crate::sim::truth::Truth;

/// In one log a grain's cursors strictly rise and a Delta follows its predecessor; and whatever becomes
/// of the log, a writer gives each of its numbers to one entry only.
#[derive(Default)]
pub(super) struct Numbers {
    given: BTreeMap<(GrainId, Writer, Cursor), Digest>,
    /// Given to callers. By whom is a matter of the writer: a process that opens a grain again, in
    /// another log perhaps, is another one.
    told: BTreeSet<(GrainId, Writer, Cursor)>,
    claimed: BTreeMap<(GrainId, u64), (Writer, u32)>,
}

impl Invariant for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn clauses(&self) -> &'static str {
        "L1 L2 L4 P1"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Landed { entry } => {
                let (cursor, digest) = (entry.cursor(), entry.digest());
                let key = (entry.grain().clone(), entry.writer(), cursor);
                let given = *self.given.entry(key).or_insert(digest);
                if given != digest {
                    return Err(format!(
                        "{} {cursor} was {given}, and is {digest} of the same writer",
                        entry.grain()
                    ));
                }
                let head = truth.grain(entry.grain()).and_then(|grain| grain.head());
                if let Some(head) = head
                    && (cursor.sequence <= head.cursor.sequence || cursor.epoch < head.cursor.epoch)
                {
                    return Err(format!(
                        "{} {cursor} was written above {}",
                        entry.grain(),
                        head.cursor
                    ));
                }
                let fence = truth.grain(entry.grain()).and_then(|grain| grain.fence);
                if let Some(head) = head
                    && cursor.epoch > head.cursor.epoch
                    && fence.is_none_or(|fence| cursor.epoch > fence.epoch)
                    && head.cursor.sequence.next() != Some(cursor.sequence)
                {
                    return Err(format!(
                        "{} {cursor} leaps above {} in an epoch that nobody claimed",
                        entry.grain(),
                        head.cursor
                    ));
                }
                let fits = head.is_some_and(|head| {
                    head.cursor.is_just_below(cursor)
                        && entry.prev() == Some(head.digest)
                        && head.kind != Kind::Tombstone
                });
                if entry.kind() == Kind::Delta && !fits {
                    return Err(format!(
                        "the delta {} {cursor} follows nothing",
                        entry.grain()
                    ));
                }
                Ok(())
            }
            Seen::Given {
                writer,
                grain,
                cursor,
                ..
            } => {
                let key = (grain.clone(), *writer, *cursor);
                if !self.told.insert(key) {
                    return Err(format!("{grain} {cursor} was given to two states"));
                }
                Ok(())
            }
            Seen::Claimed { grain, fence } => {
                let Fence { epoch, writer } = *fence;
                // A log that has lost a claim may give its epoch once more.
                let lost = truth.grain(grain).map_or(0, |grain| grain.lost_tails) + truth.anew;
                let owner = self
                    .claimed
                    .entry((grain.clone(), epoch.get()))
                    .or_insert((writer, lost));
                if owner.0 != writer && owner.1 == lost {
                    return Err(format!(
                        "epoch {epoch} of {grain} was given to {} and to {writer}",
                        owner.0
                    ));
                }
                *owner = (writer, lost);
                Ok(())
            }
            // Fences may be gone with it, though no entry is.
            Seen::Rewound {
                grain,
                fence: FenceLeft::Was(_),
                ..
            } => {
                self.claimed.retain(|(claimed, _), _| claimed != grain);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, entry_by, full};
    use super::*;

    #[test]
    fn objects_to_a_number_given_twice() {
        let mut told = Told::of(Numbers::default());
        told.ok(Seen::Landed {
            entry: full(1, 1, 10),
        });
        told.ok(Seen::Rewound {
            grain: full(1, 1, 10).grain().clone(),
            holds: vec![],
            fence: FenceLeft::Kept,
        });
        told.objects(Seen::Landed {
            entry: full(1, 1, 11),
        });
    }

    #[test]
    fn objects_to_a_number_that_two_callers_are_given() {
        let mut told = Told::of(Numbers::default());
        told.ok(Seen::Landed {
            entry: full(1, 1, 1),
        });
        let given_by = |writer, sequence| Seen::Given {
            process: "p".to_owned(),
            writer: Writer::new(writer),
            grain: full(1, 1, 1).grain().clone(),
            cursor: Cursor::new(1, sequence),
        };
        told.ok(given_by(1, 1));
        told.ok(given_by(1, 2));
        // The same process, which has opened the grain again in another log.
        told.ok(given_by(2, 2));
        told.objects(given_by(1, 2));
    }

    #[test]
    fn objects_to_a_number_that_falls() {
        let mut told = Told::of(Numbers::default());
        told.ok(Seen::Landed {
            entry: full(1, 5, 1),
        });
        told.objects(Seen::Landed {
            entry: full(2, 5, 2),
        });
    }

    #[test]
    fn objects_to_a_leap_in_an_epoch_that_nobody_claimed() {
        let mut told = Told::of(Numbers::default());
        told.ok(Seen::Landed {
            entry: full(1, 5, 1),
        });
        told.objects(Seen::Landed {
            entry: full(2, 7, 2),
        });
        told.ok(Seen::Landed {
            entry: full(2, 6, 3),
        });
    }

    #[test]
    fn objects_to_one_epoch_of_two_writers() {
        let mut told = Told::of(Numbers::default());
        let claim = |writer| Seen::Claimed {
            grain: full(1, 1, 1).grain().clone(),
            fence: Fence {
                epoch: entry_by(writer, 3, 1).epoch(),
                writer: Writer::new(writer),
            },
        };
        told.ok(claim(1));
        told.ok(claim(1));
        told.objects(claim(2));
    }
}
