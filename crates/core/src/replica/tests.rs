use super::*;
use crate::{Draft, FoldError, GrainId, Schema, UnixMillis, Writer};

const W: Writer = Writer::new(7);

fn grain() -> GrainId {
    GrainId::new("t", "k").unwrap()
}

fn log() -> LogId {
    LogId::new("the log")
}

fn full(epoch: u64, sequence: u64, state: &'static str) -> Entry {
    Draft::full(grain(), Cursor::new(epoch, sequence), W, state).seal()
}

fn end(epoch: u64, sequence: u64) -> Entry {
    Draft::tombstone(grain(), Cursor::new(epoch, sequence), W).seal()
}

fn delta(after: &Entry, change: &'static str) -> Entry {
    let mut at = after.cursor();
    at.sequence = at.sequence.next().unwrap();
    Draft::delta(grain(), at, W, after.digest(), change).seal()
}

/// Appends the change; refuses "bad", panics at "panic" and "panic with a string".
struct Join;

impl Fold for Join {
    fn fold(&self, of: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        assert_eq!(of, delta.grain());
        match delta.payload().as_ref() {
            b"bad" => Err(FoldError::new("makes no sense")),
            b"panic" => panic!("at the change"),
            b"panic with a string" => panic!("at {}", delta.cursor()),
            b"panic with a number" => std::panic::panic_any(7),
            change => Ok([state, change].concat().into()),
        }
    }

    fn newest_schema(&self) -> Schema {
        Schema::new(3)
    }
}

fn rules(fold: Option<&dyn Fold>) -> Rules<'_> {
    Rules {
        fold,
        max_state: 10,
    }
}

/// Applies with the fold `Join`, states bounded at 10 bytes.
fn go(current: Option<&Replica>, entries: &[Entry]) -> Advanced {
    go_with(current, Some(&Join), entries)
}

fn go_with(current: Option<&Replica>, fold: Option<&dyn Fold>, entries: &[Entry]) -> Advanced {
    let log = log();
    let under = Under {
        log: &log,
        generation: Generation::new(4),
        rules: rules(fold),
    };
    advance(current, under, entries)
}

/// The replica that a run from nothing leads to.
fn at(entries: &[Entry]) -> Replica {
    let advanced = go(None, entries);
    assert_eq!(advanced.stop, None);
    advanced.replica.unwrap()
}

fn state(advanced: &Advanced) -> Option<&[u8]> {
    advanced.replica.as_ref()?.state()
}

fn why(advanced: &Advanced) -> Option<StopReason> {
    advanced.stop.as_ref().map(|stop| stop.why.clone())
}

#[test]
fn s1_a_row_is_of_its_last_entry_throughout() {
    let mut draft = Draft::full(grain(), Cursor::new(2, 9), W, "nine");
    draft.schema = Schema::new(3);
    draft.written_at = UnixMillis::new(1234);
    let nine = draft.seal();
    let advanced = go(None, &[full(1, 1, "one"), nine.clone()]);
    assert_eq!((advanced.applied, &advanced.stop), (2, &None));
    let replica = advanced.replica.unwrap();
    let stamp = Stamp {
        cursor: nine.cursor(),
        digest: nine.digest(),
        generation: Generation::new(4),
        log: log(),
        schema: Schema::new(3),
        written_at: UnixMillis::new(1234),
    };
    assert_eq!(replica, Replica::new(stamp, Some(b"nine")));
    assert_eq!(replica.mark().digest, nine.digest());
    assert!(replica.mark().present);
}

#[test]
fn s2_entries_at_or_below_the_cursor_change_nothing() {
    let five = full(2, 5, "five");
    let now = at(std::slice::from_ref(&five));
    for late in [
        five,
        full(2, 5, "another five"),
        full(2, 4, "four"),
        full(1, 900, "an older epoch"),
        end(2, 5),
        delta(&full(2, 3, "three"), "d"),
    ] {
        let advanced = go(Some(&now), std::slice::from_ref(&late));
        let nothing = Advanced {
            replica: None,
            applied: 0,
            stop: None,
        };
        assert_eq!(advanced, nothing, "{late:?}");
    }
    // They do not hinder what follows them.
    let advanced = go(Some(&now), &[full(2, 4, "four"), full(2, 6, "six")]);
    assert_eq!((advanced.applied, state(&advanced)), (1, Some(&b"six"[..])));
}

