//! What real processes over a log on a real server do when the server, the way to it, its disk or its
//! operator fails them.
//!
//! Each test is a fault of one kind under publishing processes that append all the time and a following one
//! that reads the ages of its replicas all the while: nothing acknowledged is lost, nothing is written
//! twice, no age is smaller than the truth, and the same processes go on when the fault ends ([`world`]).
//! The faults are written for any [`kind`] of server; a server's own module names those it is put through,
//! and what only it can suffer. The normal suite makes one round; `cargo xtask faults --server postgres
//! --rounds N` makes N and adds up the lines that begin with `count`. When a fault falls comes from a seed
//! that is printed; `GLEANER_SEED` repeats the choices, not the scheduling of the processes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod cuts;
mod full_disk;
mod kills;
mod kind;
mod pauses;
mod postgres;
mod round;
mod verdict;
mod world;

#[path = "../network/ages.rs"]
mod ages;
#[path = "../processes/chance.rs"]
mod chance;
#[path = "../network/peer.rs"]
#[expect(dead_code, reason = "the tests of the network use the rest of it")]
mod peer;
#[path = "../faults/place.rs"]
#[expect(dead_code, reason = "the tests of files use the rest of it")]
mod place;
#[path = "../faults/probe.rs"]
#[expect(dead_code, reason = "the tests of files use the rest of it")]
mod probe;
#[path = "../network/proxy.rs"]
#[expect(dead_code, reason = "the tests of the network use the rest of it")]
mod proxy;
#[path = "../faults/tally.rs"]
mod tally;
#[path = "../processes/truth.rs"]
#[expect(dead_code, reason = "the tests of processes use the rest of it")]
mod truth;
