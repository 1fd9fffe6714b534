//! The kit's tests, one a clause, each in a schema of its own.

use gleaner_conformance::LogFactory;
use gleaner_core::Limits;
use gleaner_postgres::{PostgresLog, PostgresLogConfig};

use crate::server::{fresh, is_installed};

/// Logs as they are by default, or as they are opened behind a pooler.
struct Logs {
    pooler: bool,
}

fn config(url: &str) -> PostgresLogConfig {
    let limits = Limits::default()
        .with_max_payload(1 << 20)
        .with_max_batch_bytes(4 << 20);
    PostgresLog::builder(url).unwrap().limits(limits)
}

impl LogFactory for Logs {
    type Guard = String;
    type Log = PostgresLog;

    fn is_available(&self) -> bool {
        is_installed()
    }

    async fn open(&self) -> (String, PostgresLog) {
        let url = fresh();
        let log = config(&url).pooler(self.pooler).open().await.unwrap();
        (url, log)
    }

    async fn reopen(&self, url: &String) -> Option<PostgresLog> {
        Some(config(url).pooler(self.pooler).open().await.unwrap())
    }
}

mod log {
    gleaner_conformance::log_conformance!(super::Logs { pooler: false });
}

mod feed {
    gleaner_conformance::feed_conformance!(super::Logs { pooler: false });
}

mod behind_a_pooler {
    mod log {
        gleaner_conformance::log_conformance!(super::super::Logs { pooler: true });
    }
    mod feed {
        gleaner_conformance::feed_conformance!(super::super::Logs { pooler: true });
    }
}
