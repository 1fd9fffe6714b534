//! Much at once.

use std::net::SocketAddr;
use std::time::Instant;

use gleaner::grpc::GrpcLog;
use gleaner::{Cursor, Draft, Entry, GrainId, ReplicationLog, Writer};
use gleaner_tests::{GRAIN_TYPE, News, Payload, monotonic};

use crate::ends::{judge, sqlite};
use crate::peer::{LONG, Peer};
use crate::proxy::{Disturbance, Proxy};

const GRAINS: u64 = 20_000;

fn log_of(leader: SocketAddr) -> GrpcLog {
    GrpcLog::builder(format!("grpc://{leader}"))
        .insecure(true)
        .call_timeout(LONG)
        .open()
        .unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// A small state of a grain.
fn state(grain: u64, sequence: u64) -> Entry {
    let key = format!("bulk-{grain}");
    let payload = Payload::new(21 * sequence + 1).bytes(&key);
    let id = GrainId::new(GRAIN_TYPE, key).unwrap();
    Draft::full(id, Cursor::new(1, sequence), Writer::new(3), payload).seal()
}

fn acked(entries: &[Entry]) -> impl Iterator<Item = News> {
    entries.iter().map(|entry| News::Acked {
        key: entry.grain().grain_key().to_owned(),
        cursor: entry.cursor(),
        turn: Payload::read(entry.grain().grain_key(), entry.payload()).map(Payload::turn),
        at: monotonic(),
    })
}

async fn append(log: &GrpcLog, entries: &[Entry]) {
    let answers = log.append_batch(entries).await.unwrap();
    for answer in answers {
        answer.result.unwrap();
    }
}

#[test]
fn two_hundred_thousand_entries_in_one_batch_are_taken_and_followed() {
    const EACH: u64 = 10;
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let batch = usize::try_from(GRAINS * EACH).unwrap();
    let (leader, at) = Peer::leader_of_batches(&log, None, batch);
    let mut follower = Peer::follower(at, &sqlite(&store), 0);
    let entries: Vec<Entry> = (0..GRAINS)
        .flat_map(|grain| (1..=EACH).map(move |sequence| state(grain, sequence)))
        .collect();
    assert_eq!(entries.len(), 200_000);
    let written = run(async {
        let log = log_of(at);
        let mut written = Vec::new();
        // And the same again, as after an answer that was lost: nothing is written twice.
        for _ in 0..2 {
            let began = Instant::now();
            let answers = log.append_batch(&entries).await.unwrap();
            println!("answered after {:.2} s", began.elapsed().as_secs_f64());
            assert_eq!(answers.len() as u64, GRAINS);
            for (answer, own) in answers.iter().zip(entries.chunks(10)) {
                let (head, last) = (answer.result.clone().unwrap(), &own[9]);
                assert_eq!(answer.grain, *last.grain());
                assert_eq!(answer.landed, own.len());
                assert_eq!((head.cursor, head.digest), (last.cursor(), last.digest()));
            }
            written.push(log.latest_sequence(entries[0].grain()).await.unwrap().get());
        }
        written
    });
    assert_eq!(written, [EACH, EACH]);
    let began = Instant::now();
    let (in_step, read) = follower.caught_up();
    println!(
        "in step after {:.2} s, {read} entries asked for",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(in_step as u64, GRAINS);
    follower.finish();
    leader.finish();
    judge(&log, &store, &acked(&entries).collect::<Vec<_>>());
}

#[test]
fn sixty_thousand_commits_in_the_middle_of_a_bootstrap_do_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let (leader, at) = Peer::leader(&log, None);
    let mut written: Vec<Entry> = (0..GRAINS).map(|grain| state(grain, 1)).collect();
    run(async {
        let log = log_of(at);
        for entries in written.chunks(4_000) {
            append(&log, entries).await;
        }
    });
    // It has heard of a part of the grains, and then hears nothing.
    let proxy = Proxy::before(at);
    proxy.disturb(Disturbance::Hold(200 << 10));
    let mut follower = Peer::follower(proxy.address, &sqlite(&store), 0);
    proxy.until_held();
    proxy.disturb(Disturbance::Swallow);
    let commits: Vec<Entry> = (2..=4)
        .flat_map(|sequence| (0..GRAINS).map(move |grain| state(grain, sequence)))
        .collect();
    assert_eq!(commits.len(), 60_000);
    let began = Instant::now();
    run(async {
        let log = log_of(at);
        for entries in commits.chunks(1_000) {
            append(&log, entries).await;
        }
    });
    println!("committed after {:.2} s", began.elapsed().as_secs_f64());
    proxy.disturb(Disturbance::None);
    let began = Instant::now();
    let (in_step, read) = follower.caught_up();
    println!(
        "in step after {:.2} s, {read} entries asked for",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(in_step as u64, GRAINS);
    // It skips to the latest: at most what there was before, and once what was missed.
    assert!(read <= 2 * GRAINS, "{read} entries");
    follower.finish();
    leader.finish();
    written.extend(commits);
    judge(&log, &store, &acked(&written).collect::<Vec<_>>());
}
