//! A publisher of Deltas gives its whole state after so many of them (P6).

use std::time::Duration;

use gleaner::Kind;

use super::Invariant;
use crate::sim::primary::FULL_EVERY;
use crate::sim::seen::Seen;
use crate::sim::truth::Truth;

/// No more Deltas follow each other than the publisher was told.
pub(super) struct Whole;

impl Invariant for Whole {
    fn name(&self) -> &'static str {
        "whole"
    }

    fn clauses(&self) -> &'static str {
        "P6"
    }

    fn on(&mut self, truth: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        let Seen::Landed { entry } = seen else {
            return Ok(());
        };
        if entry.kind() != Kind::Delta {
            return Ok(());
        }
        let Some(known) = truth.grain(entry.grain()) else {
            return Ok(());
        };
        let base = known.base_of(entry.cursor());
        let deltas = 1 + known
            .present()
            .filter(|written| written.cursor > base)
            .count();
        if deltas as u64 <= FULL_EVERY {
            return Ok(());
        }
        Err(format!(
            "{} {} is the {deltas}th delta behind {base}; at most {FULL_EVERY} were asked for",
            entry.grain(),
            entry.cursor()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, delta_on, full};
    use super::*;

    #[test]
    fn objects_to_deltas_without_end() {
        let mut told = Told::of(Whole);
        let mut last = full(1, 1, 1);
        told.ok(Seen::Landed {
            entry: last.clone(),
        });
        for unique in 0..FULL_EVERY {
            last = delta_on(&last, unique);
            told.ok(Seen::Landed {
                entry: last.clone(),
            });
        }
        told.objects(Seen::Landed {
            entry: delta_on(&last, 99),
        });
    }
}
