//! [`Doubt`]: whether a change that the store failed to answer may still land.

use crate::Moment;
use crate::policy::{Jitter, Policy};

/// A store that failed to answer a change may carry it out after the replica was loaded: a request that
/// was given up stays under way. An apply that lands late moves the replica on, and a rebase may set it
/// back, without anybody being told. So the replica is loaded again, ever more rarely, and while it may
/// be set back, nothing is confirmed. A raised generation ends the doubt: nothing of before it lands
/// (S8).
///
/// When the next look is due is a moment and not a wait: polls in between, by the interval or because the
/// grain is named, do not put it off. The end is a moment too, so that a grain that was paused or
/// unfollowed meanwhile does not wait again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubt {
    /// When the replica is looked at next.
    pub(super) due: Moment,
    /// Whether the replica may be set back.
    pub(super) backwards: bool,
    looks: u8,
    ends: Moment,
}

/// A doubt lasts for so many waits of the backoff: with waits that double from 100 ms to 30 s, two and a
/// half minutes, several times what a call is waited for. What has not landed by then never will.
const LOOKS: u8 = 13;

impl Doubt {
    /// A change was not answered; `backwards` if it may set the replica back. An earlier doubt begins
    /// anew.
    pub(super) fn begin(
        now: Moment,
        policy: &Policy,
        backwards: bool,
        former: Option<Self>,
    ) -> Self {
        Self {
            due: now,
            backwards: backwards || former.is_some_and(|former| former.backwards),
            looks: 0,
            ends: now.plus(policy.span(LOOKS)),
        }
    }

    /// What is left of the doubt after the replica was looked at, and its generation is what it was.
    pub(super) fn look(self, now: Moment, policy: &Policy, jitter: &mut Jitter) -> Option<Self> {
        if now >= self.ends {
            return None;
        }
        if now < self.due {
            return Some(self);
        }
        let looks = self.looks.saturating_add(1);
        Some(Self {
            due: now.plus(policy.backoff(looks, jitter)).min(self.ends),
            looks,
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_doubt_is_looked_at_ever_more_rarely_and_ends() {
        let (policy, mut jitter) = (Policy::default(), Jitter::new(1));
        let first = Doubt::begin(Moment::START, &policy, true, None);
        let mut doubt = Doubt::begin(Moment::START, &policy, false, Some(first));
        assert!(doubt.backwards);
        let (mut now, mut looks) = (Moment::START, 0);
        while let Some(looked) = doubt.look(now, &policy, &mut jitter) {
            let early = looked.look(now, &policy, &mut jitter);
            assert_eq!(
                early,
                Some(looked),
                "a look before it is due changes nothing"
            );
            (doubt, now, looks) = (looked, looked.due, looks + 1);
        }
        assert!((12..=15).contains(&looks), "{looks}");
        let span = now.since(Moment::START);
        assert!(span > Duration::from_secs(120), "{span:?}");
    }

    #[test]
    fn a_doubt_ends_though_nobody_looked_meanwhile() {
        let (policy, mut jitter) = (Policy::default(), Jitter::new(1));
        let doubt = Doubt::begin(Moment::START, &policy, true, None);
        let later = Moment::START.plus(Duration::from_secs(3600));
        assert_eq!(doubt.look(later, &policy, &mut jitter), None);
    }
}
