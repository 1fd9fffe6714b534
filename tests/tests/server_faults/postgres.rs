//! PostgreSQL.

mod failover;
mod restored;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use gleaner_servers::{Cluster, Missing, Postgres};

use crate::kind::Kind;
use crate::{cuts, full_disk, kills, pauses};

impl Kind for Cluster {
    /// A new cluster takes 40, and what is written ahead a few times 16.
    const SMALL_DISK: u32 = 192;

    fn start() -> Result<Postgres, Missing> {
        Postgres::start()
    }

    fn start_on(disk: &Path) -> Result<Postgres, Missing> {
        Postgres::builder()
            .folder(disk)
            .setting("min_wal_size", "32MB")
            .setting("max_wal_size", "48MB")
            .start()
    }

    /// Has it begin one file of the log that it writes ahead after the other. Without room for the next, it
    /// panics, and cannot recover.
    fn press(server: &Postgres) {
        for _ in 0..10 {
            let switching = AssertUnwindSafe(|| server.sql("SELECT pg_switch_wal()"));
            if catch_unwind(switching).is_err() {
                return;
            }
        }
    }

    fn url(server: &Postgres) -> String {
        server.url()
    }
}

#[test]
fn killed_and_begun_again_it_has_lost_nothing_and_all_go_on() {
    kills::killed_and_begun_again::<Cluster>();
}

#[test]
fn stopped_and_continued_it_is_waited_for_and_ages_grow() {
    pauses::stopped_and_continued::<Cluster>();
}

#[test]
fn cut_in_the_middle_of_appends_nothing_is_lost_or_there_twice() {
    cuts::cut_in_the_middle_of_appends::<Cluster>();
}

#[test]
fn with_a_full_disk_appends_fail_typed_and_go_on_when_there_is_room() {
    full_disk::full_and_freed::<Cluster>();
}
