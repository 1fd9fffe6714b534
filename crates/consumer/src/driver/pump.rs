//! What goes out: queued wishes of actors, gathered into calls.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use gleaner_core::Advance;

use super::grains::bytes;
use super::ops::{self, Done};
use super::shard::Shard;

/// Applies in flight at once: one is filled while the other is carried out.
const APPLIES: usize = 2;

impl Shard {
    /// Gathers what is queued into calls, as far as the bounds allow.
    pub(super) fn pump(&mut self) {
        let settings = &self.tools.settings;
        let (chunk, budget) = (settings.grains_per_read, settings.budget);
        let bound = self.reads_at_once;
        while !self.queues.loads.is_empty() && self.queues.loading < bound {
            let slots = take(&mut self.queues.loads, chunk);
            let grains = slots.iter().filter_map(|slot| self.grain(*slot)).collect();
            self.queues.loading += 1;
            let (log, store) = (self.tools.log.clone(), self.tools.store.clone());
            let bound = self.tools.shared.bound();
            self.ops.push(ops::load(log, store, bound, slots, grains));
        }
        if self.queues.loads.len() < chunk {
            for told in self.held.drain(..) {
                let _ = told.send(());
            }
        }
        self.send_runs();
        if self.queues.run_bytes <= budget.bytes() {
            self.take_more();
        }
        // A store that is slower than the log holds the reads back, not the memory up.
        while self.queues.reading < bound && self.queues.run_bytes <= budget.bytes() {
            let log = self.tools.log.clone();
            let asked;
            if let Some((slot, to)) = self.queues.rereads.pop_front() {
                let Some(grain) = self.grain(slot) else {
                    continue;
                };
                let t0 = self.tools.shared.t0();
                asked = 1;
                self.ops.push(match to {
                    Some(to) => ops::read_up_to(log, budget, t0, slot, grain, to),
                    None => ops::reread(log, budget, t0, slot, grain),
                });
            } else if !self.queues.polls.is_empty() {
                let polls = take(&mut self.queues.polls, chunk);
                let wants = polls
                    .iter()
                    .filter_map(|(slot, from)| Some((self.grain(*slot)?, *from)))
                    .collect();
                let t0 = self.tools.shared.t0();
                asked = polls.len();
                let slots = polls.into_iter().map(|(slot, _)| slot).collect();
                self.ops.push(ops::catch_up(log, budget, t0, slots, wants));
            } else {
                return;
            }
            self.queues.reading += 1;
            let counts = &self.tools.shared.counts;
            counts.reads.fetch_add(1, Ordering::Relaxed);
            counts.polls.fetch_add(asked as u64, Ordering::Relaxed);
        }
    }

    fn send_runs(&mut self) {
        while self.queues.applying < APPLIES
            && let Some(log) = self.queues.runs.front().map(|run| run.log.clone())
        {
            // Runs of one log at a time: after a log was replaced, those of the old one go first.
            let alike = self
                .queues
                .runs
                .iter()
                .take_while(|run| run.log == log)
                .count();
            let (infos, runs): (Vec<_>, Vec<_>) = self
                .queues
                .runs
                .drain(..alike)
                .map(|run| (run.info, run.advance))
                .unzip();
            let given: usize = runs.iter().map(|run: &Advance| bytes(&run.entries)).sum();
            self.queues.run_bytes = self.queues.run_bytes.saturating_sub(given);
            self.queues.applying += 1;
            self.tools
                .shared
                .counts
                .runs_applied
                .fetch_add(runs.len() as u64, Ordering::Relaxed);
            let store = self.tools.store.clone();
            self.ops.push(Box::pin(async move {
                let result = store.apply(&log, runs).await;
                Done::Applied {
                    runs: infos,
                    result,
                }
            }));
        }
    }
}

fn take<T>(queue: &mut VecDeque<T>, at_most: usize) -> Vec<T> {
    let count = queue.len().min(at_most);
    queue.drain(..count).collect()
}
