//! Whatever comes in and is taken out, in any order: no change is left out of a reader's pages.

use std::collections::BTreeSet;

use bytes::Bytes;
use gleaner_core::{Cursor, Draft, Entry, Filter, LogId, Writer};
use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const GRAINS: usize = 5;
const SHARDS: usize = 2;

fn grain(number: usize) -> GrainId {
    GrainId::new("t", number.to_string()).unwrap()
}

fn entry(number: usize, at: u64) -> Entry {
    Draft::full(grain(number), Cursor::new(1, at), Writer::new(1), "x").seal()
}

fn head(entry: &Entry) -> Head {
    Head::of(entry, entry.cursor())
}

fn position(counters: &[u64]) -> Position {
    let identity = Identity::new(LogId::new(b"log"), Bytes::from_static(b"history"));
    Position::new(identity, Filter::all(), counters.to_vec())
}

/// A log of which it is known which grain moved when: a grain's shard is its number's remainder.
#[derive(Default)]
struct Log {
    moves: Vec<Vec<usize>>,
}

impl Log {
    fn new() -> Self {
        Self {
            moves: vec![Vec::new(); SHARDS],
        }
    }

    fn append(&mut self, number: usize) {
        self.moves[number % SHARDS].push(number);
    }

    fn end(&self) -> Vec<u64> {
        self.moves.iter().map(|shard| shard.len() as u64).collect()
    }

