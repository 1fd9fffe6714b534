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
    #[cfg_attr(
        all(gleaner_plant, not(test)),
        expect(dead_code, reason = "only tests of the publisher plant it")
    )]
    DropAbandoned,
}

/// The fault that is planted for the simulation.
#[cfg(all(gleaner_plant, not(test)))]
pub(crate) fn planted() -> Option<Fault> {
    use gleaner_core::plant::Plant;
    [
        (Plant::NumberUsedTwice, Fault::ReuseNumber),
        (Plant::DeltaDropped, Fault::DropAnyway),
        (Plant::StateInFlightDropped, Fault::DropInFlight),
        (Plant::FreshBytesAfterADoubt, Fault::FreshBytes),
        (Plant::FencedGoesOn, Fault::GoOnFenced),
        (Plant::ConflictGivenUp, Fault::GiveUpOnConflict),
        (Plant::NeverWhole, Fault::NeverWhole),
    ]
    .into_iter()
    .find(|(plant, _)| plant.is_planted())
    .map(|(_, fault)| fault)
}
