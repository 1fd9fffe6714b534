use gleaner_core::{
    Budget, Claim, Cursor, Draft, Entry, Epoch, ErrorKind, Filter, GrainId, Limits, ReplicationLog,
    Writer,
};

use super::*;

const W: Writer = Writer::new(7);

fn grain(key: &str) -> GrainId {
    GrainId::new("t", key).unwrap()
}

fn full(key: &str, epoch: u64, sequence: u64) -> Entry {
    let payload = format!("{key}@{sequence}");
    Draft::full(grain(key), Cursor::new(epoch, sequence), W, payload).seal()
}

#[tokio::test]
async fn a_retry_after_a_higher_claim_is_fenced_and_still_counted_as_landed() {
    let log = MemoryLog::new();
    let entry = full("a", 1, 1);
    log.append(entry.clone()).await.unwrap();
    let claim = Claim {
        grain: grain("a"),
        epoch: Epoch::new(2),
        writer: Writer::new(8),
    };
    log.claim(&[claim]).await.unwrap().remove(0).unwrap();
    let appended = log.append_batch(&[entry]).await.unwrap().remove(0);
    assert_eq!(appended.landed, 1);
    let kind = appended.result.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::Fenced { .. }), "{kind:?}");
}

#[tokio::test]
async fn answers_come_in_the_order_of_each_grains_first_entry() {
    let log = MemoryLog::new();
    let batch = [
        full("b", 1, 1),
        full("a", 1, 1),
        full("b", 1, 2),
        full("a", 1, 1),
        full("c", 1, 1),
    ];
    let answers = log.append_batch(&batch).await.unwrap();
    let named: Vec<_> = answers
        .iter()
        .map(|answer| {
            (
                answer.grain.grain_key(),
                answer.landed,
                answer.result.is_ok(),
            )
        })
        .collect();
    assert_eq!(named, [("b", 2, true), ("a", 2, true), ("c", 1, true)]);
}

#[tokio::test]
async fn a_refused_first_entry_leaves_no_trace() {
    let log = MemoryLog::new();
    let delta = Draft::delta(
        grain("a"),
        Cursor::new(1, 1),
        W,
        gleaner_core::Digest::ZERO,
        "x",
    );
    log.append(delta.seal()).await.unwrap_err();
    let shared = log.shared();
    assert!(shared.state.read().grains.is_empty());
}

#[tokio::test]
async fn clones_are_one_log_and_two_logs_are_two() {
    let log = MemoryLog::new();
    let other = log.clone();
    log.append(full("a", 1, 1)).await.unwrap();
    assert!(other.heads(&[grain("a")]).await.unwrap()[0].is_some());
    assert_eq!(
        log.identity().await.unwrap(),
        other.identity().await.unwrap()
    );
    let unrelated = MemoryLog::new().identity().await.unwrap();
    assert_ne!(log.identity().await.unwrap().log, unrelated.log);
    assert_ne!(log.identity().await.unwrap().history, unrelated.history);
}

#[tokio::test]
async fn a_lost_tail_forks_the_history_of_the_same_log() {
    let log = MemoryLog::new();
    let first = full("a", 1, 1);
    let second = Draft::delta(grain("a"), Cursor::new(1, 2), W, first.digest(), "d").seal();
    log.append_batch(&[first.clone(), second, full("b", 1, 1)])
        .await
        .unwrap();
    let before = log.identity().await.unwrap();
    let position = log.feed().unwrap().start(&Filter::all()).await.unwrap();

    assert!(!log.lose_tail(&grain("a"), Cursor::new(1, 2)));
    assert!(!log.lose_tail(&grain("unknown"), Cursor::ZERO));
    assert_eq!(log.identity().await.unwrap(), before);

    assert!(log.lose_tail(&grain("a"), Cursor::new(1, 1)));
    let after = log.identity().await.unwrap();
    assert_eq!(after.log, before.log);
    assert_ne!(after.history, before.history);
    let head = log.heads(&[grain("a")]).await.unwrap()[0].unwrap();
    assert_eq!(
        (head.cursor, head.digest, head.base),
        (first.cursor(), first.digest(), first.cursor())
    );
    let feed = log.feed().unwrap();
    let stale = feed.changes(&position, &Filter::all(), 9).await;
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Expired);

    assert!(log.lose_tail(&grain("b"), Cursor::ZERO));
    assert_eq!(log.heads(&[grain("b")]).await.unwrap(), [None]);
    let page = log.list_heads(&Filter::all(), None, 9).await.unwrap();
    assert_eq!(page.heads.len(), 1);
}

