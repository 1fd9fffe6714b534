//! In step means equal to the log's own fold (standing of a replica, S1, S6).

use std::time::Duration;

use gleaner::Health;

use super::Invariant;
use crate::sim::seen::Seen;
use crate::sim::truth::Truth;

/// At rest, a grain that is said to be live holds exactly what the log folds to, tombstones included.
pub(super) struct InStep;

impl Invariant for InStep {
    fn name(&self) -> &'static str {
        "in-step"
    }

    fn clauses(&self) -> &'static str {
        "standing S1 S6"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Stands {
            grain,
            health: Some(Health::Live),
            replica,
            ..
        } = seen
        else {
            return Ok(());
        };
        let head = truth.grain(grain).and_then(|grain| grain.head());
        match (head, replica) {
            (None, None) => Ok(()),
            (Some(head), Some(replica))
                if replica.cursor() == head.cursor
                    && replica.digest() == head.digest
                    && replica.state() == head.state.as_deref() =>
            {
                Ok(())
            }
            _ => Err(format!(
                "{grain} is said to be live at {:?}; the log's head is {:?}",
                replica.as_ref().map(gleaner::Replica::cursor),
                head.map(|head| head.cursor)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, full, replica, stands};
    use super::*;

    #[test]
    fn objects_to_a_live_replica_behind_the_head() {
        let mut told = Told::of(InStep);
        let (first, second) = (full(1, 1, 1), full(1, 2, 2));
        told.ok(stands(Health::Live, None));
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.ok(stands(Health::Live, Some(&replica(&first, 0))));
        told.objects(stands(Health::Live, None));
        told.ok(Seen::Landed { entry: second });
        told.objects(stands(Health::Live, Some(&replica(&first, 0))));
        told.objects(stands(Health::Live, Some(&replica(&full(1, 2, 3), 0))));
    }
}
