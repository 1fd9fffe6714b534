//! Every call of the protocol about one grain, or about a filter.

use gleaner_core::{Cursor, Draft, Filter, GrainId, Writer};
use tonic::{Response, Status};

use crate::raw::{Client, proto};
use crate::words;

/// What came of a call: nothing but whether it was answered, or the status whole.
pub(crate) type Said = Result<(), (tonic::Code, String, Vec<u8>)>;

fn said<T>(answer: Result<Response<T>, Status>) -> Said {
    answer.map(drop).map_err(|status| {
        (
            status.code(),
            status.message().to_owned(),
            status.details().to_vec(),
        )
    })
}

/// Each call that names grains, with what came of it.
pub(crate) async fn about(client: &mut Client, named: &[GrainId]) -> Vec<(&'static str, Said)> {
    let last = named.last().unwrap();
    let grains = Some(words::grains(named));
    let only = Some(words::grains([last]));
    let one_each = vec![1; named.len()];
    // Numbers that no fence stands in the way of.
    let drafts = named
        .iter()
        .map(|grain| Draft::full(grain.clone(), Cursor::new(7, 7), Writer::new(7), "x").seal());
    let entries: Vec<_> = drafts.collect();
    vec![
        (
            "heads",
            said(
                client
                    .heads(proto::HeadsRequest {
                        grains: grains.clone(),
                    })
                    .await,
            ),
        ),
        (
            "read_from",
            said(
                client
                    .read_from(proto::ReadFromRequest {
                        grain: only.clone(),
                        after: None,
                        max_entries: 9,
                        max_bytes: 9_999,
                    })
                    .await,
            ),
        ),
        (
            "catch_up",
            said(
                client
                    .catch_up(proto::CatchUpRequest {
                        grains: grains.clone(),
                        epochs: vec![0; named.len()],
                        sequences: vec![0; named.len()],
                        max_entries: 9,
                        max_bytes: 9_999,
                    })
                    .await,
            ),
        ),
        (
            "append",
            said(
                client
                    .append(proto::AppendRequest {
                        grains: grains.clone(),
                        counts: one_each,
                        entries: Some(words::entries(&entries)),
                    })
                    .await,
            ),
        ),
        (
            "claim",
            said(
                client
                    .claim(proto::ClaimRequest {
                        grains,
                        epochs: vec![9; named.len()],
                        writers: vec![9; named.len()],
                    })
                    .await,
            ),
        ),
        (
            "truncate",
            said(
                client
                    .truncate(proto::TruncateRequest {
                        grain: only,
                        before: Some(words::cursor(Cursor::new(1, 2))),
                    })
                    .await,
            ),
        ),
    ]
}

/// Each call that names a filter, from a position that somebody else was given.
pub(crate) async fn within(
    client: &mut Client,
    filter: &Filter,
    since: &proto::Position,
) -> Vec<(&'static str, Said)> {
    let filter = Some(words::filter(filter));
    vec![
        (
            "list_heads",
            said(
                client
                    .list_heads(proto::ListHeadsRequest {
                        filter: filter.clone(),
                        after: None,
                        limit: 99,
                    })
                    .await,
            ),
        ),
        (
            "start",
            said(
                client
                    .start(proto::StartRequest {
                        filter: filter.clone(),
                    })
                    .await,
            ),
        ),
        (
            "changes",
            said(
                client
                    .changes(proto::ChangesRequest {
                        since: Some(since.clone()),
                        filter: filter.clone(),
                        limit: 99,
                    })
                    .await,
            ),
        ),
        (
            "watch",
            said(
                client
                    .watch(proto::WatchRequest {
                        filter,
                        since: Some(since.clone()),
                        max_payload: 999,
                    })
                    .await,
            ),
        ),
    ]
}
