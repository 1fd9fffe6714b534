use super::*;
use crate::{Claim, Digest, Draft, Epoch, GrainId, Writer};

const A: Writer = Writer::new(0xA);
const B: Writer = Writer::new(0xB);
const MAX: u64 = (1 << 53) - 1;

fn grain() -> GrainId {
    GrainId::new("aircraft", "N14228").unwrap()
}

fn full(epoch: u64, sequence: u64, writer: Writer) -> Entry {
    Draft::full(grain(), Cursor::new(epoch, sequence), writer, "state").seal()
}

fn end(epoch: u64, sequence: u64, writer: Writer) -> Entry {
    Draft::tombstone(grain(), Cursor::new(epoch, sequence), writer).seal()
}

fn delta(epoch: u64, sequence: u64, writer: Writer, prev: Digest) -> Entry {
    Draft::delta(grain(), Cursor::new(epoch, sequence), writer, prev, "d").seal()
}

/// The head that an entry leaves behind; a Delta's base is said to be at sequence 1.
fn head_of(entry: &Entry) -> Head {
    let base = if entry.kind().is_base() {
        entry.cursor()
    } else {
        Cursor::new(entry.epoch().get(), 1)
    };
    Head {
        cursor: entry.cursor(),
        digest: entry.digest(),
        kind: entry.kind(),
        base,
    }
}

