//! One append of a grain is in flight, and after an unknown outcome the identical bytes go again (P3).

use std::collections::BTreeMap;
use std::time::Duration;

use gleaner::{Cursor, Digest, GrainId};

use super::Invariant;
use crate::sim::seen::Seen;
use crate::sim::truth::Truth;

type Unit = Vec<(Cursor, Digest)>;

/// What became of the last unit that a process sent of a grain.
enum Last {
    Flying(Unit),
    Doubtful(Unit),
}

/// Until there is a definite answer, a process sends of a grain what it has sent before, and nothing
/// else before it.
#[derive(Default)]
pub(super) struct SameBytes {
    last: BTreeMap<(String, GrainId), Last>,
}

impl Invariant for SameBytes {
    fn name(&self) -> &'static str {
        "same-bytes"
    }

    fn clauses(&self) -> &'static str {
        "P3"
    }

    fn on(&mut self, _: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Sent {
                process,
                grain,
                unit,
            } => {
                let key = (process.clone(), grain.clone());
                match self.last.insert(key, Last::Flying(unit.clone())) {
                    Some(Last::Flying(_)) => {
                        Err(format!("{process} has two appends of {grain} in flight"))
                    }
                    Some(Last::Doubtful(before)) if !unit.starts_with(&before) => Err(format!(
                        "{process} does not know whether {before:?} of {grain} has landed, and sends \
                         {unit:?}"
                    )),
                    _ => Ok(()),
                }
            }
            Seen::Told {
                process,
                grain,
                definite,
            } => {
                let key = (process.clone(), grain.clone());
                if let Some(Last::Flying(unit)) = self.last.remove(&key)
                    && !definite
                {
                    self.last.insert(key, Last::Doubtful(unit));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Told, full};
    use super::*;

    fn sent(sequences: &[u64]) -> Seen {
        let entries = sequences
            .iter()
            .map(|sequence| full(1, *sequence, *sequence));
        Seen::Sent {
            process: "p".to_owned(),
            grain: full(1, 1, 1).grain().clone(),
            unit: entries
                .map(|entry| (entry.cursor(), entry.digest()))
                .collect(),
        }
    }

    fn told_it(definite: bool) -> Seen {
        Seen::Told {
            process: "p".to_owned(),
            grain: full(1, 1, 1).grain().clone(),
            definite,
        }
    }

    #[test]
    fn objects_to_other_bytes_after_a_doubt() {
        let mut told = Told::of(SameBytes::default());
        told.ok(sent(&[1]));
        told.ok(told_it(false));
        told.ok(sent(&[1, 2]));
        told.ok(told_it(true));
        told.ok(sent(&[3]));
        told.ok(told_it(false));
        told.objects(sent(&[4]));
    }

    #[test]
    fn objects_to_two_in_flight() {
        let mut told = Told::of(SameBytes::default());
        told.ok(sent(&[1]));
        told.objects(sent(&[1]));
    }
}
