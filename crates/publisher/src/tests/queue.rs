//! The pure queue, a row per arrow: from what state, by which answer, to what.

use bytes::Bytes;
use gleaner_core::{
    Cursor, Entry, Epoch, Error, ErrorKind, Fence, Head, Schema, Source, UnixMillis, Writer,
};

use super::id;
use crate::queue::{GrainQueue, Job, Offer, Phase, Stamp};
use crate::settle::Next;

fn full(text: &'static str) -> Offer {
    Offer::Full(Bytes::from(text))
}

fn put(queue: &mut GrainQueue, offer: &Offer) -> bool {
    let stamp = Stamp {
        schema: Schema::default(),
        written_at: UnixMillis::default(),
        max_payload: 1000,
    };
    let Ok(plan) = queue.plan(offer, stamp) else {
        panic!("refused");
    };
    queue.commit(plan, 10)
}

/// A queue that goes on behind 1:4, with one entry under way and one or two behind it.
fn flying(behind: usize) -> (GrainQueue, Vec<Entry>) {
    let head = Head {
        cursor: Cursor::new(1, 4),
        digest: gleaner_core::Digest::ZERO,
        kind: gleaner_core::Kind::FullState,
        base: Cursor::new(1, 4),
    };
    let owner = (Epoch::new(2), Writer::new(9));
    let source = Source::default();
    let mut queue = GrainQueue::new(id("a"), owner, Some(&head), source, false, None);
    assert!(put(&mut queue, &full("5")), "the sender was not told");
    let Job::Append(unit) = queue.take(10, 1000, true) else {
        panic!("nothing to append");
    };
    for _ in 0..behind {
        assert!(!put(&mut queue, &full("behind")), "told twice");
    }
    (queue, unit)
}

fn head_of(entry: &Entry) -> Head {
    Head {
        cursor: entry.cursor(),
        digest: entry.digest(),
        kind: entry.kind(),
        base: entry.cursor(),
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "test", "told to")
}

const OTHER: Fence = Fence {
    epoch: Epoch::new(3),
    writer: Writer::new(1),
};

/// Behind the unit, landed, answer; next, done, failed, stopped, freed, still under way.
type Row = (
    usize,
    usize,
    Option<ErrorKind>,
    Next,
    Option<u64>,
    bool,
    bool,
    usize,
    usize,
);

#[test]
fn a_row_per_answer_to_a_unit() {
    let conflict = ErrorKind::Conflict { head: None };
    let rows: [Row; 10] = [
        (0, 1, None, Next::Rest, Some(5), false, false, 10, 0),
        (1, 1, None, Next::Send, Some(5), false, false, 10, 0),
        (1, 9, None, Next::Send, Some(5), false, false, 10, 0),
        (1, 0, None, Next::Later, None, false, false, 0, 1),
        (
            1,
            0,
            Some(ErrorKind::Transient),
            Next::Later,
            None,
            false,
            false,
            0,
            1,
        ),
        (
            1,
            0,
            Some(ErrorKind::Unknown),
            Next::Later,
            None,
            false,
            false,
            0,
            1,
        ),
        (
            0,
            0,
            Some(ErrorKind::Invalid),
            Next::Rest,
            None,
            true,
            false,
            10,
            0,
        ),
        (
            1,
            0,
            Some(ErrorKind::Permanent),
            Next::Send,
            None,
            true,
            false,
            10,
            0,
        ),
        (
            1,
            0,
            Some(ErrorKind::Fenced { fence: OTHER }),
            Next::Rest,
            None,
            false,
            true,
            20,
            0,
        ),
        (1, 0, Some(conflict), Next::Send, None, false, false, 0, 1),
    ];
    for row in rows {
        let (behind, landed, kind, next, done, failed, stopped, freed, sent) = row;
        let (mut queue, _) = flying(behind);
        let settled = queue.answer(landed, kind.map_or(Ok(()), |kind| Err(error(kind))));
        assert_eq!(settled.next, next, "{row:?}");
        assert_eq!(
            settled.done.map(gleaner_core::Sequence::get),
            done,
            "{row:?}"
        );
        assert_eq!(settled.failed.is_some(), failed, "{row:?}");
        assert_eq!(settled.stopped.is_some(), stopped, "{row:?}");
        assert_eq!(settled.freed, freed, "{row:?}");
        assert_eq!(queue.sent, sent, "{row:?}");
    }
}

