//! No grain is silently stuck: at rest it is in step, or its health says truly why not (standing,
//! delta rule, C4, L11).

use std::time::Duration;

use gleaner::{Cursor, Health};

use super::Invariant;
use crate::sim::seen::{Seen, Stage};
use crate::sim::truth::{Grain, Truth};

/// Long after the last fault, a follower says of each grain how it stands. A replica above the log's
/// head says `Ahead`, one beside it `Diverged`, one of a log that has no such grain `Missing`: a lost
/// tail is said. One that is behind has an entry in its way that it cannot apply. A grain in step has
/// been confirmed since.
pub(super) struct Stuck;

/// A grain in step that was not confirmed for so long is stuck.
const OLD: Duration = Duration::from_secs(4);

impl Invariant for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn clauses(&self) -> &'static str {
        "standing delta-rule C4 L11"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Stands {
            follower,
            grain,
            stage: Stage::Calm,
            health,
            age,
            replica,
            held,
        } = seen
        else {
            return Ok(());
        };
        let empty = Grain::default();
        let known = truth.grain(grain).unwrap_or(&empty);
        let Some(health) = health else {
            // Not followed: unfollowed, or never named by a log that has it no more.
            return if *held || known.head().is_none() {
                Ok(())
            } else {
                Err(format!(
                    "follower {follower} does not follow {grain}, which the log holds"
                ))
            };
        };
        let cursor = replica
            .as_ref()
            .map_or(Cursor::ZERO, gleaner::Replica::cursor);
        let digest = replica.as_ref().map(gleaner::Replica::digest);
        let head = known.head();
        let at = head.map_or(Cursor::ZERO, |head| head.cursor);
        let truly = match health {
            Health::Paused => *held,
            Health::Foreign => truth.anew > 0,
            Health::Live if !truth.confirms => head.map(|head| head.digest) == digest,
            Health::Live => {
                let nothing = head.is_none() && replica.is_none();
                nothing
                    || (head.map(|head| head.digest) == digest && age.is_some_and(|age| age <= OLD))
            }
            Health::Ahead => head.is_some() && cursor > at,
            Health::Missing => head.is_none() && replica.is_some(),
            Health::Diverged => {
                cursor == at && head.is_some_and(|head| Some(head.digest) != digest)
            }
            Health::Quarantined => cursor < at && in_the_way(known, cursor, at),
            Health::Bootstrapping => false,
        };
        if truly {
            return Ok(());
        }
        Err(format!(
            "{grain} of follower {follower} says {health:?}, aged {age:?}, at {cursor}; the log's \
             head is {at}"
        ))
    }
}

/// Whether an entry that cannot be applied lies between a replica and the head, at or above the newest
/// base: what the replica would have to apply.
fn in_the_way(grain: &Grain, cursor: Cursor, head: Cursor) -> bool {
    let base = grain.base_of(head);
    grain
        .present()
        .any(|written| !written.applies && written.cursor > cursor.min(base.predecessor()))
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, full, replica, stands};
    use super::*;
    use crate::sim::seen::FenceLeft;

    #[test]
    fn objects_to_a_health_that_is_not_true() {
        let mut told = Told::of(Stuck);
        let (first, second) = (full(1, 1, 1), full(1, 2, 2));
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.ok(Seen::Landed {
            entry: second.clone(),
        });
        let (at_first, at_second) = (replica(&first, 0), replica(&second, 0));
        told.ok(stands(Health::Live, Some(&at_second)));
        for health in [
            Health::Live,
            Health::Bootstrapping,
            Health::Quarantined,
            Health::Ahead,
            Health::Diverged,
            Health::Missing,
            Health::Paused,
            Health::Foreign,
        ] {
            told.objects(stands(health, Some(&at_first)));
        }
        let holds = vec![(first.cursor(), first.digest())];
        told.ok(Seen::Rewound {
            grain: first.grain().clone(),
            holds,
            fence: FenceLeft::Kept,
        });
        told.ok(stands(Health::Ahead, Some(&at_second)));
        told.objects(stands(Health::Live, Some(&at_second)));
    }
}
