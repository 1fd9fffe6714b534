//! What a pen writes when answers are lost, and when others write meanwhile.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use gleaner::memory::MemoryLog;
use gleaner::{Appended, Filter, HeadPage, Identity, Limits, Page, Truncation};

use super::*;

/// What happens to a call that writes.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Nothing was done.
    Refused,
    /// It was done, and nobody was told.
    Lost,
    /// Another writer claims the grain first.
    Overtaken,
    /// As it should.
    Done,
}

/// A log in memory whose calls that write fail as they are told to, first come first.
struct Shaky {
    log: MemoryLog,
    fates: Mutex<VecDeque<Fate>>,
    calls: Mutex<Vec<&'static str>>,
}

impl Shaky {
    fn new(fates: &[Fate]) -> Arc<Self> {
        Arc::new(Self {
            log: MemoryLog::new(),
            fates: Mutex::new(fates.iter().copied().collect()),
            calls: Mutex::default(),
        })
    }

    fn fate(&self, call: &'static str) -> Option<Fate> {
        self.calls.lock().unwrap().push(call);
        self.fates.lock().unwrap().pop_front()
    }
}

fn refused<T>() -> gleaner::Result<T> {
    Err(Error::transient("shaky", "nothing happened"))
}

fn lost<T>() -> gleaner::Result<T> {
    Err(Error::unknown("shaky", "the answer was lost"))
}

#[async_trait]
impl ReplicationLog for Shaky {
    async fn append_batch(&self, entries: &[Entry]) -> gleaner::Result<Vec<Appended>> {
        match self.fate("append") {
            Some(Fate::Refused) => refused(),
            Some(Fate::Lost) => {
                self.log.append_batch(entries).await?;
                lost()
            }
            Some(Fate::Overtaken) => {
                let grain = entries[0].grain().clone();
                claim_by_another(&self.log, grain, entries[0].epoch()).await;
                self.log.append_batch(entries).await
            }
            Some(Fate::Done) | None => self.log.append_batch(entries).await,
        }
    }

    async fn claim(&self, claims: &[Claim]) -> gleaner::Result<Vec<gleaner::Result<Option<Head>>>> {
        match self.fate("claim") {
            Some(Fate::Refused) => refused(),
            Some(Fate::Lost) => {
                self.log.claim(claims).await?;
                lost()
            }
            Some(Fate::Overtaken) => {
                claim_by_another(&self.log, claims[0].grain.clone(), claims[0].epoch).await;
                self.log.claim(claims).await
            }
            Some(Fate::Done) | None => self.log.claim(claims).await,
        }
    }

