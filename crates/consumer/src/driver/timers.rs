//! [`Timers`]: when which actor is due.

use std::collections::BTreeMap;

use gleaner_actor::Moment;

/// A wheel of deadlines, one timer for a whole shard: a bucket for each millisecond in which anything is
/// due, so that to set a deadline and to take one costs the same whether ten or a million wait. A
/// deadline is kept to the next millisecond, never early. One that is set again stays in its bucket and
/// is void when it comes: its setting is not the slot's any more.
#[derive(Default)]
pub(super) struct Timers {
    buckets: BTreeMap<u64, Vec<(u32, u32)>>,
    len: usize,
}

const NANOS: u64 = 1_000_000;

impl Timers {
    pub(super) fn set(&mut self, due: Moment, slot: u32, setting: u32) {
        let tick = due.as_nanos().div_ceil(NANOS);
        self.buckets.entry(tick).or_default().push((slot, setting));
        self.len += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Keeps the settings of slots that count.
    pub(super) fn retain(&mut self, counts: impl Fn(u32, u32) -> bool) {
        self.buckets.retain(|_, bucket| {
            bucket.retain(|(slot, setting)| counts(*slot, *setting));
            bucket.shrink_to_fit();
            !bucket.is_empty()
        });
        self.len = self.buckets.values().map(Vec::len).sum();
    }

    pub(super) fn next(&self) -> Option<Moment> {
        let (tick, _) = self.buckets.first_key_value()?;
        Some(Moment::from_nanos(tick.saturating_mul(NANOS)))
    }

    /// The slots of the first bucket whose time has come, with their settings, in the order in which
    /// they were set.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Vec<(u32, u32)>> {
        if self.next()? > now {
            return None;
        }
        let (_, bucket) = self.buckets.pop_first()?;
        self.len -= bucket.len();
        Some(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u32) -> Moment {
        Moment::START.plus(std::time::Duration::from_millis(u64::from(millis)))
    }

    #[test]
    fn void_settings_can_be_dropped_and_the_rest_come_in_order() {
        let mut timers = Timers::default();
        for setting in 0..1_000 {
            timers.set(at(setting), 7, setting);
        }
        timers.set(at(5), 8, 0);
        timers.retain(|slot, setting| slot == 8 || setting == 999);
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(2_000)), Some(vec![(8, 0)]));
        assert_eq!(timers.pop_due(at(2_000)), Some(vec![(7, 999)]));
        assert_eq!(timers.pop_due(at(2_000)), None);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn no_deadline_comes_early() {
        let mut timers = Timers::default();
        timers.set(Moment::from_nanos(1_000_001), 7, 0);
        assert_eq!(timers.next(), Some(at(2)));
        assert_eq!(timers.pop_due(at(1)), None);
        assert_eq!(timers.pop_due(at(2)), Some(vec![(7, 0)]));
    }
}
