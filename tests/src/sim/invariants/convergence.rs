//! Once faults have stopped and operators have healed what waits for them, every grain is in step
//! within so many poll intervals of its last write (C2, C3, L8, F1 to F3).

use std::time::Duration;

use gleaner::Health;

use super::Invariant;
use crate::sim::seen::{Seen, Stage};
use crate::sim::truth::Truth;

/// The last look finds every grain live, at the head, and confirmed.
pub(super) struct Convergence;

impl Invariant for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn clauses(&self) -> &'static str {
        "C2 C3 L8 F1 F2 F3"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Stands {
            follower,
            grain,
            stage: Stage::Healed,
            health,
            age,
            replica,
            ..
        } = seen
        else {
            return Ok(());
        };
        let head = truth.grain(grain).and_then(|grain| grain.head());
        let there = match (replica, head) {
            (Some(replica), Some(head)) => {
                replica.cursor() == head.cursor && replica.digest() == head.digest
            }
            (None, None) => true,
            _ => false,
        };
        let confirmed = age.is_some() || !truth.confirms;
        if *health == Some(Health::Live) && there && confirmed {
            return Ok(());
        }
        Err(format!(
            "{grain} of follower {follower} is {health:?}, aged {age:?}, at {:?}; the log's head is \
             {:?}",
            replica.as_ref().map(gleaner::Replica::cursor),
            head.map(|head| head.cursor)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, full, healed, replica};
    use super::*;

    #[test]
    fn objects_to_a_grain_left_behind() {
        let mut told = Told::of(Convergence);
        let (first, second) = (full(1, 1, 1), full(1, 2, 2));
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.ok(healed(Health::Live, Some(&replica(&first, 0))));
        told.objects(healed(Health::Quarantined, Some(&replica(&first, 0))));
        told.objects(healed(Health::Live, None));
        told.ok(Seen::Landed { entry: second });
        told.objects(healed(Health::Live, Some(&replica(&first, 0))));
    }
}