    async fn heads(&self, grains: &[GrainId]) -> gleaner::Result<Vec<Option<Head>>> {
        self.log.heads(grains).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> gleaner::Result<HeadPage> {
        self.log.list_heads(filter, after, limit).await
    }

    async fn read_from(
        &self,
        grain: &GrainId,
        after: Cursor,
        budget: Budget,
    ) -> gleaner::Result<Page> {
        self.log.read_from(grain, after, budget).await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> gleaner::Result<Truncation> {
        self.log.truncate(grain, before).await
    }

    fn limits(&self) -> Limits {
        self.log.limits().with_max_batch_entries(3)
    }

    async fn identity(&self) -> gleaner::Result<Identity> {
        self.log.identity().await
    }

    fn confirms(&self) -> bool {
        self.log.confirms()
    }
}

/// Claims the epoch above.
async fn claim_by_another(log: &MemoryLog, grain: GrainId, epoch: Epoch) {
    let claim = Claim {
        grain,
        epoch: epoch.next().unwrap(),
        writer: Writer::new(99),
    };
    log.claim(&[claim]).await.unwrap().remove(0).unwrap();
}

fn grain(key: &str) -> GrainId {
    GrainId::new("t", key).unwrap()
}

fn wish(line: u64, key: &str, kind: Kind) -> Wish {
    Wish {
        line: Some(line),
        grain: grain(key),
        kind,
        schema: Schema::default(),
        payload: format!("{line}").into(),
    }
}

fn pen(log: &Arc<Shaky>) -> Pen {
    let patience = Patience::new(Duration::from_secs(10));
    Pen::new(log.clone(), patience, Source::new("test"), None)
}

async fn history(log: &Shaky, key: &str) -> Vec<String> {
    let page = log
        .read_from(&grain(key), Cursor::ZERO, Budget::UNBOUNDED)
        .await
        .unwrap();
    let text = |entry: &Entry| {
        let payload = String::from_utf8(entry.payload().to_vec()).unwrap();
        format!("{} {payload}", entry.cursor())
    };
    page.entries.iter().map(text).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_on_the_way_is_written_once() {
    use Fate::{Done, Lost, Refused};
    let log = Shaky::new(&[Refused, Lost, Done, Refused, Lost]);
    let wishes = [
        wish(1, "a", Kind::FullState),
        wish(2, "b", Kind::FullState),
        wish(3, "a", Kind::Delta),
    ];
    let (written, done) = pen(&log).write(&wishes).await;
    done.unwrap();
    let cursors: Vec<_> = written
        .iter()
        .map(|written| written.cursor.to_string())
        .collect();
    assert_eq!(cursors, ["1:1", "1:1", "1:2"]);
    assert_eq!(history(&log, "a").await, ["1:1 1", "1:2 3"]);
    assert_eq!(history(&log, "b").await, ["1:1 2"]);
    let calls = log.calls.lock().unwrap().clone();
    assert_eq!(
        calls,
        ["claim", "claim", "claim", "append", "append", "append"]
    );
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_when_its_time_is_over() {
    let log = Shaky::new(&[Fate::Refused; 100]);
    let begun = tokio::time::Instant::now();
    let (written, done) = pen(&log).write(&[wish(1, "a", Kind::FullState)]).await;
    assert!(written.is_empty());
    let failure = format!("{:?}", done.unwrap_err());
    assert!(failure.contains("Transient"), "{failure}");
    assert!(begun.elapsed() <= Duration::from_secs(10));
    assert!(log.calls.lock().unwrap().len() > 5, "it has tried");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_overtaken_is_raised() {
    let log = Shaky::new(&[Fate::Overtaken, Fate::Overtaken]);
    let (written, done) = pen(&log).write(&[wish(1, "a", Kind::FullState)]).await;
    done.unwrap();
    // 1 was overtaken by 2, then 3 by 4.
    assert_eq!(written[0].cursor, Cursor::new(5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_deposed_stops_and_names_the_line() {
    let log = Shaky::new(&[]);
    let mut pen = pen(&log);
    let (_, done) = pen.write(&[wish(1, "a", Kind::FullState)]).await;
    done.unwrap();
    log.fates.lock().unwrap().push_back(Fate::Overtaken);
    let wishes = [
        wish(2, "a", Kind::Delta),
        wish(3, "a", Kind::Delta),
        wish(4, "a", Kind::Delta),
    ];
    let (written, done) = pen.write(&wishes).await;
    assert!(written.is_empty());
    let failure = format!("{:?}", done.unwrap_err());
    assert!(failure.contains("Fenced"), "{failure}");
    assert!(failure.contains("line 2: "), "{failure}");
    assert_eq!(history(&log, "a").await, ["1:1 1"]);
}

#[tokio::test(start_paused = true)]
async fn batches_are_cut_to_what_the_log_takes() {
    let log = Shaky::new(&[]);
    let mut wishes = vec![wish(1, "a", Kind::FullState)];
    wishes.extend((2..=8).map(|line| wish(line, "a", Kind::Delta)));
    let (written, done) = pen(&log).write(&wishes).await;
    done.unwrap();
    assert_eq!(written.len(), 8);
    assert_eq!(history(&log, "a").await.len(), 8);
    let calls = log.calls.lock().unwrap().clone();
    assert_eq!(calls, ["claim", "append", "append", "append"]);
}
