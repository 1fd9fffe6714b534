//! A read that asks for a write holds it, and says Lost only of what is lost (C6).

use std::time::Duration;

use gleaner::Cursor;

use super::Invariant;
use crate::sim::seen::{Got, Seen};
use crate::sim::truth::Truth;

/// `at_least` holds iff both parts of the cursor are at least those asked for. `Lost` is said where a
/// later writer went on below the number asked for: never of an entry that stands in the log.
pub(super) struct ReadYourWrites;

impl Invariant for ReadYourWrites {
    fn name(&self) -> &'static str {
        "read-your-writes"
    }

    fn clauses(&self) -> &'static str {
        "C6"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Read {
                grain,
                at_least: Some(wanted),
                got: Got::Answer { cursor, .. },
                ..
            } if !holds(*cursor, *wanted) => Err(format!(
                "{grain} was asked for {wanted} at least, and given at {cursor}"
            )),
            Seen::Read {
                grain,
                got: Got::Lost { wanted, cursor },
                ..
            } => {
                if holds(*cursor, *wanted) || cursor.epoch <= wanted.epoch {
                    return Err(format!(
                        "{grain} says {wanted} is lost, and stands at {cursor}"
                    ));
                }
                let known = truth.grain(grain);
                let head = known.and_then(|grain| grain.head());
                let stands = known.is_some_and(|grain| {
                    grain.present().any(|written| written.cursor == *wanted)
                        && grain.present().any(|written| written.cursor == *cursor)
                });
                if stands {
                    return Err(format!(
                        "{grain} says {wanted} is lost, and the log holds it below {:?}",
                        head.map(|head| head.cursor)
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Both parts are at least what was asked for: not asked of the product, which is to be judged.
fn holds(cursor: Cursor, wanted: Cursor) -> bool {
    cursor.epoch >= wanted.epoch && cursor.sequence >= wanted.sequence
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, answer, full};
    use super::*;

    #[test]
    fn objects_to_less_than_was_asked_for() {
        let mut told = Told::of(ReadYourWrites);
        let asked = |epoch, sequence| {
            let mut read = answer(&full(2, 5, 1), None);
            if let Seen::Read { at_least, .. } = &mut read {
                *at_least = Some(Cursor::new(epoch, sequence));
            }
            read
        };
        told.ok(asked(2, 5));
        told.ok(asked(1, 4));
        told.objects(asked(2, 6));
        // A higher epoch with a lower number.
        told.objects(asked(1, 6));
    }

    #[test]
    fn objects_to_lost_of_what_stands() {
        let mut told = Told::of(ReadYourWrites);
        let lost = |wanted, cursor| {
            let mut read = answer(&full(1, 1, 1), None);
            if let Seen::Read { got, .. } = &mut read {
                *got = Got::Lost { wanted, cursor };
            }
            read
        };
        told.ok(lost(Cursor::new(1, 9), Cursor::new(2, 5)));
        told.objects(lost(Cursor::new(1, 9), Cursor::new(1, 5)));
        told.objects(lost(Cursor::new(1, 4), Cursor::new(2, 5)));
    }
}
