//! Requests of every call, well formed; and what becomes of them.

use bytes::Bytes;
use gleaner_core::{Cursor, Draft, Entry, Filter, GrainId, Writer};
use prost::Message;

use crate::chance::Chance;
use crate::frames::{self, Frames};
use crate::raw::proto;
use crate::words;

const CALLS: usize = 11;

fn grains() -> Vec<GrainId> {
    let keys = ["one", "two", "an\u{e4}r", "four"];
    keys.map(|key| GrainId::new("attacked", key).unwrap())
        .to_vec()
}

fn history() -> Vec<Entry> {
    let grain = GrainId::new("attacked", "one").unwrap();
    let writer = Writer::new(3);
    let full = Draft::full(grain.clone(), Cursor::new(1, 1), writer, vec![7; 300]).seal();
    let then = Draft::delta(
        grain.clone(),
        Cursor::new(1, 2),
        writer,
        full.digest(),
        "and",
    );
    let then = then.seal();
    let last = Draft::tombstone(grain, Cursor::new(1, 3), writer).seal();
    vec![full, then, last]
}

fn position(chance: &mut Chance) -> proto::Position {
    proto::Position {
        identity: Some(proto::Identity {
            log: chance.bytes(40),
            history: chance.bytes(40),
        }),
        counters: vec![u64::from(chance.number()); 1 + chance.below(3)],
    }
}

/// Each request as it should be, but for what it asks about.
fn request(call: usize, chance: &mut Chance) -> (&'static str, Vec<u8>) {
    let grains = || Some(words::grains(&self::grains()));
    let one = || Some(words::grains(&self::grains()[..1]));
    let filter = || Some(words::filter(&Filter::grain_type("attacked")));
    let cursor = Some(words::cursor(Cursor::new(1, 2)));
    match call {
        0 => ("Describe", proto::DescribeRequest {}.encode_to_vec()),
        1 => {
            let request = proto::AppendRequest {
                grains: one(),
                counts: vec![3],
                entries: Some(words::entries(&history())),
            };
            ("Append", request.encode_to_vec())
        }
        2 => {
            let request = proto::ClaimRequest {
                grains: grains(),
                epochs: vec![4; 4],
                writers: vec![5; 4],
            };
            ("Claim", request.encode_to_vec())
        }
        3 => (
            "Heads",
            proto::HeadsRequest { grains: grains() }.encode_to_vec(),
        ),
        4 => {
            let request = proto::ListHeadsRequest {
                filter: filter(),
                after: one(),
                limit: u64::from(chance.number()),
            };
            ("ListHeads", request.encode_to_vec())
        }
        5 => {
            let request = proto::ReadFromRequest {
                grain: one(),
                after: cursor,
                max_entries: u64::MAX,
                max_bytes: u64::MAX,
            };
            ("ReadFrom", request.encode_to_vec())
        }
        6 => {
            let request = proto::CatchUpRequest {
                grains: grains(),
                epochs: vec![1; 4],
                sequences: vec![1; 4],
                max_entries: u64::MAX,
                max_bytes: u64::MAX,
            };
            ("CatchUp", request.encode_to_vec())
        }
        7 => {
            let request = proto::TruncateRequest {
                grain: one(),
                before: cursor,
            };
            ("Truncate", request.encode_to_vec())
        }
        8 => (
            "Start",
            proto::StartRequest { filter: filter() }.encode_to_vec(),
        ),
        9 => {
            let request = proto::ChangesRequest {
                since: Some(position(chance)),
                filter: filter(),
                limit: u64::MAX,
            };
            ("Changes", request.encode_to_vec())
        }
        _ => {
            let request = proto::WatchRequest {
                filter: filter(),
                since: Some(position(chance)),
                max_payload: u64::MAX,
            };
            ("Watch", request.encode_to_vec())
        }
    }
}

/// A request whose parts do not go together, each by itself as it should be.
fn at_odds(chance: &mut Chance) -> (&'static str, Vec<u8>) {
    let mut named = words::grains(&grains());
    match chance.below(5) {
        0 => named.types[1] = chance.number(),
        1 => named.key_lengths[2] = chance.number(),
        2 => named.keys = chance.bytes(60),
        // More names than a table has.
        3 => named.new_types = vec![String::from("t"); 70_000],
        _ => named.types.truncate(chance.below(4)),
    }
    let mut told = words::entries(&history());
    match chance.below(7) {
        0 => told.lengths[0] = chance.number(),
        1 => told.lengths = vec![u32::MAX; 3],
        2 => told.kinds[1] = chance.number(),
        3 => told.writers[0] = chance.number(),
        4 => told.digests[0] ^= 1 << chance.below(64),
        5 => told.prevs.clear(),
        _ => told.epochs.truncate(chance.below(3)),
    }
    match chance.below(4) {
        0 => {
            let grains = Some(named);
            ("Heads", proto::HeadsRequest { grains }.encode_to_vec())
        }
        1 => {
            let request = proto::AppendRequest {
                grains: Some(words::grains(&self::grains()[..1])),
                counts: vec![3],
                entries: Some(told),
            };
            ("Append", request.encode_to_vec())
        }
        2 => {
            let request = proto::AppendRequest {
                grains: Some(words::grains(&grains()[..2])),
                // Their sum, too, is more than there is, or more than a number holds.
                counts: vec![chance.number(), u32::MAX],
                entries: Some(words::entries(&history())),
            };
            ("Append", request.encode_to_vec())
        }
        _ => {
            let request = proto::CatchUpRequest {
                grains: Some(words::grains(&grains())),
                epochs: vec![u64::MAX; chance.below(9)],
                sequences: vec![u64::MAX; chance.below(9)],
                max_entries: 0,
                max_bytes: 0,
            };
            ("CatchUp", request.encode_to_vec())
        }
    }
}

/// A path and a body: mostly of a call that there is, damaged in one way.
pub(crate) fn malformed(chance: &mut Chance) -> (String, Frames) {
    let call = chance.below(CALLS);
    let (name, mut content) = request(call, chance);
    let mut path = format!("/gleaner.v1.Leader/{name}");
    let mut hangs = false;
    let body: Bytes = match chance.below(8) {
        // Cut off, in a message that says so.
        0 => {
            content.truncate(chance.below(content.len().max(1)));
            frames::message(&content, chance)
        }
        // Some bits are others.
        1 | 2 => {
            for _ in 0..=chance.below(8) {
                if let Some(byte) = content.len().checked_sub(1) {
                    content[chance.below(byte + 1)] ^= 1 << chance.below(8);
                }
            }
            frames::message(&content, chance)
        }
        // No message of ours.
        3 => frames::message(&chance.bytes(500), chance),
        // No message at all.
        4 => chance.bytes(300),
        5 => {
            let (name, content) = at_odds(chance);
            path = format!("/gleaner.v1.Leader/{name}");
            frames::message(&content, chance)
        }
        // A call that there is not.
        6 => {
            path = match chance.below(4) {
                0 => format!("/gleaner.v2.Leader/{name}"),
                1 => format!("{path}/more"),
                2 => "/".to_owned(),
                _ => format!("/gleaner.v1.Leader/{}", chance.number()),
            };
            frames::message(&content, chance)
        }
        // A beginning, and nothing behind it.
        _ => {
            hangs = true;
            let mut bytes = vec![0];
            bytes.extend_from_slice(&chance.number().to_be_bytes());
            bytes.extend_from_slice(&content);
            bytes.into()
        }
    };
    (path, Frames::new(body, hangs, chance))
}