#[tokio::test]
async fn an_unusable_type_filter_lists_nothing() {
    let log = MemoryLog::new();
    log.append(full("a", 1, 1)).await.unwrap();
    for name in [String::new(), "x".repeat(513)] {
        let page = log.list_heads(&Filter::grain_type(name), None, 9).await;
        assert!(page.unwrap().heads.is_empty());
    }
}

/// The keys of all pages, and how many heads each page held.
async fn pages(log: &MemoryLog, filter: &Filter, limit: usize) -> (Vec<String>, Vec<usize>) {
    let (mut keys, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = log.list_heads(filter, after.as_ref(), limit).await.unwrap();
        sizes.push(page.heads.len());
        keys.extend(page.heads.iter().map(|(id, _)| id.grain_key().to_owned()));
        let Some(next) = page.next else {
            return (keys, sizes);
        };
        after = Some(next);
    }
}

#[tokio::test]
async fn a_prefix_is_a_range_and_costs_what_lies_in_it() {
    let log = MemoryLog::new();
    for key in 0..SCAN + 10 {
        log.append(full(&format!("a{key}"), 1, 1)).await.unwrap();
        log.append(full(&format!("c{key}"), 1, 1)).await.unwrap();
    }
    for key in ["b", "b1", "b2"] {
        log.append(full(key, 1, 1)).await.unwrap();
    }
    // The neighbours are neither looked at nor counted.
    let ours = Filter::grain_type("t").key_prefix("b");
    assert_eq!(pages(&log, &ours, 10).await.1, [3]);
    assert_eq!(pages(&log, &ours, 2).await.1, [2, 1]);
    // Of every type: passed over one by one, so many a page.
    let (keys, sizes) = pages(&log, &Filter::all().key_prefix("b"), 10).await;
    assert_eq!(keys, ["b", "b1", "b2"]);
    assert_eq!(sizes, [0, 3, 0]);
}

#[tokio::test]
async fn the_limit_counts_what_is_in_the_filter() {
    let log = MemoryLog::new();
    for key in 0..400 {
        log.append(full(&key.to_string(), 1, 1)).await.unwrap();
    }
    let half = Filter::grain_type("t").share(1, 2).unwrap();
    let (keys, sizes) = pages(&log, &half, 20).await;
    assert!((150..250).contains(&keys.len()), "{}", keys.len());
    let (last, whole) = sizes.split_last().unwrap();
    assert!(
        *last <= 20 && whole.iter().all(|size| *size == 20),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn a_budget_of_nothing_still_brings_one_entry_and_no_payload_is_copied() {
    let log = MemoryLog::with_limits(Limits::default().with_max_batch_entries(2));
    let entry = full("a", 1, 1);
    let at = entry.payload().as_ptr();
    log.append_batch(&[entry, full("a", 1, 2)]).await.unwrap();
    let page = log
        .read_from(&grain("a"), Cursor::ZERO, Budget::new(0, 0))
        .await
        .unwrap();
    assert_eq!((page.entries.len(), page.more), (1, true));
    assert_eq!(page.entries[0].payload().as_ptr(), at);

    let three = [full("b", 1, 1), full("b", 1, 2), full("b", 1, 3)];
    let refused = log.append_batch(&three).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!(log.heads(&[grain("b")]).await.unwrap(), [None]);
}

#[test]
fn threads_append_side_by_side_and_the_feed_names_all() {
    const THREADS: u64 = 8;
    const EACH: u64 = 200;
    let log = MemoryLog::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = log.clone();
            scope.spawn(move || {
                block_on(async {
                    for sequence in 1..=EACH {
                        // One grain of its own, and one that all want: one of them wins each number.
                        log.append(full(&thread.to_string(), 1, sequence))
                            .await
                            .unwrap();
                        let contested = Draft::full(
                            grain("contested"),
                            Cursor::new(1, sequence),
                            W,
                            thread.to_string(),
                        );
                        let _ = log.append(contested.seal()).await;
                    }
                });
            });
        }
    });
    block_on(async {
        let contested = grain("contested");
        let sequences: Vec<u64> = log
            .read_from(&contested, Cursor::ZERO, Budget::UNBOUNDED)
            .await
            .unwrap()
            .entries
            .iter()
            .map(|entry| entry.sequence().get())
            .collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
        assert_eq!(sequences.last(), Some(&EACH));
        let rows = log.shared().state.read().feed.len();
        assert_eq!(rows, usize::try_from(THREADS + 1).unwrap());
        for thread in 0..THREADS {
            let newest = log.latest_sequence(&grain(&thread.to_string())).await;
            assert_eq!(newest.unwrap().get(), EACH);
        }
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// The log with its own `catch_up` hidden: what is left is the one that core provides.
struct Plain(MemoryLog);

#[async_trait]
impl ReplicationLog for Plain {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        self.0.append_batch(entries).await
    }
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        self.0.claim(claims).await
    }
    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        self.0.heads(grains).await
    }
    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        self.0.list_heads(filter, after, limit).await
    }
    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        self.0.read_from(grain, after, budget).await
    }
    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        self.0.truncate(grain, before).await
    }
    fn limits(&self) -> Limits {
        self.0.limits()
    }
    async fn identity(&self) -> Result<Identity> {
        self.0.identity().await
    }
    fn confirms(&self) -> bool {
        self.0.confirms()
    }
}