    /// Who moved after `from` and by `to`.
    fn moved(&self, from: &[u64], to: &[u64]) -> BTreeSet<usize> {
        let mut moved = BTreeSet::new();
        for (shard, (from, to)) in self.moves.iter().zip(from.iter().zip(to)) {
            let range = usize::try_from(*from).unwrap()
                ..usize::try_from(*to)
                    .unwrap()
                    .max(usize::try_from(*from).unwrap());
            moved.extend(shard[range].iter().copied());
        }
        moved
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    /// The stream begins at a reader's position.
    Begin(usize),
    /// A page comes: how far it reaches, of what there is, and whether it brings entries.
    Page(usize, bool),
    End(bool),
    /// A reader asks; whether the answer gets there.
    Changes(usize, bool),
    Take,
    Listen,
    Leave,
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..GRAINS).prop_map(Step::Append),
        1 => (0..2_usize).prop_map(Step::Begin),
        6 => ((0..3_usize), any::<bool>()).prop_map(|(far, sent)| Step::Page(far, sent)),
        1 => any::<bool>().prop_map(Step::End),
        4 => ((0..2_usize), prop::bool::weighted(0.8)).prop_map(|(reader, ok)| Step::Changes(reader, ok)),
        3 => Just(Step::Take),
        1 => Just(Step::Listen),
        1 => Just(Step::Leave),
        1 => Just(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn no_change_is_left_out(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}

async fn run(steps: Vec<Step>) {
    let mut log = Log::new();
    let mut state = State::default();
    let mut stream: Option<Vec<u64>> = None;
    let mut readers = [vec![0; SHARDS], vec![0; SHARDS]];
    let mut listening = 0;
    for step in steps {
        match step {
            Step::Append(number) => log.append(number),
            Step::Begin(reader) if state.retry_at().is_some() => {
                let task = tokio::spawn(std::future::pending::<()>());
                state.begun(&position(&readers[reader]), task.abort_handle());
                stream = Some(readers[reader].clone());
            }
            Step::Page(far, sent) => {
                let Some(at) = &mut stream else { continue };
                let end = log.end();
                let to: Vec<u64> = at
                    .iter()
                    .zip(&end)
                    .map(|(at, end)| at + (end - at) * far as u64 / 2)
                    .collect();
                let moved = log.moved(at, &to);
                let entries = moved
                    .iter()
                    .map(|number| entry(*number, to[number % SHARDS]));
                let (mut named, mut with) = (Vec::new(), Vec::new());
                for entry in entries {
                    let (grain, head) = (entry.grain().clone(), head(&entry));
                    if sent {
                        let entries = vec![entry];
                        with.push((head, PushedRun { grain, entries }));
                    } else {
                        named.push(Moved { grain, head });
                    }
                }
                let page = Page {
                    counters: to.clone(),
                    named,
                    sent: with,
                };
                // What is not taken comes again.
                if state.put(page).is_ok() {
                    *at = to;
                }
            }
            Step::End(in_peace) if state.retry_at().is_none() => {
                state.ended(in_peace, (Duration::ZERO, Duration::ZERO));
                stream = None;
            }
            Step::Changes(reader, answered) => {
                let since = readers[reader].clone();
                let Told {
                    moved: told, from, ..
                } = state.told_since(&position(&since));
                let end = log.end();
                assert!(is_behind(&since, counters(&from)) && is_behind(counters(&from), &end));
                if !answered {
                    continue;
                }
                let mut named: BTreeSet<GrainId> = told.into_iter().map(|it| it.grain).collect();
                named.extend(log.moved(counters(&from), &end).into_iter().map(grain));
                for number in log.moved(&since, &end) {
                    assert!(
                        named.contains(&grain(number)),
                        "{number} moved and is not named"
                    );
                }
                readers[reader] = end;
            }
            Step::Take => drop(state.take_pushed()),
            Step::Listen if listening < 2 => {
                state.listens();
                listening += 1;
            }
            Step::Leave if listening > 0 => {
                state.listened();
                listening -= 1;
            }
            Step::Pass => advance(LISTENS * 2).await,
            _ => {}
        }
    }
    state.abort();
}

fn page(counters: &[u64], numbers: &[usize], with_entries: bool) -> Page {
    let entries = numbers.iter().map(|number| entry(*number, 1));
    let mut page = Page {
        counters: counters.to_vec(),
        named: Vec::new(),
        sent: Vec::new(),
    };
    for entry in entries {
        let (grain, head) = (entry.grain().clone(), head(&entry));
        if with_entries {
            let entries = vec![entry];
            page.sent.push((head, PushedRun { grain, entries }));
        } else {
            page.named.push(Moved { grain, head });
        }
    }
    page
}

fn begun() -> State {
    let mut state = State::default();
    let task = tokio::spawn(std::future::pending::<()>());
    state.begun(&position(&[0, 0]), task.abort_handle());
    state
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_wakes_nobody_unless_there_are_several() {
    let mut state = begun();
    let start = position(&[0, 0]);
    state.put(page(&[1, 0], &[0], true)).unwrap();
    assert!(state.knows_beyond(&start), "nobody listens");

    let mut state = begun();
    state.listens();
    state.put(page(&[1, 0], &[0], true)).unwrap();
    assert!(!state.knows_beyond(&start));
    assert_eq!(
        state.reaches(&position(&[1, 0])),
        Some(false),
        "not handed over yet"
    );
    assert_eq!(state.take_pushed().unwrap().runs.len(), 1);
    assert_eq!(state.reaches(&position(&[1, 0])), Some(true));
    assert!(!state.knows_beyond(&start));
    state.put(page(&[1, 1], &[1], false)).unwrap();
    assert!(state.knows_beyond(&start), "a name alone");
    assert!(!state.knows_beyond(&position(&[1, 1])));

    let mut state = begun();
    state.listens();
    state.listens();
    state.put(page(&[1, 0], &[0], true)).unwrap();
    assert!(state.take_pushed().is_some());
    assert!(state.knows_beyond(&start), "the other was not handed it");
}

#[tokio::test(start_paused = true)]
async fn one_reader_does_not_hush_what_another_waits_for() {
    let mut state = begun();
    let start = position(&[0, 0]);
    state.put(page(&[1, 0], &[0], false)).unwrap();
    let Told {
        moved: told, from, ..
    } = state.told_since(&start);
    assert_eq!((told.len(), counters(&from)), (1, &[1, 0][..]));
    assert!(state.knows_beyond(&start), "for who still stands there");
    assert!(!state.knows_beyond(&from));
    let Told {
        moved: told, from, ..
    } = state.told_since(&start);
    assert_eq!(
        (told.len(), counters(&from)),
        (0, &[0, 0][..]),
        "asked at the leader"
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_bounded() {
    let mut state = begun();
    state.listens();
    let mut refused = 0;
    for at in 1..=2 * PUSHED_PAGES as u64 {
        refused += usize::from(state.put(page(&[at, 0], &[0], true)).is_err());
    }
    assert_eq!(refused, PUSHED_PAGES);
    // Who listened is gone: what waits is named, and room is made.
    state.listened();
    advance(LISTENS).await;
    state.put(page(&[900, 0], &[2], true)).unwrap();
    let Told {
        moved: told, from, ..
    } = state.told_since(&position(&[0, 0]));
    assert_eq!((told.len(), counters(&from)), (2, &[900, 0][..]));

    for number in 0..=NAMES {
        let at = 901 + number as u64;
        state.put(page(&[at, 0], &[number], false)).unwrap();
    }
    let Told {
        moved: told, from, ..
    } = state.told_since(&position(&[900, 0]));
    assert_eq!(
        (told.len(), counters(&from)),
        (0, &[900, 0][..]),
        "too many: asked for at the leader"
    );
    state.put(page(&[99_999, 0], &[3], false)).unwrap();
    assert_eq!(
        state.told_since(&position(&[99_998, 0])).moved.len(),
        1,
        "and collected anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_task_was_lost_is_begun_again() {
    let mut state = begun();
    assert_eq!(state.retry_at(), None);
    let task = tokio::spawn(async {});
    let lost = task.abort_handle();
    task.await.unwrap();
    state.begun(&position(&[0, 0]), lost);
    assert!(state.retry_at().is_some());
}