#[test]
fn a_unit_in_doubt_goes_again_as_it_was() {
    let (mut queue, unit) = flying(2);
    queue.answer(0, Err(error(ErrorKind::Unknown)));
    let Job::Append(again) = queue.take(10, 1000, true) else {
        panic!("nothing to append");
    };
    assert_eq!(again, unit);
    assert_eq!(queue.answer(1, Ok(())).next, Next::Send);
    // What gathered meanwhile goes as one unit.
    assert!(matches!(queue.take(10, 1000, true), Job::Append(unit) if unit.len() == 2));
}

#[test]
fn a_conflict_with_what_was_sent_is_an_answer() {
    let (mut queue, unit) = flying(1);
    let head = Some(head_of(&unit[0]));
    let settled = queue.answer(0, Err(error(ErrorKind::Conflict { head })));
    assert_eq!(settled.done, Some(unit[0].sequence()));
    assert_eq!(settled.next, Next::Send);
    assert!(settled.lost.is_none());
}

#[test]
fn after_a_conflict_the_claim_decides() {
    let claims = |result| {
        let (mut queue, _) = flying(1);
        let settled = queue.answer(0, Err(error(ErrorKind::Conflict { head: None })));
        assert_eq!(settled.next, Next::Send);
        let Job::Claim(claim) = queue.take(10, 1000, true) else {
            panic!("no claim");
        };
        assert_eq!((claim.epoch, claim.writer), (Epoch::new(2), Writer::new(9)));
        assert!(
            matches!(queue.take(10, 1000, true), Job::Rest),
            "claimed twice"
        );
        let settled = queue.reclaimed(result);
        (queue, settled)
    };
    // Lost to nothing: what was to be sent fits as it stands.
    let (mut queue, settled) = claims(Ok(None));
    assert_eq!(settled.lost, Some((Cursor::new(1, 4), None)));
    assert_eq!(settled.next, Next::Send);
    assert!(matches!(queue.take(10, 1000, true), Job::Append(unit) if unit[0].payload() == "5"));
    // A head of ours that we never wrote, above our numbers: the newest state goes above it.
    let mut above = head_of(&flying(0).1[0]);
    above.cursor = Cursor::new(2, 90);
    let (mut queue, settled) = claims(Ok(Some(above)));
    assert_eq!((settled.next, settled.freed), (Next::Send, 10));
    let Job::Append(unit) = queue.take(10, 1000, true) else {
        panic!("nothing to append");
    };
    assert_eq!(unit[0].cursor(), Cursor::new(2, 91));
    assert_eq!(unit[0].payload(), "behind");
    // The others.
    let (_, settled) = claims(Err(error(ErrorKind::Fenced { fence: OTHER })));
    assert!(settled.stopped.is_some());
    let (queue, settled) = claims(Err(error(ErrorKind::Unknown)));
    assert_eq!(settled.next, Next::Later);
    assert!(matches!(queue.phase, Phase::Claiming));
    above.cursor = Cursor::new(7, 1);
    let (queue, settled) = claims(Ok(Some(above)));
    assert!(settled.stopped.is_some() && matches!(queue.phase, Phase::Stopped(_)));
}

#[test]
fn numbers_end_and_are_not_wrapped() {
    let head = Head {
        cursor: Cursor::new(1, (1 << 53) - 1),
        digest: gleaner_core::Digest::ZERO,
        kind: gleaner_core::Kind::FullState,
        base: Cursor::new(1, 1),
    };
    let owner = (Epoch::new(2), Writer::new(9));
    let queue = GrainQueue::new(id("a"), owner, Some(&head), Source::default(), true, None);
    let stamp = Stamp {
        schema: Schema::default(),
        written_at: UnixMillis::default(),
        max_payload: 1000,
    };
    assert!(queue.plan(&full("x"), stamp).is_err());
}