fn fence(epoch: u64, writer: Writer) -> Fence {
    Fence {
        epoch: Epoch::new(epoch),
        writer,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Written, and the fence is then this.
    Writes(Fence),
    Retry,
    Invalid,
    Fenced,
    Conflict,
}
use Says::{Conflict, Fenced, Invalid, Retry, Writes};

#[expect(
    clippy::too_many_lines,
    reason = "a table: a row for each sub-clause of L2"
)]
#[test]
fn l2_row_by_row() {
    let limits = Limits::default().with_max_payload(8);
    let big = Draft::full(grain(), Cursor::new(1, 1), A, "nine bytes").seal();
    let at_limit = Draft::full(grain(), Cursor::new(1, 1), A, "8 bytes!").seal();
    let mut told = Draft::tombstone(grain(), Cursor::new(1, 2), A);
    told.payload = "x".into();
    let told = told.seal();
    let mut orphan = Draft::full(grain(), Cursor::new(1, 2), A, "d");
    orphan.kind = Kind::Delta;
    let orphan = orphan.seal();
    let mut adopted = Draft::full(grain(), Cursor::new(1, 2), A, "s");
    adopted.prev = Some(Digest::ZERO);
    let adopted = adopted.seal();

    let one = full(1, 1, A);
    let d1 = one.digest();
    let h1 = head_of(&one);
    let five = full(2, 5, A);
    let h5 = head_of(&five);
    let dead = end(1, 4, A);
    let h4 = head_of(&dead);
    let (f1, f2) = (fence(1, A), fence(2, A));
    let last = full(1, MAX, A);
    let leap = MAX_LEAP;
    let other = |mut entry: Draft| {
        entry.payload = "other".into();
        entry.seal()
    };
    let forged = other(Draft::full(grain(), Cursor::new(1, 1), A, ""));

    // Head and fence before.
    let empty = (None, None);
    let empty_claimed = |fence: Fence| (None, Some(fence));
    let (on, claimed) = ((Some(h1), Some(f1)), (Some(h1), Some(f2)));
    let (later, unfenced) = ((Some(h5), Some(f2)), (Some(h5), None));
    let dead_at = (Some(h4), Some(f1));
    let full_up = |fence: Fence| (Some(head_of(&last)), Some(fence));
    let rows = vec![
        // (1) what is wrong whatever the log holds
        ("1 payload over the limit", empty, big.clone(), Invalid),
        (
            "1 payload at the limit",
            empty,
            at_limit.clone(),
            Writes(f1),
        ),
        ("1 tombstone with payload", on, told.clone(), Invalid),
        ("1 delta without prev", on, orphan.clone(), Invalid),
        ("1 full with prev", on, adopted.clone(), Invalid),
        ("1 epoch zero", empty, full(0, 1, A), Invalid),
        ("1 sequence zero", empty, full(1, 0, A), Invalid),
        ("1 epoch above 2^53-1", empty, full(MAX + 1, 1, A), Invalid),
        (
            "1 sequence above 2^53-1",
            empty,
            full(1, MAX + 1, A),
            Invalid,
        ),
        (
            "1 both at 2^53-1",
            empty,
            full(MAX, MAX, A),
            Writes(fence(MAX, A)),
        ),
        ("1 before 2", later, told.clone(), Invalid),
        // (2) the fence
        ("2 below the fence", claimed, full(1, 2, A), Fenced),
        ("2 equal, another writer", on, full(1, 2, B), Fenced),
        ("2 without a head", empty_claimed(f2), one.clone(), Fenced),
        (
            "2 before 3: a retry after a claim",
            claimed,
            one.clone(),
            Fenced,
        ),
        ("2 before 7", later, full(1, 9, A), Fenced),
        ("2 equal, its writer", on, full(1, 2, A), Writes(f1)),
        // (3) a retry
        ("3 head's cursor and digest", on, full(1, 1, A), Retry),
        ("3 of a tombstone", dead_at, dead.clone(), Retry),
        (
            "3 head's cursor, another digest",
            on,
            forged.clone(),
            Conflict,
        ),
        ("3 at the last number", full_up(f1), last.clone(), Retry),
        // (4) a higher epoch
        ("4 unclaimed, one above", on, full(2, 2, A), Writes(f2)),
        ("4 unclaimed, a tombstone", on, end(2, 2, A), Writes(f2)),
        ("4 unclaimed, a leap", on, full(2, 3, A), Conflict),
        ("4 claimed, a leap", claimed, full(2, 3, A), Writes(f2)),
        (
            "4 unclaimed, no head",
            empty,
            full(3, 9, A),
            Writes(fence(3, A)),
        ),
        (
            "4 above a claim, no head",
            empty_claimed(f2),
            full(3, 9, A),
            Writes(fence(3, A)),
        ),
        ("4 a delta", on, delta(2, 2, A, d1), Conflict),
        (
            "4 a delta after a claim",
            claimed,
            delta(2, 2, A, d1),
            Conflict,
        ),
        (
            "4 sequence below the head's",
            later,
            full(3, 1, A),
            Conflict,
        ),
        (
            "4 sequence equal, claimed",
            claimed,
            full(2, 1, A),
            Conflict,
        ),
        (
            "4 epoch below the head's, no fence",
            unfenced,
            full(1, 9, A),
            Conflict,
        ),
        // (5) a delta
        ("5 fits", on, delta(1, 2, A, d1), Writes(f1)),
        ("5 no head", empty, delta(1, 1, A, d1), Conflict),
        (
            "5 no head, claimed",
            empty_claimed(f1),
            delta(1, 1, A, d1),
            Conflict,
        ),
        (
            "5 another prev",
            on,
            delta(1, 2, A, Digest::new(1)),
            Conflict,
        ),
        ("5 a leap", on, delta(1, 3, A, d1), Conflict),
        (
            "5 after a tombstone",
            dead_at,
            delta(1, 5, A, dead.digest()),
            Conflict,
        ),
        // (6) a base in the head's epoch
        ("6 one above", on, full(1, 2, A), Writes(f1)),
        (
            "6 brings a dead grain back",
            dead_at,
            full(1, 5, A),
            Writes(f1),
        ),
        ("6 2^32 above", on, full(1, 1 + leap, A), Writes(f1)),
        (
            "6 a tombstone 2^32 above",
            on,
            end(1, 1 + leap, A),
            Writes(f1),
        ),
        ("6 2^32 + 1 above", on, full(1, 2 + leap, A), Conflict),
        (
            "6 any number without a head",
            empty_claimed(f1),
            full(1, MAX, A),
            Writes(f1),
        ),
        ("6 equal number", on, forged.clone(), Conflict),
        ("6 lower number", dead_at, full(1, 2, A), Conflict),
        (
            "6 nothing follows 2^53-1",
            full_up(fence(1, B)),
            full(1, MAX, B),
            Conflict,
        ),
    ];
    for (row, (head, fence), entry, says) in rows {
        let verdict = judge(head.as_ref(), fence.as_ref(), &entry, &limits, "test");
        let said = match &verdict {
            Ok(Verdict::Retry(found)) => {
                assert_eq!(Some(*found), head, "{row}");
                Retry
            }
            Ok(Verdict::Write(next, after)) => {
                assert_eq!(next.cursor, entry.cursor(), "{row}");
                assert_eq!(next.digest, entry.digest(), "{row}");
                assert_eq!(next.kind, entry.kind(), "{row}");
                let base = match head {
                    Some(head) if entry.kind() == Kind::Delta => head.base,
                    _ => entry.cursor(),
                };
                assert_eq!(next.base, base, "{row}");
                Writes(after.unwrap())
            }
            Err(error) => {
                assert_eq!(error.grain(), Some(entry.grain()), "{row}");
                assert_eq!(error.cursor(), Some(entry.cursor()), "{row}");
                assert_eq!(error.backend(), "test", "{row}");
                match error.kind() {
                    ErrorKind::Invalid => Invalid,
                    ErrorKind::Fenced { fence: found } => {
                        assert_eq!(Some(found), fence, "{row}");
                        Fenced
                    }
                    ErrorKind::Conflict { head: found } => {
                        assert_eq!(found, head, "{row}");
                        Conflict
                    }
                    other => panic!("{row}: {other:?}"),
                }
            }
        };
        assert_eq!(said, says, "{row}: {verdict:?}");
    }
}