#[test]
fn s3_a_delta_fits_by_epoch_number_digest_and_state() {
    let one = full(1, 1, "one");
    let two = delta(&one, "+2");
    let three = delta(&two, "+3");
    let now = at(std::slice::from_ref(&one));

    let fitting = go(Some(&now), &[two.clone(), three.clone()]);
    assert_eq!(
        (fitting.applied, state(&fitting)),
        (2, Some(&b"one+2+3"[..]))
    );

    let dead = at(&[one.clone(), end(1, 2)]);
    let other_epoch = Draft::delta(grain(), Cursor::new(2, 2), W, one.digest(), "d").seal();
    let other_digest = Draft::delta(grain(), Cursor::new(1, 2), W, two.digest(), "d").seal();
    let after_death = Draft::delta(grain(), Cursor::new(1, 3), W, dead.digest(), "d").seal();
    for (row, current, misfit) in [
        ("nothing to change", None, &two),
        ("a number is missing", Some(&now), &three),
        ("another epoch", Some(&now), &other_epoch),
        ("another predecessor", Some(&now), &other_digest),
        ("no state", Some(&dead), &after_death),
    ] {
        let stopped = go(current, std::slice::from_ref(misfit));
        assert_eq!(stopped.replica, None, "{row}");
        assert_eq!(stopped.applied, 0, "{row}");
        let stop = stopped.stop.unwrap();
        assert_eq!(
            (stop.at, stop.why),
            (misfit.cursor(), StopReason::Gap),
            "{row}"
        );
    }
}

#[test]
fn a_full_state_leaps_over_a_delta_only_behind_it() {
    // [Full 1, Delta 2, Full 3] ends at 3; a Delta that does not fit stops the run before the Full.
    let one = full(1, 1, "one");
    let run = [one.clone(), delta(&one, "+2"), full(1, 3, "three")];
    let advanced = go(None, &run);
    assert_eq!(
        (advanced.applied, state(&advanced)),
        (3, Some(&b"three"[..]))
    );
    let misfit = Draft::delta(grain(), Cursor::new(1, 2), W, Digest::ZERO, "d").seal();
    let advanced = go(None, &[one, misfit, full(1, 3, "three")]);
    assert_eq!((advanced.applied, state(&advanced)), (1, Some(&b"one"[..])));
    assert_eq!(why(&advanced), Some(StopReason::Gap));
}

#[test]
fn s6_a_tombstone_removes_the_state_and_keeps_the_cursor() {
    let one = full(1, 1, "one");
    let advanced = go(None, &[one, end(1, 5)]);
    let dead = advanced.replica.unwrap();
    assert_eq!((&dead.state(), dead.cursor()), (&None, Cursor::new(1, 5)));
    assert!(!dead.mark().present);
    // As the first that is ever heard of a grain, too.
    assert_eq!(at(&[end(1, 5)]), dead);
    // A FullState brings it back, above the cursor only.
    assert_eq!(go(Some(&dead), &[full(1, 4, "late")]).replica, None);
    let back = go(Some(&dead), &[full(1, 6, "back")]);
    assert_eq!(state(&back), Some(&b"back"[..]));
}

