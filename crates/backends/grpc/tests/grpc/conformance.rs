//! The shared tests of the contracts, through a leader: plain and encrypted, asked and listened to.

use std::sync::Arc;

use gleaner_conformance::{LogFactory, NotApplicable};
use gleaner_core::Limits;
use gleaner_grpc::{GrpcLog, Leader};
use gleaner_memory::MemoryLog;

const ENDS: &str = "the log behind this leader is in memory and ends with its process";

struct Plain;

impl LogFactory for Plain {
    type Guard = Leader;
    type Log = GrpcLog;

    async fn open(&self) -> (Leader, GrpcLog) {
        // Small enough that the kit reaches every limit quickly.
        let limits = Limits::default()
            .with_max_payload(1 << 20)
            .with_max_batch_bytes(4 << 20);
        let leader = Leader::builder(Arc::new(MemoryLog::with_limits(limits)))
            .insecure(true)
            .bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let url = format!("grpc://{}", leader.local_addr());
        let log = GrpcLog::builder(url).insecure(true).open().unwrap();
        log.connect().await.unwrap();
        (leader, log)
    }

    fn not_applicable(&self) -> NotApplicable {
        &[("L10", ENDS), ("l11_reopened_log_is_the_same_log", ENDS)]
    }
}

mod plain {
    mod log {
        gleaner_conformance::log_conformance!(super::super::Plain);
    }
    mod feed {
        gleaner_conformance::feed_conformance!(super::super::Plain);
    }
}
