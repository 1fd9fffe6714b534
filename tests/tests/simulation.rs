//! Some hundred seeded worlds, in every run of the tests; CI and campaigns run more of them.

use gleaner_tests::sim::{Counts, Mask, run};

const SEEDS: u64 = 300;

#[test]
fn worlds_keep_their_promises() {
    let mut counts = Counts::default();
    for seed in 1..=SEEDS {
        let ending = run(seed, &Mask::All, false);
        if let Some(violation) = ending.violation {
            panic!("{violation}\nreplay: simulate --seed {seed}");
        }
        counts.add(&ending.counts);
    }
    // A campaign in which nothing happens proves nothing.
    for (what, count) in [
        ("crashes", counts.crashes),
        ("faults", counts.faults),
        ("truncations", counts.truncations),
        ("takeovers", counts.takeovers),
        ("lost tails", counts.lost_tails),
        ("folded deltas", counts.deltas_folded),
        ("checked reads", counts.reads_checked),
    ] {
        assert!(count > SEEDS / 10, "{count} {what} in {SEEDS} worlds");
    }
}

/// A seek that was answered with an error landed after its grain was unfollowed and followed again.
#[test]
fn a_doubt_outlives_an_unfollow() {
    let violation = run(18_103, &Mask::All, false).violation;
    assert!(violation.is_none(), "{violation:?}");
}

/// A seek that was answered with an error landed while listings named its grain again and again.
#[test]
fn names_do_not_put_off_the_look_that_ends_a_doubt() {
    let violation = run(2_095_329, &Mask::All, false).violation;
    assert!(violation.is_none(), "{violation:?}");
}

/// A doubt began before its grain was unfollowed, and long after it was followed again it was not over.
#[test]
fn a_doubt_ends_while_nobody_follows() {
    let violation = run(2_060_379, &Mask::All, false).violation;
    assert!(violation.is_none(), "{violation:?}");
}

/// An operator gave an entry up, and then the log lost it.
#[test]
fn what_was_given_up_and_then_lost_is_not_waited_for() {
    let violation = run(3_124_479, &Mask::All, false).violation;
    assert!(violation.is_none(), "{violation:?}");
}

#[test]
fn a_seed_gives_the_same_world_to_the_byte() {
    for seed in [3, 12, 40] {
        let once = run(seed, &Mask::All, true);
        let again = run(seed, &Mask::All, true);
        assert!(once.trace.len() > 100, "{} lines", once.trace.len());
        for (one, other) in once.trace.iter().zip(&again.trace) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(once.trace.len(), again.trace.len());
        assert_eq!(once.counts, again.counts);
    }
}

#[test]
fn another_seed_gives_another_world() {
    let trace = |seed| run(seed, &Mask::All, true).trace;
    assert_ne!(trace(1), trace(2));
}

#[test]
fn fewer_faults_may_be_let_through() {
    let all = run(7, &Mask::All, true);
    let some = run(7, &Mask::First(5), true);
    assert!(all.counts.faults > 5, "{}", all.counts.faults);
    assert_eq!(some.counts.faults, 5);
    assert_eq!(some.injected[..5], all.injected[..5]);
}
