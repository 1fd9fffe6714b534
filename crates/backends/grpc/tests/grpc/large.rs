//! What does not fit one message.

use std::sync::Arc;

use gleaner_core::{Cursor, Draft, Entry, ErrorKind, GrainId, Limits, ReplicationLog, Writer};
use gleaner_grpc::access::{Access, Right, Rights, Secret};
use gleaner_grpc::{GrpcLog, Leader};
use gleaner_memory::MemoryLog;

use crate::leaders::{plain, plain_log};

fn full(grain: &GrainId, sequence: u64, bytes: usize) -> Entry {
    let payload = vec![u8::try_from(sequence % 251).unwrap(); bytes];
    Draft::full(
        grain.clone(),
        Cursor::new(1, sequence),
        Writer::new(3),
        payload,
    )
    .seal()
}

/// A grain's entries that take several messages land whole, and again from wherever the former try got to.
#[tokio::test(flavor = "multi_thread")]
async fn a_grain_in_pieces_is_resumed_behind_its_head() {
    let limits = Limits::default().with_max_batch_bytes(64 << 20);
    let behind = MemoryLog::with_limits(limits);
    let leader = plain(Arc::new(behind.clone())).await;
    let log = plain_log(&leader).open().unwrap();
    for (number, there) in [0, 1, 20, 31, 39, 40].into_iter().enumerate() {
        let large = GrainId::new("large", number.to_string()).unwrap();
        let small = GrainId::new("small", number.to_string()).unwrap();
        let mut entries: Vec<Entry> = (1..=40).map(|at| full(&large, at, 1 << 20)).collect();
        for entry in entries.get(..there).unwrap() {
            behind.append(entry.clone()).await.unwrap();
        }
        entries.push(full(&small, 1, 10));
        let answers = log.append_batch(&entries).await.unwrap();
        let landed: Vec<usize> = answers.iter().map(|answer| answer.landed).collect();
        assert_eq!(landed, [40, 1], "{there} were there");
        let heads = log.heads(&[large, small]).await.unwrap();
        for (answer, head) in answers.into_iter().zip(heads) {
            assert_eq!(answer.result.unwrap(), head.unwrap());
        }
    }
}

/// A writer that was deposed in the middle is told, and so is how far it got.
#[tokio::test(flavor = "multi_thread")]
async fn a_grain_in_pieces_stops_where_it_is_fenced() {
    let behind = MemoryLog::with_limits(Limits::default().with_max_batch_bytes(64 << 20));
    let leader = plain(Arc::new(behind.clone())).await;
    let log = plain_log(&leader).open().unwrap();
    let grain = GrainId::new("large", "fenced").unwrap();
    let other = Draft::full(grain.clone(), Cursor::new(2, 1), Writer::new(4), "other").seal();
    behind.append(other).await.unwrap();
    let entries: Vec<Entry> = (1..=40).map(|at| full(&grain, at, 1 << 20)).collect();
    let answers = log.append_batch(&entries).await.unwrap();
    let refused = answers.first().unwrap();
    assert_eq!(refused.landed, 0);
    let kind = refused.result.as_ref().unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::Fenced { .. }));
}

/// What a token does not allow behind what it does: the former has landed and is answered so, and the
/// refusal is the others' own. Said of the whole batch, it would be sent again for ever.
#[tokio::test]
async fn a_refusal_behind_what_landed_is_each_grains_own() {
    let folder = tempfile::tempdir().unwrap();
    let secret = Secret::draw().unwrap();
    let rights = Rights::of([Right::Read, Right::Append, Right::Claim]);
    let scope = [gleaner_core::Filter::grain_type("mine")];
    let path = folder.path().join("tokens");
    std::fs::write(&path, secret.line("writer", rights, &scope, None).unwrap()).unwrap();
    let leader = Leader::builder(Arc::new(MemoryLog::new()))
        .access(Access::file(&path).unwrap())
        .insecure(true)
        .bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let url = format!("grpc://{}", leader.local_addr());
    let log = GrpcLog::builder(url)
        .insecure(true)
        .token(secret)
        .open()
        .unwrap();
    let mine = GrainId::new("mine", "a").unwrap();
    let others = ["b", "c"].map(|key| GrainId::new("others", key).unwrap());
    // Larger than a piece, so that the others go into a message of their own.
    let entries = [
        full(&mine, 1, 2 << 20),
        full(&others[0], 1, 10),
        full(&others[1], 1, 10),
    ];
    let answers = log.append_batch(&entries).await.unwrap();
    let results: Vec<_> = answers
        .iter()
        .map(|answer| (answer.grain.clone(), answer.landed))
        .collect();
    assert_eq!(
        results,
        [(mine, 1), (others[0].clone(), 0), (others[1].clone(), 0)]
    );
    assert!(answers[0].result.is_ok());
    for answer in &answers[1..] {
        let kind = answer.result.as_ref().unwrap_err().kind();
        assert_eq!(kind, ErrorKind::Permanent);
    }
}
