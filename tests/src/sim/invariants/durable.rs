//! Every acknowledged entry is in the log, or superseded, unless the log has lost its tail (L1, L5,
//! L7, P2, P3).

use std::time::Duration;

use super::Invariant;
use crate::sim::seen::Seen;
use crate::sim::truth::Truth;

/// What a publisher says is durable was written: the entry itself, or a base of the same epoch above
/// it, which took its place. What was written is there to the end, but for what lies below a base that
/// a truncation left.
pub(super) struct Durable;

impl Invariant for Durable {
    fn name(&self) -> &'static str {
        "durable"
    }

    fn clauses(&self) -> &'static str {
        "L1 L5 L7 P2 P3"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Acked { grain, cursor } => {
                let written = truth.grain(grain).is_some_and(|grain| {
                    grain.written.iter().any(|written| {
                        written.cursor == *cursor
                            || (!truth.every_state
                                && written.kind.is_base()
                                && written.cursor.epoch == cursor.epoch
                                && written.cursor > *cursor)
                    })
                });
                if written {
                    Ok(())
                } else {
                    Err(format!(
                        "{grain} {cursor} was acknowledged and never written"
                    ))
                }
            }
            Seen::Cut { grain, floor } => {
                let at_base = truth.grain(grain).is_some_and(|grain| {
                    grain
                        .present()
                        .any(|written| written.cursor == *floor && written.kind.is_base())
                });
                if at_base {
                    Ok(())
                } else {
                    Err(format!("{grain} was cut at {floor}, which is no base"))
                }
            }
            Seen::Holds { grain, entries } => {
                let Some(known) = truth.grain(grain) else {
                    return if entries.is_empty() {
                        Ok(())
                    } else {
                        Err(format!("{grain} holds what nobody wrote"))
                    };
                };
                let missing = known.present().find(|written| {
                    written.cursor >= known.floor
                        && !entries.contains(&(written.cursor, written.digest))
                });
                if let Some(missing) = missing {
                    return Err(format!("{grain} {} is gone from the log", missing.cursor));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use gleaner::Cursor;

    use super::super::told::{Told, delta_on, full};
    use super::*;

    #[test]
    fn objects_to_an_acknowledgement_of_nothing() {
        let mut told = Told::of(Durable);
        let grain = full(1, 1, 1).grain().clone();
        let acked = |sequence| Seen::Acked {
            grain: grain.clone(),
            cursor: Cursor::new(1, sequence),
        };
        told.objects(acked(1));
        told.ok(Seen::Landed {
            entry: full(1, 3, 1),
        });
        // Coalesced into the third.
        told.ok(acked(2));
        told.ok(acked(3));
        told.objects(acked(4));
    }

    #[test]
    fn objects_to_a_state_that_was_coalesced_unasked() {
        let mut told = Told::of(Durable);
        told.truth.every_state = true;
        told.ok(Seen::Landed {
            entry: full(1, 3, 1),
        });
        let acked = |sequence| Seen::Acked {
            grain: full(1, 1, 1).grain().clone(),
            cursor: Cursor::new(1, sequence),
        };
        told.ok(acked(3));
        told.objects(acked(2));
    }

    #[test]
    fn objects_to_a_log_that_forgets() {
        let mut told = Told::of(Durable);
        let (first, second) = (full(1, 1, 1), full(1, 2, 2));
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.ok(Seen::Landed {
            entry: second.clone(),
        });
        let holds = |entries: Vec<_>| Seen::Holds {
            grain: first.grain().clone(),
            entries,
        };
        let both = vec![
            (first.cursor(), first.digest()),
            (second.cursor(), second.digest()),
        ];
        told.ok(holds(both));
        told.objects(holds(vec![(second.cursor(), second.digest())]));
        told.ok(Seen::Cut {
            grain: first.grain().clone(),
            floor: second.cursor(),
        });
        told.ok(holds(vec![(second.cursor(), second.digest())]));
    }

    #[test]
    fn objects_to_a_cut_inside_a_run_of_deltas() {
        let mut told = Told::of(Durable);
        let first = full(1, 1, 1);
        let delta = delta_on(&first, 2);
        told.ok(Seen::Landed {
            entry: first.clone(),
        });
        told.ok(Seen::Landed {
            entry: delta.clone(),
        });
        told.objects(Seen::Cut {
            grain: first.grain().clone(),
            floor: delta.cursor(),
        });
    }
}
