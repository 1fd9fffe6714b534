//! [`Lags`]: how long states took from publisher to replica.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use gleaner::UnixMillis;

/// Milliseconds from when a state was published until it was durable in the replica store, counted.
/// Both times are wall clock: true where both sides run on one machine, as here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lags {
    /// How often each lag was seen.
    seen: BTreeMap<u64, u64>,
    count: u64,
}

impl Lags {
    /// Notes that a state written then is applied now.
    pub(crate) fn note(&mut self, written_at: UnixMillis) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .unwrap_or(i64::MAX);
        let lag = u64::try_from(now.saturating_sub(written_at.get())).unwrap_or(0);
        *self.seen.entry(lag).or_default() += 1;
        self.count += 1;
    }

    /// The lag that so many percent did not exceed; none if none was noted.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut passed = 0;
        self.seen.iter().find_map(|(lag, times)| {
            passed += times;
            (passed >= rank).then_some(*lag)
        })
    }
}