#[test]
fn l4_row_by_row() {
    let claim = |epoch, writer| Claim {
        grain: grain(),
        epoch: Epoch::new(epoch),
        writer,
    };
    let (f5, none) = (Some(fence(5, A)), None);
    for (row, before, wish, says) in [
        ("the first", none, claim(1, A), Writes(fence(1, A))),
        (
            "the first may begin high",
            none,
            claim(MAX, A),
            Writes(fence(MAX, A)),
        ),
        ("above", f5, claim(6, B), Writes(fence(6, B))),
        ("above, by a leap", f5, claim(60, A), Writes(fence(60, A))),
        ("the fence itself", f5, claim(5, A), Writes(fence(5, A))),
        ("equal, another writer", f5, claim(5, B), Fenced),
        ("below, the same writer", f5, claim(4, A), Fenced),
        ("below, another writer", f5, claim(4, B), Fenced),
        ("zero", none, claim(0, A), Invalid),
        ("zero, before the fence", f5, claim(0, A), Invalid),
        ("above 2^53-1", f5, claim(MAX + 1, A), Invalid),
    ] {
        let said = match judge_claim(before.as_ref(), &wish, "test") {
            Ok(fence) => Writes(fence),
            Err(error) => {
                assert_eq!(error.grain(), Some(&grain()), "{row}");
                match error.kind() {
                    ErrorKind::Invalid => Invalid,
                    ErrorKind::Fenced { fence } => {
                        assert_eq!(Some(fence), before, "{row}");
                        Fenced
                    }
                    other => panic!("{row}: {other:?}"),
                }
            }
        };
        assert_eq!(said, says, "{row}");
    }
}

