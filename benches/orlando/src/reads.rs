//! `reads`: random reads of replicas, alone and beside a paced writer.

use std::sync::Arc;

use gleaner_measure::{Race, Work, begin, key, line, payload, read_race};
use orlando_cluster::ReplicaStore;

use crate::{Outcome, TYPE};

pub fn run(work: &Work) -> Outcome<()> {
    let store = Arc::new(ReplicaStore::new());
    let keys: Vec<String> = (0..work.grains).map(key).collect();
    for key in &keys {
        store.update(TYPE, key, payload(work.payload, 1), 1, 0);
    }
    let mut sequence = 1;
    begin();
    for threads in [1, 2] {
        for updates_per_second in [None, Some(work.rate)] {
            let race = Race {
                threads,
                grains: work.grains,
                seconds: work.seconds,
                updates_per_second,
            };
            let mut draw = gleaner_measure::Draw::new(99);
            let (rate, reached) = read_race(
                race,
                |grain| {
                    store
                        .get(TYPE, keys.get(grain as usize)?)?
                        .payload
                        .first()
                        .copied()
                },
                |updates| {
                    for _ in 0..updates {
                        let Some(key) = keys.get(draw.below(work.grains) as usize) else {
                            continue;
                        };
                        sequence += 1;
                        store.update(TYPE, key, payload(work.payload, sequence), sequence, 0);
                    }
                },
            )?;
            let beside = if reached.is_some() { "writer" } else { "quiet" };
            // It has no handles: its one way to read is the other side of both of ours.
            for way in ["by_id", "handle"] {
                let name = format!("{way}.{threads}_threads.{beside}");
                line(&format!("{name}.reads_per_second"), rate);
                if let Some(reached) = reached {
                    line(&format!("{name}.updates_per_second"), reached.per_second);
                }
            }
        }
    }
    Ok(())
}
