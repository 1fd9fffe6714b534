//! F1 to F3: readers that list and page, in any steps, among any appends.

use std::collections::BTreeMap;

use gleaner_core::{
    ChangeFeed, Cursor, Draft, Filter, GrainId, Head, Position, ReplicationLog, Writer,
};
use gleaner_memory::MemoryLog;
use proptest::prelude::*;

use crate::histories::{GRAINS, Model, Step, grain, step};
use crate::{config, now};

#[derive(Debug, Clone)]
enum Turn {
    Append(Step),
    /// A reader goes on by one page of at most so many names.
    Page {
        reader: usize,
        limit: usize,
    },
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        step(false).prop_map(Turn::Append),
        (0_usize..7, 0_usize..4).prop_map(|(reader, limit)| Turn::Page { reader, limit }),
    ]
}

/// One who does what the contract says: a position, then all heads in pages, then changes from it.
struct Reader {
    filter: Filter,
    position: Option<Position>,
    /// Whether the listing goes on, and after which grain.
    listing: bool,
    after: Option<GrainId>,
    known: BTreeMap<GrainId, Head>,
}

impl Reader {
    fn new(filter: Filter) -> Self {
        Self {
            filter,
            position: None,
            listing: true,
            after: None,
            known: BTreeMap::new(),
        }
    }

    /// One call; whether everything visible at its moment is known now.
    fn turn(&mut self, log: &MemoryLog, limit: usize) -> Result<bool, TestCaseError> {
        let feed = log.feed().unwrap();
        let Some(since) = self.position.clone() else {
            self.position = Some(now(feed.start(&self.filter)).unwrap());
            return Ok(false);
        };
        if self.listing {
            let page = now(log.list_heads(&self.filter, self.after.as_ref(), limit)).unwrap();
            prop_assert!(page.heads.windows(2).all(|two| two[0].0 < two[1].0));
            prop_assert!(
                page.heads.is_empty() || page.heads.first().map(|(id, _)| id) > self.after.as_ref()
            );
            self.listing = page.next.is_some();
            self.after = page.next;
            for (id, head) in page.heads {
                self.learn(id, head)?;
            }
            return Ok(false);
        }
        let page = now(feed.changes(&since, &self.filter, limit)).unwrap();
        // No page stands still unless there is nothing more.
        prop_assert!(page.complete || page.next != since);
        self.position = Some(page.next);
        for moved in page.moved {
            self.learn(moved.grain, moved.head)?;
        }
        Ok(page.complete)
    }

    fn learn(&mut self, id: GrainId, head: Head) -> Result<(), TestCaseError> {
        prop_assert!(self.filter.includes(&id));
        let known = self.known.entry(id).or_insert(head);
        // A single lock: what is read later is never older.
        prop_assert!(head.cursor >= known.cursor);
        *known = head;
        Ok(())
    }

    /// F1: what is in the filter has its newest head; what was never written is unknown.
    fn knows_all(&self, log: &MemoryLog) -> Result<(), TestCaseError> {
        for number in 0..GRAINS {
            let id = grain(number);
            let head = now(log.heads(std::slice::from_ref(&id))).unwrap()[0];
            let head = head.filter(|_| self.filter.includes(&id));
            prop_assert_eq!(self.known.get(&id).copied(), head, "{}", id);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn f1_any_pages_among_any_appends_name_every_grain_that_moved(
        turns in prop::collection::vec(turn(), 1..60),
    ) {
        let log = MemoryLog::new();
        let mut model = Model::default();
        let filters = [
            Filter::all(),
            Filter::grain_type("plane"),
            Filter::grain_type("none"),
            Filter::grain_type("ship").key_prefix("k3"),
            Filter::all().key_prefix("k"),
            Filter::all().share(0, 2).unwrap(),
            Filter::all().share(1, 2).unwrap(),
        ];
        let mut readers: Vec<Reader> = filters.into_iter().map(Reader::new).collect();
        for turn in turns {
            match turn {
                Turn::Append(step) => {
                    let entry = model.draw(&step);
                    model.append(&entry).unwrap();
                    now(log.append(entry)).unwrap();
                }
                Turn::Page { reader, limit } => {
                    if readers[reader].turn(&log, limit)? {
                        readers[reader].knows_all(&log)?;
                    }
                }
            }
        }
        for reader in &mut readers {
            // A start, a page a grain of the listing, one a grain of the feed, and the end.
            let mut left = 2 * GRAINS + 3;
            while !reader.turn(&log, 1)? {
                left -= 1;
                prop_assert!(left > 0, "the feed never says that it is complete");
            }
            reader.knows_all(&log)?;
        }
    }

    /// By listing and by the feed, each follower knows its share, and together they know each grain
    /// once.
    #[test]
    fn shares_of_any_number_name_every_grain_once(
        keys in prop::collection::btree_set("[a-z]{1,6}", 1..80),
        of in 1_u16..40,
        limit in 1_usize..20,
    ) {
        let log = MemoryLog::new();
        let filters: Vec<Filter> = (0..of)
            .map(|index| Filter::grain_type("t").share(index, of).unwrap())
            .collect();
        let starts: Vec<Position> = filters
            .iter()
            .map(|filter| now(log.start(filter)).unwrap())
            .collect();
        for key in &keys {
            let id = GrainId::new("t", key.as_str()).unwrap();
            let entry = Draft::full(id, Cursor::new(1, 1), Writer::new(1), "s").seal();
            now(log.append(entry)).unwrap();
        }
        let (mut listed, mut moved) = (Vec::new(), Vec::new());
        for (filter, since) in filters.iter().zip(starts) {
            let mut after = None;
            loop {
                let page = now(log.list_heads(filter, after.as_ref(), limit)).unwrap();
                listed.extend(page.heads.into_iter().map(|(id, _)| id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let mut since = since;
            loop {
                let page = now(log.changes(&since, filter, limit)).unwrap();
                moved.extend(page.moved.into_iter().map(|moved| moved.grain));
                since = page.next;
                if page.complete {
                    break;
                }
            }
        }
        for mut named in [listed, moved] {
            named.sort();
            let named: Vec<&str> = named.iter().map(GrainId::grain_key).collect();
            prop_assert!(keys.iter().map(String::as_str).eq(named));
        }
    }
}