/// A small generator of its own, so that a failing seed can be run again by its number alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// A random next entry: mostly one that fits.
fn next_entry(dice: &mut Dice, key: &str, head: Option<Head>) -> Entry {
    let id = grain(key);
    let payload = vec![b'x'; usize::try_from(dice.roll(12)).unwrap()];
    let Some(head) = head else {
        return Draft::full(id, Cursor::new(1, 1 + dice.roll(3)), W, payload).seal();
    };
    let mut at = head.cursor;
    at.sequence = at.sequence.next().unwrap();
    match dice.roll(10) {
        0 => Draft::tombstone(id, at, W).seal(),
        1 => {
            at.epoch = at.epoch.next().unwrap();
            Draft::full(id, at, W, payload).seal()
        }
        2 | 3 => Draft::full(
            id,
            Cursor::new(at.epoch.get(), at.sequence.get() + dice.roll(3)),
            W,
            payload,
        )
        .seal(),
        _ => Draft::delta(id, at, W, head.digest, payload).seal(),
    }
}

/// L8: what the log answers in one look is what core makes of heads and reads.
#[test]
fn own_and_provided_catch_up_agree_on_random_histories() {
    let keys = ["a", "b", "c", "d"];
    let mut cut_short = 0;
    let mut from_base = 0;
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let log = MemoryLog::new();
        let plain = Plain(log.clone());
        block_on(async {
            for step in 0..60 {
                let key = keys[usize::try_from(dice.roll(3)).unwrap()];
                let head = log.heads(&[grain(key)]).await.unwrap()[0];
                if dice.roll(8) == 0 {
                    let to = head.map_or(0, |head| dice.roll(head.cursor.sequence.get() + 2));
                    let epoch = head.map_or(1, |head| head.cursor.epoch.get());
                    log.truncate(&grain(key), Cursor::new(epoch, to))
                        .await
                        .unwrap();
                } else {
                    let _ = log.append(next_entry(&mut dice, key, head)).await;
                }
                let mut wants = Vec::new();
                for key in keys {
                    let head = log.heads(&[grain(key)]).await.unwrap()[0];
                    let top = head.map_or(Cursor::new(1, 1), |head| head.cursor);
                    let cursor = match dice.roll(4) {
                        0 => Cursor::ZERO,
                        1 => top,
                        _ => Cursor::new(
                            1 + dice.roll(top.epoch.get() + 1),
                            dice.roll(top.sequence.get() + 2),
                        ),
                    };
                    wants.push((grain(key), cursor));
                }
                let budget = match dice.roll(3) {
                    0 => Budget::UNBOUNDED,
                    1 => Budget::new(usize::try_from(dice.roll(8)).unwrap(), usize::MAX),
                    _ => Budget::new(
                        usize::try_from(dice.roll(20)).unwrap(),
                        usize::try_from(dice.roll(40)).unwrap(),
                    ),
                };
                let own = log.catch_up(&wants, budget).await.unwrap();
                let provided = plain.catch_up(&wants, budget).await.unwrap();
                assert_eq!(own.identity, provided.identity);
                let place = format!("seed {seed} step {step} wants {wants:?} {budget:?}");
                assert_eq!(told(&own), told(&provided), "{place}");
                for (caught, (_, cursor)) in own.grains.iter().zip(&wants) {
                    if let Caught::Run(run) = caught {
                        cut_short += u32::from(!run.complete);
                        from_base += u32::from(well_formed(run, *cursor, &place));
                    }
                }
            }
        });
    }
    // The comparison was about something.
    assert!(
        cut_short > 100 && from_base > 100,
        "{cut_short} {from_base}"
    );
}

