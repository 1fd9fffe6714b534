//! A replica never goes backwards but by a rebase or a removal (S2, S6, S8).

use std::time::Duration;

use super::Invariant;
use crate::sim::seen::{Change, Seen};
use crate::sim::truth::Truth;

/// An apply never lowers a cursor, never changes what stands at it, and never brings back or makes
/// vanish a replica of an older generation. A rebase that changes a replica raises its generation.
pub(super) struct Backwards;

impl Invariant for Backwards {
    fn name(&self) -> &'static str {
        "backwards"
    }

    fn clauses(&self) -> &'static str {
        "S2 S6 S8"
    }

    fn on(&mut self, _: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Stored {
            grain,
            before: Some(before),
            after,
            by,
            meant_for,
            ..
        } = seen
        else {
            return Ok(());
        };
        let Some(after) = after else {
            return if *by == Change::Remove {
                Ok(())
            } else {
                Err(format!("{grain} vanished by {by:?}"))
            };
        };
        if before == after {
            return Ok(());
        }
        let (from, to) = (before.cursor(), after.cursor());
        match by {
            Change::Apply if meant_for.is_some_and(|meant| meant != before.generation()) => {
                Err(format!(
                    "{grain} of generation {} was changed by an apply that was meant for {meant_for:?}",
                    before.generation()
                ))
            }
            Change::Apply if to <= from => {
                Err(format!("{grain} went from {from} to {to} by an apply"))
            }
            Change::Apply if after.generation() != before.generation() => Err(format!(
                "{grain} changed its generation from {} to {} by an apply",
                before.generation(),
                after.generation()
            )),
            Change::Rebase if after.generation() <= before.generation() => Err(format!(
                "{grain} was rebased from {from} to {to} and kept its generation {}",
                after.generation()
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, full, replica, stored};
    use super::*;

    #[test]
    fn objects_to_an_apply_that_goes_back() {
        let mut told = Told::of(Backwards);
        let (old, new) = (replica(&full(1, 1, 1), 0), replica(&full(1, 2, 2), 0));
        told.ok(stored(Some(&old), Some(&new), Change::Apply));
        told.objects(stored(Some(&new), Some(&old), Change::Apply));
        told.objects(stored(Some(&new), None, Change::Apply));
        told.ok(stored(Some(&new), None, Change::Remove));
        // Another state at the same cursor.
        let other = replica(&full(1, 2, 3), 0);
        told.objects(stored(Some(&new), Some(&other), Change::Apply));
    }

    #[test]
    fn objects_to_an_apply_that_was_meant_for_another_generation() {
        let mut told = Told::of(Backwards);
        let (old, new) = (replica(&full(1, 1, 1), 1), replica(&full(1, 2, 2), 1));
        let late = |generation| {
            let mut late = stored(Some(&old), Some(&new), Change::Apply);
            if let Seen::Stored { meant_for, .. } = &mut late {
                *meant_for = Some(gleaner::Generation::new(generation));
            }
            late
        };
        told.ok(late(1));
        told.objects(late(0));
    }

    #[test]
    fn a_rebase_goes_back_and_raises_the_generation() {
        let mut told = Told::of(Backwards);
        let new = replica(&full(1, 2, 2), 0);
        told.ok(stored(
            Some(&new),
            Some(&replica(&full(1, 1, 1), 1)),
            Change::Rebase,
        ));
        told.objects(stored(
            Some(&new),
            Some(&replica(&full(1, 1, 1), 0)),
            Change::Rebase,
        ));
    }
}