#[test]
fn s7_a_failing_fold_keeps_what_preceded_it() {
    let one = full(1, 1, "one");
    let two = delta(&one, "+2");
    for (change, said) in [
        ("bad", "makes no sense"),
        ("panic", "the fold panicked: at the change"),
        ("panic with a string", "the fold panicked: at 1:3"),
        ("panic with a number", "the fold panicked: no message"),
    ] {
        let bad = delta(&two, change);
        let run = [one.clone(), two.clone(), bad.clone(), full(1, 4, "four")];
        let advanced = go(None, &run);
        assert_eq!(
            (advanced.applied, state(&advanced)),
            (2, Some(&b"one+2"[..]))
        );
        let stop = advanced.stop.unwrap();
        assert_eq!(stop.at, bad.cursor());
        assert_eq!(stop.why, StopReason::Fold(FoldError::new(said)));
    }
}

#[test]
fn without_a_fold_bases_are_applied_and_a_delta_stops() {
    let one = full(1, 1, "one");
    let two = delta(&one, "+2");
    let advanced = go_with(None, None, &[one, two.clone(), full(1, 3, "three")]);
    assert_eq!((advanced.applied, state(&advanced)), (1, Some(&b"one"[..])));
    let stop = advanced.stop.unwrap();
    assert_eq!((stop.at, stop.why), (two.cursor(), StopReason::NoFold));
    // Without a fold, nobody says which schema is too new.
    let mut draft = Draft::full(grain(), Cursor::new(1, 4), W, "four");
    draft.schema = Schema::MAX;
    assert_eq!(go_with(None, None, &[draft.seal()]).applied, 1);
}

#[test]
fn a_newer_schema_stops_entries_of_every_kind() {
    let one = full(1, 1, "one");
    let newer = Schema::new(4);
    let drafts = [
        Draft::full(grain(), Cursor::new(1, 2), W, "two"),
        Draft::delta(grain(), Cursor::new(1, 2), W, one.digest(), "+2"),
        Draft::tombstone(grain(), Cursor::new(1, 2), W),
    ];
    for mut draft in drafts {
        draft.schema = newer;
        let advanced = go(None, &[one.clone(), draft.seal()]);
        assert_eq!((advanced.applied, state(&advanced)), (1, Some(&b"one"[..])));
        let newest = Schema::new(3);
        let wanted = StopReason::Schema {
            schema: newer,
            newest,
        };
        assert_eq!(why(&advanced), Some(wanted));
    }
}

#[test]
fn a_state_over_the_bound_is_not_kept_whole_or_folded() {
    let ten = full(1, 1, "ten bytes!");
    assert_eq!(go(None, std::slice::from_ref(&ten)).applied, 1);
    let too_large = StopReason::TooLarge {
        size: 11,
        limit: 10,
    };
    let folded = go(None, &[ten.clone(), delta(&ten, "+")]);
    assert_eq!((folded.applied, why(&folded)), (1, Some(too_large.clone())));
    let whole = go(None, &[full(1, 1, "eleven byte")]);
    assert_eq!((whole.replica, whole.stop.unwrap().why), (None, too_large));
}

/// A fold whose `newest_schema` panics is as bad as one whose `fold` does (S7).
#[test]
fn s7_a_panicking_schema_is_caught() {
    struct Broken;
    impl Fold for Broken {
        fn fold(&self, _: &GrainId, state: &[u8], _: &Entry) -> Result<Bytes, FoldError> {
            Ok(Bytes::copy_from_slice(state))
        }
        fn newest_schema(&self) -> Schema {
            panic!("no idea")
        }
    }
    let advanced = go_with(None, Some(&Broken), &[full(1, 1, "one")]);
    let said = FoldError::new("the fold panicked: no idea");
    assert_eq!(why(&advanced), Some(StopReason::Fold(said)));
    assert_eq!(advanced.replica, None);
}

#[test]
fn an_empty_run_changes_nothing() {
    let now = at(&[full(1, 1, "one")]);
    for current in [None, Some(&now)] {
        let advanced = go(current, &[]);
        assert_eq!(
            (advanced.replica, advanced.applied, advanced.stop),
            (None, 0, None)
        );
    }
}

#[test]
fn generations_rise_and_stay_at_the_top() {
    assert_eq!(Generation::new(3).next(), Generation::new(4));
    let top = Generation::new(u64::MAX);
    assert_eq!(top.next(), top);
}
