//! L7, L8 with S1 to S3: whatever was truncated, whatever the budgets, a replica that catches up ends
//! at the log's own fold.

use bytes::Bytes;
use gleaner_core::replica::{Rules, Under, advance};
use gleaner_core::{
    Budget, Caught, Cursor, Entry, Fold, FoldError, Generation, GrainId, LogId, Replica,
    ReplicationLog,
};
use gleaner_memory::MemoryLog;
use proptest::prelude::*;

use crate::histories::{GRAINS, Model, Step, folded, grain, step};
use crate::{config, now};

/// A Delta is appended to the state.
struct Append;

impl Fold for Append {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        Ok([state, &delta.payload()[..]].concat().into())
    }
}

#[derive(Debug, Clone)]
enum Turn {
    Append(Step),
    Truncate {
        grain: usize,
        back: u64,
    },
    /// One catch-up of all replicas with a budget of entries and bytes.
    CatchUp {
        entries: usize,
        bytes: usize,
    },
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => step(false).prop_map(Turn::Append),
        2 => (0..GRAINS, 0_u64..6).prop_map(|(grain, back)| Turn::Truncate { grain, back }),
        2 => (0_usize..6, 0_usize..40)
            .prop_map(|(entries, bytes)| Turn::CatchUp { entries, bytes }),
    ]
}

struct Follower {
    log: LogId,
    replicas: Vec<Option<Replica>>,
}

impl Follower {
    /// One call, and what it brings applied; how many grains are not at their head yet.
    fn catch_up(&mut self, log: &MemoryLog, budget: Budget) -> Result<usize, TestCaseError> {
        let wants: Vec<(GrainId, Cursor)> = self
            .replicas
            .iter()
            .enumerate()
            .map(|(number, replica)| {
                let at = replica
                    .as_ref()
                    .map_or(Cursor::ZERO, gleaner_core::Replica::cursor);
                (grain(number), at)
            })
            .collect();
        let answer = now(log.catch_up(&wants, budget)).unwrap();
        prop_assert_eq!(answer.grains.len(), wants.len());
        let (mut behind, mut entries) = (0, 0);
        for (replica, caught) in self.replicas.iter_mut().zip(answer.grains) {
            match caught {
                Caught::Failed(error) => prop_assert!(false, "{error}"),
                Caught::Deferred => behind += 1,
                Caught::Run(run) => {
                    behind += usize::from(!run.complete);
                    entries += run.entries.len();
                    prop_assert!(run.complete || !run.entries.is_empty(), "cut to nothing");
                    let under = Under {
                        log: &self.log,
                        generation: Generation::default(),
                        rules: Rules {
                            fold: Some(&Append),
                            max_state: usize::MAX,
                        },
                    };
                    let advanced = advance(replica.as_ref(), under, &run.entries);
                    prop_assert_eq!(advanced.stop, None);
                    prop_assert_eq!(advanced.applied, run.entries.len());
                    *replica = advanced.replica.or(replica.take());
                    if run.complete {
                        let at = replica
                            .as_ref()
                            .map(|replica| (replica.cursor(), replica.digest()));
                        prop_assert_eq!(at, run.head.map(|head| (head.cursor, head.digest)));
                    }
                }
            }
        }
        prop_assert!(entries <= budget.entries());
        prop_assert!(
            behind == 0 || entries > 0,
            "a call that brings nothing is never the last"
        );
        Ok(behind)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn l8_catching_up_over_any_truncation_is_the_fold_of_the_history(
        turns in prop::collection::vec(turn(), 1..60),
    ) {
        let log = MemoryLog::new();
        let mut model = Model::default();
        let mut follower = Follower {
            log: now(log.identity()).unwrap().log,
            replicas: vec![None; GRAINS],
        };
        for turn in turns {
            match turn {
                Turn::Append(step) => {
                    let entry = model.draw(&step);
                    model.append(&entry).unwrap();
                    now(log.append(entry)).unwrap();
                }
                Turn::Truncate { grain: number, back } => {
                    let id = grain(number);
                    let head = model.grains.get(&id).and_then(|kept| kept.head);
                    let at = head.map_or(Cursor::ZERO, |head| head.cursor);
                    let before =
                        Cursor::new(at.epoch.get(), at.sequence.get().saturating_sub(back));
                    now(log.truncate(&id, before)).unwrap();
                    prop_assert_eq!(now(log.heads(&[id])).unwrap(), [head]);
                }
                Turn::CatchUp { entries, bytes } => {
                    follower.catch_up(&log, Budget::new(entries, bytes))?;
                }
            }
        }
        let mut calls = 0;
        while follower.catch_up(&log, Budget::new(2, 8))? > 0 {
            calls += 1;
            prop_assert!(calls < 200, "no end of catching up");
        }
        for (number, replica) in follower.replicas.iter().enumerate() {
            let left = now(log.read_from(&grain(number), Cursor::ZERO, Budget::UNBOUNDED)).unwrap();
            let state = replica.as_ref().and_then(|replica| replica.state().map(Bytes::copy_from_slice));
            // L7: what is left begins with a base, so it folds by itself, and to the same.
            prop_assert!(left.entries.first().is_none_or(|first| first.kind().is_base()));
            prop_assert_eq!(&state, &folded(&left.entries));
            let whole = model.grains.get(&grain(number)).cloned().unwrap_or_default();
            prop_assert_eq!(&state, &folded(&whole.entries));
        }
    }
}