fn told(answer: &CatchUp) -> Vec<String> {
    answer
        .grains
        .iter()
        .map(|caught| match caught {
            Caught::Run(run) => {
                let entries: Vec<_> = run
                    .entries
                    .iter()
                    .map(|entry| (entry.cursor(), entry.digest()))
                    .collect();
                format!("{:?} {entries:?} {}", run.head, run.complete)
            }
            Caught::Deferred => "deferred".to_owned(),
            Caught::Failed(error) => format!("{error:?}"),
        })
        .collect()
}

/// L8, from its words; whether the run began at a base above the cursor.
fn well_formed(run: &Run, cursor: Cursor, place: &str) -> bool {
    let Some(head) = run.head else {
        assert!(run.complete && run.entries.is_empty(), "{place}");
        return false;
    };
    let (Some(first), Some(last)) = (run.entries.first(), run.entries.last()) else {
        assert!(run.complete && cursor >= head.cursor, "{place}");
        return false;
    };
    assert!(first.cursor() > cursor, "{place}");
    assert_eq!(run.complete, last.cursor() == head.cursor, "{place}");
    for pair in run.entries.windows(2) {
        assert!(pair[0].cursor() < pair[1].cursor(), "{place}");
        let follows = pair[1].prev().is_none_or(|prev| prev == pair[0].digest());
        assert!(follows, "{place}");
    }
    let skips = head.base > cursor;
    if skips {
        assert_eq!(first.cursor(), head.base, "{place}");
    }
    skips
}

#[tokio::test]
async fn a_full_state_grain_costs_one_entry_whatever_the_backlog() {
    let log = MemoryLog::new();
    for sequence in 1..=500 {
        log.append(full("a", 1, sequence)).await.unwrap();
    }
    let caught = log
        .catch_up(&[(grain("a"), Cursor::new(1, 3))], Budget::new(1, 0))
        .await
        .unwrap();
    let [Caught::Run(run)] = caught.grains.as_slice() else {
        panic!("{caught:?}")
    };
    assert_eq!((run.entries.len(), run.complete), (1, true));
}

#[tokio::test]
async fn a_restored_copy_takes_the_place_of_all_that_came_later() {
    let log = MemoryLog::seeded(3);
    log.append(full("a", 1, 1)).await.unwrap();
    let (backup, before) = (log.copied(), log.identity().await.unwrap());
    assert_eq!(backup.identity().await.unwrap(), before);
    let position = log.feed().unwrap().start(&Filter::all()).await.unwrap();
    log.append(full("a", 1, 2)).await.unwrap();
    log.append(full("b", 1, 1)).await.unwrap();
    assert_eq!(backup.heads(&[grain("b")]).await.unwrap(), [None]);

    log.restore(&backup);
    let after = log.identity().await.unwrap();
    assert_eq!(after.log, before.log);
    assert_ne!(after.history, before.history);
    let heads = log.heads(&[grain("a"), grain("b")]).await.unwrap();
    assert_eq!(heads[0].unwrap().cursor, Cursor::new(1, 1));
    assert_eq!(heads[1], None);
    let feed = log.feed().unwrap();
    let expired = feed.changes(&position, &Filter::all(), 9).await;
    assert_eq!(expired.unwrap_err().kind(), ErrorKind::Expired);

    log.begin_anew();
    assert_ne!(log.identity().await.unwrap().log, before.log);
    assert_eq!(log.heads(&[grain("a")]).await.unwrap(), [None]);
}

#[tokio::test]
async fn a_seed_names_its_logs_alike() {
    let identity = |seed| async move { MemoryLog::seeded(seed).identity().await.unwrap() };
    assert_eq!(identity(1).await, identity(1).await);
    assert_ne!(identity(1).await, identity(2).await);
}
