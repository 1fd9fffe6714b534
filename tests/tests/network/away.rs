//! What happens while a follower is away.

use std::time::Instant;

use bytes::Bytes;
use gleaner::grpc::GrpcLog;
use gleaner::{Cursor, Draft, Entry, GrainId, ReplicationLog, Writer};
use gleaner_tests::{GRAIN_TYPE, Payload};

use crate::ends::sqlite;
use crate::peer::Peer;
use crate::proxy::{Disturbance, Proxy};
use crate::truth::{assert_at_rest, assert_equal, histories, replicas};

fn id(grain: u64) -> GrainId {
    GrainId::new(GRAIN_TYPE, format!("plane-{grain}")).unwrap()
}

fn state(grain: u64, sequence: u64) -> Entry {
    let id = id(grain);
    let payload = Payload::new(sequence).bytes(id.grain_key());
    Draft::full(id, Cursor::new(1, sequence), Writer::new(3), payload).seal()
}

fn end(grain: u64, sequence: u64) -> Entry {
    Draft::tombstone(id(grain), Cursor::new(1, sequence), Writer::new(3)).seal()
}

/// Appends by the wire, from a process of its own as it were.
fn append(leader: std::net::SocketAddr, entries: &[Entry]) {
    let work = async {
        let log = GrpcLog::builder(format!("grpc://{leader}")).insecure(true);
        let log = log.open().unwrap();
        for entries in entries.chunks(4_000) {
            for answer in log.append_batch(entries).await.unwrap() {
                answer.result.unwrap();
            }
        }
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

#[test]
fn what_ended_meanwhile_is_gone_afterwards() {
    const GRAINS: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let (leader, at) = Peer::leader(&log, None);
    let first: Vec<Entry> = (0..GRAINS).map(|grain| state(grain, 1)).collect();
    append(at, &first);
    let mut follower = Peer::follower(at, &sqlite(&store), 0);
    assert_eq!(follower.caught_up().0 as u64, GRAINS);
    follower.finish();
    let before = replicas(&store);
    assert!(before.values().all(|replica| replica.state().is_some()));

    // A third ends, a third ends and comes back, a third stays; some come and go unseen.
    let mut then = Vec::new();
    for grain in 0..GRAINS {
        match grain % 3 {
            0 => then.push(end(grain, 2)),
            1 => then.extend([end(grain, 2), state(grain, 3)]),
            _ => {}
        }
    }
    for grain in GRAINS..GRAINS + 10 {
        then.extend([state(grain, 1), end(grain, 2)]);
    }
    append(at, &then);
    // In another process, and in one that was only cut off.
    let mut follower = Peer::follower(at, &sqlite(&store), 0);
    assert_eq!(follower.caught_up().0 as u64, GRAINS + 10);
    follower.finish();
    let found = replicas(&store);
    let gone = found.values().filter(|replica| replica.state().is_none());
    assert_eq!(gone.count() as u64, GRAINS / 3 + 10);

    let proxy = Proxy::before(at);
    let mut follower = Peer::follower(proxy.address, &sqlite(&store), 0);
    follower.caught_up();
    proxy.disturb(Disturbance::Drop);
    let last: Vec<Entry> = (0..GRAINS)
        .filter(|grain| grain % 3 == 2)
        .map(|grain| end(grain, 2))
        .collect();
    append(at, &last);
    proxy.disturb(Disturbance::None);
    assert_eq!(follower.caught_up().0 as u64, GRAINS + 10);
    follower.finish();
    leader.finish();
    let found = replicas(&store);
    let gone = found.values().filter(|replica| replica.state().is_none());
    assert_eq!(gone.count() as u64, 2 * (GRAINS / 3) + 10);
    let histories = histories(&log);
    assert_at_rest(&histories);
    assert_equal(&histories, &found);
}

/// All grains, those that move while it is away, and how often they do.
const GRAINS: u64 = 4_000;
const MOVED: u64 = 200;
const TIMES: u64 = 5;
/// Of one payload.
const PAYLOAD: usize = 1 << 10;
/// What is missed: the newest state of each grain that has moved.
const MISSED: u64 = MOVED * PAYLOAD as u64;
/// A state may come twice, unasked and asked for. What stands beside the payloads, frames, and the answers
/// of polls that name nothing are far below 128 KiB for the second or two that this takes.
const RESUMED: u64 = 2 * MISSED + (128 << 10);
/// A new process looks at the heads of all grains: some 30 bytes each.
const RESTARTED: u64 = RESUMED + GRAINS * 48;

fn heavy(grain: u64, sequence: u64) -> Entry {
    let mut payload = vec![0; PAYLOAD];
    for (at, byte) in payload.iter_mut().enumerate() {
        // Nothing here compresses, but nobody compresses it either.
        *byte = (at as u64 * 31 + grain * 7 + sequence).to_le_bytes()[0];
    }
    let payload = Bytes::from(payload);
    Draft::full(id(grain), Cursor::new(1, sequence), Writer::new(3), payload).seal()
}

#[test]
fn what_was_missed_is_sent_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let (leader, at) = Peer::leader(&log, None);
    let first: Vec<Entry> = (0..GRAINS).map(|grain| heavy(grain, 1)).collect();
    append(at, &first);
    let proxy = Proxy::before(at);
    let mut follower = Peer::follower(proxy.address, &sqlite(&store), 0);
    assert_eq!(follower.caught_up().0 as u64, GRAINS);
    assert!(proxy.answered() > GRAINS * PAYLOAD as u64);
    let moves = |from: u64| -> Vec<Entry> {
        let all = (from..from + TIMES)
            .flat_map(|sequence| (0..MOVED).map(move |grain| heavy(grain * 17, sequence)));
        all.collect()
    };

    // Cut off.
    proxy.disturb(Disturbance::Drop);
    append(at, &moves(2));
    let (began, before) = (Instant::now(), proxy.answered());
    proxy.disturb(Disturbance::None);
    assert_eq!(follower.caught_up().0 as u64, GRAINS);
    let sent = proxy.answered() - before;
    println!(
        "cut off: {sent} bytes for {MISSED} missed, {:.2} s",
        began.elapsed().as_secs_f64()
    );
    assert!(sent <= RESUMED, "{sent} bytes");
    follower.finish();

    // Restarted.
    append(at, &moves(2 + TIMES));
    let (began, before) = (Instant::now(), proxy.answered());
    let mut follower = Peer::follower(proxy.address, &sqlite(&store), 0);
    let (in_step, read) = follower.caught_up();
    let sent = proxy.answered() - before;
    println!(
        "restarted: {sent} bytes for {MISSED} missed, {:.2} s, {read} entries asked for",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(in_step as u64, GRAINS);
    assert!(sent <= RESTARTED, "{sent} bytes");
    assert!(read <= MOVED, "{read} entries");
    follower.finish();
    leader.finish();
    // Far below everything, and below all that was written.
    const { assert!(RESTARTED < TIMES * MISSED && RESTARTED < GRAINS * PAYLOAD as u64 / 4) };
    let (held, kept) = (replicas(&store), histories(&log));
    assert_equal(&kept, &held);
}
