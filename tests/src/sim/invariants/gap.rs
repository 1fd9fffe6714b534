//! A replica never folds across a gap, and never holds a state that nobody wrote (S1, S3, S6, S7, the
//! delta rule).

use std::time::Duration;

use super::Invariant;
use crate::sim::seen::Seen;
use crate::sim::truth::Truth;

/// Whatever a store holds is the state that the entry at its cursor leads to, folded from its base
/// without leaving out, doubling or swapping a change; and every change of it could be applied.
pub(super) struct Gap;

impl Invariant for Gap {
    fn name(&self) -> &'static str {
        "gap"
    }

    fn clauses(&self) -> &'static str {
        "S1 S3 S6 S7 delta-rule"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Stored {
            grain,
            before,
            after: Some(after),
            by,
            ..
        } = seen
        else {
            return Ok(());
        };
        if before.as_ref() == Some(after) {
            return Ok(());
        }
        let written = truth
            .grain(grain)
            .and_then(|grain| grain.find(after.cursor(), after.digest()));
        let Some(written) = written else {
            return Err(format!(
                "{grain} holds {} {} by {by:?}, which nobody wrote",
                after.cursor(),
                after.digest()
            ));
        };
        if written.state.as_deref() != after.state() {
            return Err(format!(
                "{grain} at {} holds another state by {by:?} than the log folds to",
                after.cursor()
            ));
        }
        if !written.applies {
            return Err(format!(
                "{grain} has applied {}, which its fold refuses",
                after.cursor()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gleaner::Replica;

    use super::super::told::{Told, delta_on, full, replica, stored};
    use super::*;
    use crate::sim::seen::Change;
    use crate::sim::states;

    #[test]
    fn objects_to_a_state_that_nobody_wrote() {
        let mut told = Told::of(Gap);
        told.objects(stored(
            None,
            Some(&replica(&full(1, 1, 1), 0)),
            Change::Apply,
        ));
    }

    #[test]
    fn objects_to_a_change_left_out() {
        let mut told = Told::of(Gap);
        let base = full(1, 1, 1);
        let first = delta_on(&base, 2);
        let second = delta_on(&first, 3);
        for entry in [&base, &first, &second] {
            told.ok(Seen::Landed {
                entry: entry.clone(),
            });
        }
        let fold = |state: &[u8], change: &gleaner::Entry| {
            states::folded(state, change.payload()).unwrap()
        };
        let whole = fold(&fold(base.payload(), &first), &second);
        let holed = fold(base.payload(), &second);
        let with = |state: bytes::Bytes| {
            let replica = replica(&second, 0);
            Replica::new(replica.stamp(), Some(&state))
        };
        told.ok(stored(None, Some(&with(whole)), Change::Apply));
        told.objects(stored(None, Some(&with(holed)), Change::Apply));
    }
}