#[test]
fn l3_a_retry_resumes_behind_the_entry_equal_to_the_head() {
    let (one, two, three) = (full(1, 1, A), full(1, 2, A), full(1, 3, A));
    let batch = [&one, &two, &three];
    assert_eq!(landed(None, &batch), 0);
    assert_eq!(landed(Some(&head_of(&one)), &batch), 1);
    assert_eq!(landed(Some(&head_of(&two)), &batch), 2);
    assert_eq!(landed(Some(&head_of(&three)), &batch), 3);
    assert_eq!(landed(Some(&head_of(&three)), &[]), 0);
    // Overtaken, or only alike: nothing of the batch is known to have landed.
    assert_eq!(landed(Some(&head_of(&full(1, 4, A))), &batch), 0);
    assert_eq!(landed(Some(&head_of(&full(1, 2, B))), &batch), 0);
    // The same entry twice in a row counts twice; behind others that the log does not hold, it says
    // nothing of them.
    assert_eq!(landed(Some(&head_of(&one)), &[&one, &one]), 2);
    assert_eq!(landed(Some(&head_of(&one)), &[&one, &two, &one]), 1);
}

#[test]
fn l3_a_run_is_written_up_to_the_first_entry_that_is_refused() {
    let is_fenced =
        |result: Result<Head>| matches!(result.unwrap_err().kind(), ErrorKind::Fenced { .. });
    let (one, two, three) = (full(1, 1, A), full(1, 2, A), full(1, 3, A));
    let deposed = full(1, 4, B);
    let run = |entries: &[&Entry], head: Option<&Entry>, owner: Option<Fence>| {
        let (mut head, mut fence) = (head.map(head_of), owner);
        let mut written = Vec::new();
        let answer = judge_run(
            &grain(),
            entries,
            &mut head,
            &mut fence,
            &Limits::default(),
            "test",
            |entry| written.push(entry.cursor().sequence.get()),
        );
        (answer, head, fence, written)
    };

    let (answer, head, owner, written) = run(&[&one, &two, &deposed, &three], None, None);
    assert!(is_fenced(answer.result));
    assert_eq!((answer.landed, written), (2, vec![1, 2]));
    assert_eq!((head, owner), (Some(head_of(&two)), Some(fence(1, A))));

    // What the log holds is answered and not written again, in front and between.
    let own = Some(fence(1, A));
    let (answer, head, _, written) = run(&[&one, &two, &two, &three], Some(&one), own);
    assert_eq!(answer.result.unwrap(), head_of(&three));
    assert_eq!((answer.landed, written), (4, vec![2, 3]));
    assert_eq!(head, Some(head_of(&three)));

    // The entry that landed is judged again: another has claimed the grain since.
    let claimed = Some(fence(2, B));
    let (answer, head, fence, written) = run(&[&one], Some(&one), claimed);
    assert!(is_fenced(answer.result));
    assert_eq!((answer.landed, written), (1, vec![]));
    assert_eq!((head, fence), (Some(head_of(&one)), claimed));

    let (answer, ..) = run(&[], None, None);
    assert_eq!(answer.landed, 0);
    assert!(matches!(
        answer.result.unwrap_err().kind(),
        ErrorKind::Invalid
    ));
}

#[test]
fn l12_a_batch_is_bounded_as_a_whole() {
    let limits = Limits::default()
        .with_max_payload(4)
        .with_max_batch_entries(3)
        .with_max_batch_bytes(10);
    let entry = |payload: &'static str| Draft::full(grain(), Cursor::new(1, 1), A, payload).seal();
    let check = |entries: &[Entry]| check_batch(entries, &limits, "test").map_err(|e| e.kind());
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[entry("1234"), entry("1234"), entry("12")]), Ok(()));
    let over_bytes = [entry("1234"), entry("1234"), entry("123")];
    assert_eq!(check(&over_bytes), Err(ErrorKind::Invalid));
    let too_many = [entry(""), entry(""), entry(""), entry("")];
    assert_eq!(check(&too_many), Err(ErrorKind::Invalid));
    // One entry over the payload limit is its grain's own error.
    assert_eq!(check(&[entry("more than ten bytes")]), Ok(()));
    // There is always room for one of the largest.
    let narrow = Limits::default()
        .with_max_payload(20)
        .with_max_batch_bytes(1);
    assert_eq!(narrow.max_batch_bytes(), 20);
}
