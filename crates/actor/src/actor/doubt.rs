//! [`Doubt`]: whether a change that the store failed to answer may still land.

/// A store that failed to answer a change may carry it out after the replica was loaded: a request that
/// was given up stays under way. An apply that lands late moves the replica on, and a rebase may set it
/// back, without anybody being told. So the replica is loaded again, ever more rarely, and while it may
/// be set back, nothing is confirmed. A raised generation ends the doubt: nothing of before it lands
/// (S8).
///
/// One byte: how often the replica was looked at since, and in the highest bit whether it may be set
/// back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Doubt(u8);

const BACKWARDS: u8 = 0x80;

/// With waits that double from 100 ms to 30 s, so many looks span two and a half minutes: several
/// times what a call is waited for. What has not landed by then never will.
const LOOKS: u8 = 13;

impl Doubt {
    /// A change was not answered; `backwards` if it may set the replica back.
    pub(super) fn begin(&mut self, backwards: bool) {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::LateApplyNotLookedFor.is_planted() {
            return;
        }
        let backwards = if backwards {
            BACKWARDS
        } else {
            self.0 & BACKWARDS
        };
        self.0 = 1 | backwards;
    }

    /// The replica was looked at, and its generation is what it was.
    pub(super) const fn look(&mut self) {
        let looks = self.looks();
        if looks == 0 {
            return;
        }
        if looks < LOOKS {
            self.0 += 1;
        } else {
            self.0 = 0;
        }
    }

    /// How often it was looked at, from 1; 0 without a doubt.
    pub(super) const fn looks(self) -> u8 {
        self.0 & !BACKWARDS
    }

    /// Whether the replica may be set back.
    pub(super) const fn is_backwards(self) -> bool {
        self.0 & BACKWARDS != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_ends_after_so_many_looks() {
        let mut doubt = Doubt::default();
        doubt.look();
        assert_eq!(doubt, Doubt::default());
        doubt.begin(true);
        doubt.begin(false);
        for looks in 1..=LOOKS {
            assert_eq!((doubt.looks(), doubt.is_backwards()), (looks, true));
            doubt.look();
        }
        assert_eq!(doubt, Doubt::default());
    }
}
