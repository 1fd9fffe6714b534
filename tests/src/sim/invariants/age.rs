//! No age is smaller than the truth (C1 to C5, L9).

use std::time::Duration;

use gleaner::{Cursor, Health};

use super::Invariant;
use crate::sim::seen::{Got, Seen};
use crate::sim::truth::Truth;

/// An answer of age *a* at time *t* holds everything that was written before *t - a* and is not lost,
/// or says that log and replica disagree. What says `Live` was, at that time, no entry that the log had
/// lost. A log that does not confirm gives no age at all.
pub(super) struct Age;

impl Invariant for Age {
    fn name(&self) -> &'static str {
        "age"
    }

    fn clauses(&self) -> &'static str {
        "C1 C2 C3 C4 C5 L9"
    }

    fn on(&mut self, truth: &Truth, at: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Read {
            grain,
            max_age,
            got:
                Got::Answer {
                    state,
                    cursor,
                    age,
                    health,
                },
            ..
        } = seen
        else {
            return Ok(());
        };
        if let Some(max_age) = max_age
            && age.is_none_or(|age| age > *max_age)
        {
            return Err(format!(
                "{grain} was given aged {age:?}, at most {max_age:?} was asked"
            ));
        }
        let Some(age) = age else {
            return Ok(());
        };
        if !truth.confirms {
            return Err(format!("{grain} has an age, and the log confirms nothing"));
        }
        let disagree = matches!(
            health,
            Some(Health::Ahead | Health::Diverged | Health::Missing | Health::Foreign)
        );
        let (Some(known), Some(since)) = (truth.grain(grain), at.checked_sub(*age)) else {
            return Ok(());
        };
        if disagree {
            return Ok(());
        }
        let newest = known
            .present()
            .filter(|written| written.landed < since)
            .map(|written| written.cursor)
            .max()
            .unwrap_or(Cursor::ZERO);
        if *cursor < newest {
            return Err(format!(
                "{grain} was read at {cursor}, aged {age:?}; {newest} was written before"
            ));
        }
        let mut there = known
            .written
            .iter()
            .filter(|written| written.cursor == *cursor && written.state == *state);
        let lost = there.clone().count() > 0
            && there.all(|written| written.lost.is_some_and(|lost| lost < since));
        // What lies above everything that the log held then holds all of it, lost or not: it came
        // late, and is said when it is next looked at.
        if lost && *cursor <= newest && *health == Some(Health::Live) {
            return Err(format!(
                "{grain} was read live at {cursor}, aged {age:?}; the log had lost that before"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, answer, full};
    use super::*;
    use crate::sim::seen::FenceLeft;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn objects_to_an_answer_that_is_older_than_it_says() {
        let mut told = Told::of(Age);
        let (first, second) = (full(1, 1, 1), full(1, 2, 2));
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.at(SECOND * 10);
        told.ok(Seen::Landed {
            entry: second.clone(),
        });
        told.at(SECOND * 12);
        told.ok(answer(&first, None));
        told.ok(answer(&first, Some(SECOND * 2)));
        told.ok(answer(&first, Some(SECOND * 3)));
        told.objects(answer(&first, Some(SECOND)));
        told.ok(answer(&second, Some(SECOND)));
        // Unless it says that log and replica disagree.
        let mut ahead = answer(&first, Some(SECOND));
        if let Seen::Read {
            got: Got::Answer { health, .. },
            ..
        } = &mut ahead
        {
            *health = Some(Health::Ahead);
        }
        told.ok(ahead);
    }

    #[test]
    fn objects_to_what_the_log_had_lost_by_then() {
        let mut told = Told::of(Age);
        let first = full(1, 1, 1);
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.at(SECOND * 10);
        told.ok(Seen::Rewound {
            grain: first.grain().clone(),
            holds: vec![],
            fence: FenceLeft::Kept,
        });
        told.at(SECOND * 20);
        told.ok(Seen::Landed {
            entry: full(1, 1, 2),
        });
        told.at(SECOND * 30);
        told.ok(answer(&first, Some(SECOND * 20)));
        told.objects(answer(&first, Some(SECOND * 9)));
    }

    #[test]
    fn objects_to_an_age_that_was_not_asked_for_and_to_one_of_a_mere_copy() {
        let mut told = Told::of(Age);
        let first = full(1, 1, 1);
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        let mut bounded = answer(&first, Some(SECOND * 5));
        if let Seen::Read { max_age, .. } = &mut bounded {
            *max_age = Some(SECOND);
        }
        told.objects(bounded);
        told.truth.confirms = false;
        told.objects(answer(&first, Some(SECOND * 100)));
    }
}
