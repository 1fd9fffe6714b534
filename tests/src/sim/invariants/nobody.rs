//! A reader never sees a state that nobody wrote, nor a state under another's cursor (S1, S4).

use std::time::Duration;

use super::Invariant;
use crate::sim::seen::{Got, Seen};
use crate::sim::truth::Truth;

/// What a reader is given is the state of some entry, stamped with that entry's cursor.
pub(super) struct Nobody;

impl Invariant for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn clauses(&self) -> &'static str {
        "S1 S4"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Read {
            grain,
            got: Got::Answer { state, cursor, .. },
            ..
        } = seen
        else {
            return Ok(());
        };
        let known = truth.grain(grain).is_some_and(|grain| {
            grain
                .written
                .iter()
                .any(|written| written.cursor == *cursor && written.state == *state)
        });
        if known {
            Ok(())
        } else {
            Err(format!(
                "{grain} was read at {cursor} with a state that nobody wrote there"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, answer, full};
    use super::*;

    #[test]
    fn objects_to_a_state_under_anothers_cursor() {
        let mut told = Told::of(Nobody);
        let (first, second) = (full(1, 1, 1), full(1, 2, 2));
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.ok(Seen::Landed {
            entry: second.clone(),
        });
        told.ok(answer(&first, None));
        let Seen::Read {
            got: Got::Answer { state, .. },
            ..
        } = answer(&first, None)
        else {
            unreachable!()
        };
        let mut torn = answer(&second, None);
        if let Seen::Read {
            got: Got::Answer { state: torn, .. },
            ..
        } = &mut torn
        {
            *torn = state;
        }
        told.objects(torn);
    }
}
