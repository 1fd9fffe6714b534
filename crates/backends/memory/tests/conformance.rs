//! The shared tests of the contracts, on this backend.

use gleaner_conformance::{LogFactory, NotApplicable};
use gleaner_core::Limits;
use gleaner_memory::MemoryLog;

const ENDS: &str = "what is in memory ends with its process";

struct Log;

impl LogFactory for Log {
    type Guard = ();
    type Log = MemoryLog;

    async fn open(&self) -> ((), MemoryLog) {
        // Small enough that the kit reaches every limit quickly.
        let limits = Limits::default()
            .with_max_payload(1 << 20)
            .with_max_batch_bytes(4 << 20);
        ((), MemoryLog::with_limits(limits))
    }

    fn not_applicable(&self) -> NotApplicable {
        &[("L10", ENDS), ("l11_reopened_log_is_the_same_log", ENDS)]
    }
}

mod log {
    gleaner_conformance::log_conformance!(super::Log);
}
mod feed {
    gleaner_conformance::feed_conformance!(super::Log);
}
