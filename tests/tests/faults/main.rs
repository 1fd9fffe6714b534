//! What real processes over real files do when the machine fails them: kills, a full disk, files that
//! become read-only, vanish or are replaced, a clock that is set.
//!
//! Each test is a fault of one kind under a publishing and a following process: the error is typed and
//! names the path, nothing acknowledged is lost, and the same processes go on when the fault ends. The
//! normal suite makes one round of them; `cargo xtask faults --rounds N` makes N and adds up the lines
//! that begin with `count`. When a fault falls and whom it hits come from a seed that is printed;
//! `GLEANER_SEED` repeats the choices, not the scheduling of the processes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod clock;
mod fault;
mod foreign;
mod full_disk;
mod kills;
mod place;
mod probe;
mod read_only;
mod taken_away;
mod tally;
mod world;

#[path = "../processes/chance.rs"]
mod chance;
#[path = "../processes/child.rs"]
mod child;
#[path = "../processes/truth.rs"]
#[expect(dead_code, reason = "the tests of processes use the rest of it")]
mod truth;
