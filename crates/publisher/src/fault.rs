//! Faults that tests plant, to see the test of each clause fail.

/// What a faulty publisher does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// P1: a state that takes another's place takes its number too.
    ReuseNumber,
    /// P2: an unsent entry is dropped whatever follows it.
    DropAnyway,
    /// P2: a state that is under way is dropped like an unsent one.
    DropInFlight,
    /// P3: after an unknown outcome the newest state is sent instead of the same bytes.
    FreshBytes,
    /// P4: unsent states are not given back.
    KeepUnsent,
    /// P4: a fenced grain goes on.
    GoOnFenced,
    /// P5: a head that should not be there fails the entry.
    GiveUpOnConflict,
    /// P6: no whole state is ever written.
    NeverWhole,
    /// P7: a state whose caller is gone is not sent.
    DropAbandoned,
}
