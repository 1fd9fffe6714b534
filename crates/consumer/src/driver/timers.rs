//! [`Timers`]: when which actor is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use gleaner_actor::Moment;

/// A queue of deadlines, one timer for the whole driver. A deadline that is set again stays in the
/// queue and is void when it comes: its setting is not the slot's any more.
#[derive(Default)]
pub(super) struct Timers {
    queue: BinaryHeap<Reverse<(Moment, u32, u32)>>,
}

impl Timers {
    pub(super) fn set(&mut self, due: Moment, slot: u32, setting: u32) {
        self.queue.push(Reverse((due, slot, setting)));
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Keeps the settings of slots that count.
    pub(super) fn retain(&mut self, counts: impl Fn(u32, u32) -> bool) {
        self.queue
            .retain(|Reverse((_, slot, setting))| counts(*slot, *setting));
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.queue.peek().map(|Reverse((due, ..))| *due)
    }

    /// A slot whose deadline has come, and its setting.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<(u32, u32)> {
        if self.next()? > now {
            return None;
        }
        self.queue
            .pop()
            .map(|Reverse((_, slot, setting))| (slot, setting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_settings_can_be_dropped_and_the_rest_come_in_order() {
        let mut timers = Timers::default();
        for setting in 0..1_000 {
            timers.set(Moment::from_nanos(u64::from(setting)), 7, setting);
        }
        timers.set(Moment::from_nanos(5), 8, 0);
        timers.retain(|slot, setting| slot == 8 || setting == 999);
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.pop_due(Moment::from_nanos(4)), None);
        let end = Moment::from_nanos(2_000);
        assert_eq!(timers.pop_due(end), Some((8, 0)));
        assert_eq!(timers.pop_due(end), Some((7, 999)));
        assert_eq!(timers.pop_due(end), None);
    }
}
