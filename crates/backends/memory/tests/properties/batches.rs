//! L2, L3: a batch is its entries one by one, and may be sent again from any point.

use gleaner_core::{Budget, Cursor, Entry, Filter, ReplicationLog};
use gleaner_memory::MemoryLog;
use proptest::prelude::*;

use crate::histories::{Answer, Model, grain, limits, step};
use crate::{config, now};

fn send(log: &MemoryLog, entries: &[Entry]) -> Vec<Answer> {
    now(log.append_batch(entries))
        .unwrap()
        .into_iter()
        .map(|appended| {
            let result = appended.result.map_err(|error| error.kind());
            (appended.grain, appended.landed, result)
        })
        .collect()
}

/// Everything that the log shows of the grains: heads and entries.
fn shown(log: &MemoryLog) -> Vec<String> {
    let listed = now(log.list_heads(&Filter::all(), None, 100)).unwrap();
    listed
        .heads
        .into_iter()
        .map(|(id, head)| {
            let page = now(log.read_from(&id, Cursor::ZERO, Budget::UNBOUNDED)).unwrap();
            assert!(!page.more);
            format!("{id} {head:?} {:?}", page.entries)
        })
        .collect()
}

fn shown_of_model(model: &Model) -> Vec<String> {
    model
        .grains
        .iter()
        .filter_map(|(id, kept)| Some(format!("{id} {:?} {:?}", kept.head?, kept.entries)))
        .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn l3_a_batch_is_its_entries_one_by_one(
        batches in prop::collection::vec(prop::collection::vec(step(true), 1..10), 1..5),
    ) {
        let log = MemoryLog::with_limits(limits());
        let mut model = Model::default();
        for steps in batches {
            // Drawn against what the batch itself will have led to by then.
            let mut ahead = model.clone();
            let batch: Vec<Entry> = steps
                .iter()
                .map(|step| {
                    let entry = ahead.draw(step);
                    let _ = ahead.append(&entry);
                    entry
                })
                .collect();
            for step in &steps {
                model.draw(step);
            }
            let expected = model.append_batch(&batch);
            prop_assert_eq!(send(&log, &batch), expected);
            prop_assert_eq!(shown(&log), shown_of_model(&model));
        }
    }

    #[test]
    fn l3_a_batch_may_be_sent_again_after_any_part_of_it(
        before in prop::collection::vec(step(false), 0..6),
        steps in prop::collection::vec(step(false), 1..16),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut model = Model::default();
        let mut drawn = |steps: &[crate::histories::Step]| -> Vec<Entry> {
            steps
                .iter()
                .map(|step| {
                    let entry = model.draw(step);
                    model.append(&entry).unwrap();
                    entry
                })
                .collect()
        };
        let (before, batch) = (drawn(&before), drawn(&steps));
        let (whole, pieces) = (MemoryLog::new(), MemoryLog::new());
        for log in [&whole, &pieces] {
            for entry in &before {
                now(log.append(entry.clone())).unwrap();
            }
        }
        let expected = send(&whole, &batch);
        prop_assert!(expected.iter().all(|(_, _, result)| result.is_ok()));
        for cut in cuts {
            // Shorter than what has landed already: refused, and nothing of it is undone.
            send(&pieces, &batch[..cut.index(batch.len() + 1)]);
        }
        prop_assert_eq!(send(&pieces, &batch), expected.clone());
        prop_assert_eq!(shown(&pieces), shown(&whole));
        let feed = whole.feed().unwrap();
        let end = now(feed.start(&Filter::all())).unwrap();
        prop_assert_eq!(send(&whole, &batch), expected);
        prop_assert_eq!(now(feed.start(&Filter::all())).unwrap(), end, "a retry moves nothing");
        prop_assert_eq!(shown(&pieces), shown(&whole));
    }

    /// L6: pages of any budgets are the history, in order, once.
    #[test]
    fn l6_pages_of_any_budgets_are_the_history(
        steps in prop::collection::vec(step(false), 1..30),
        budgets in prop::collection::vec((0_usize..4, 0_usize..30), 1..6),
        from in (0_u64..4, 0_u64..12),
    ) {
        let log = MemoryLog::new();
        let mut model = Model::default();
        for step in &steps {
            let entry = model.draw(step);
            model.append(&entry).unwrap();
            now(log.append(entry)).unwrap();
        }
        let from = Cursor::new(from.0, from.1);
        for number in 0..crate::histories::GRAINS {
            let id = grain(number);
            let kept = model.grains.get(&id).cloned().unwrap_or_default();
            let expected: Vec<Entry> =
                kept.entries.into_iter().filter(|entry| entry.cursor() > from).collect();
            let mut read: Vec<Entry> = Vec::new();
            let mut after = from;
            for (entries, bytes) in budgets.iter().cycle() {
                let budget = Budget::new(*entries, *bytes);
                let page = now(log.read_from(&id, after, budget)).unwrap();
                let size: usize = page.entries.iter().map(|entry| entry.payload().len()).sum();
                prop_assert!(page.entries.len() <= budget.entries());
                prop_assert!(size <= *bytes || page.entries.len() == 1 || page.entries[1..]
                    .iter().all(|entry| entry.payload().is_empty()));
                let more = read.len() + page.entries.len() < expected.len();
                prop_assert_eq!(page.more, more);
                prop_assert!(!page.entries.is_empty() || !more, "cut to nothing");
                after = page.entries.last().map_or(after, Entry::cursor);
                read.extend(page.entries);
                if !more {
                    break;
                }
            }
            prop_assert_eq!(read, expected);
        }
    }
}
