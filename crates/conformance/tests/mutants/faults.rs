//! The faults, each with the clause whose tests must reject it.

macro_rules! faults {
    ($(#[$doc:meta])* $name:ident, $($clause:literal: $($fault:ident)*;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($($fault,)*)*
        }

        impl $name {
            pub(crate) const ALL: &'static [(&'static str, Self)] = &[
                $($(($clause, Self::$fault),)*)*
            ];
        }
    };
}

faults! {
    /// In the log and its feed.
    LogFault,
    "L1": DeadGrainsBeginAnew DeadGrainsStayDead HeadsForgetTheBase EpochsRestartNumbers NumbersGoBeyondTheLast;
    "L2": AppendsRace AppendsKeepTheFence AnEpochHasManyWriters BadNumbersAreTaken
        ClaimedEpochsMayNotLeap ConflictsComeBeforeFences ConflictsHideTheHead DeltasFollowAnything
        DeltasFollowTombstones DeltasLeap DeltasOpenEpochs FencedNamesAnother FirstNumbersAreOne
        LeapsAreOneLess LeapsAreOneMore LowerEpochsAreTaken RefusedEntriesAreWritten
        RetriesAreConflicts RetriesAreWritten RetriesComeBeforeFences RetriesGoByNumber
        TombstonesMayCarry UnclaimedEpochsLeap;
    "L3": ARefusalStopsTheBatch BatchesRace OvertakenBatchesAreOk AnswersAreSorted BatchesGoOnBehindARefusal BatchesHaveNoLimit
        LandedCountsAll RetriesStartOver;
    "L4": ClaimsAnswerNoHead ClaimsAreForgotten ClaimsMoveTheHead ClaimsShareAnEpoch
        FencesIgnoreCase LowerClaimsAreTaken;
    "L5": SomeEntriesAreLost SomeEntriesShowLate TruncatedEntriesComeBack;
    "L6": BelowTheFloorIsServed IdsAreJoined IdsEndAtNul IdsIgnoreCase LabelsAreLost MoreIsNeverSaid
        MoreIsSaidOfAFullPage ReadsIgnoreBytes ReadsIgnoreTheLimit ReadsIncludeAfter
        SmallBudgetsGiveNothing UnknownGrainsFail ZeroIsBelowTheFloor;
    "L7": TruncationIsInSteps UnknownGrainsCannotBeTruncated TruncationForgetsTheDead TruncationForgetsTheFence TruncationIgnoresCase TruncationIsNotRounded
        TruncationKeepsAll TruncationLowersTheFloor TruncationTakesTheBaseToo;
    "L8": StrangersAreDeferred CatchUpIsOfTwoMoments CatchUpIsTruncated CompleteIsAlwaysSaid EachGrainHasTheBudget
        RunsAlwaysBeginAtTheBase RunsAreCutToNothing RunsLeaveOutADelta RunsNameAnOlderHead
        RunsNeverSkip TheFirstIsDeferred;
    "L9": HeadsAreStale ListingsGoByJoinedNames ListingsIgnoreThePrefix ListingsIgnoreTheSlices
        SlicesAreOfTheKey SparseListingsEndEarly TheDeadAreNotListed;
    "L10": ReopeningLosesClaims ReopeningLosesTheLastEntry;
    "L11": EveryLogHasOneName ReopeningDrawsANewName;
    "L12": BatchLimitIsOneLess PayloadLimitIsOneLess PayloadLimitIsOneMore;
    "F1": ClaimsMakeAHead AFilterLosesItsOwn APrefixLosesTheWholeKey DeathsAreNotNamed NamesAreFolded NamesCarryTheFirstHead
        NamesIgnoreThePrefix NamesIgnoreTheSlices PagesAlwaysSayComplete SomeMovesAreNotNamed SparsePagesSayComplete;
    "F2": CutPagesGoToTheEnd NextIsOfALaterMoment PagesNeverSayComplete;
    "F3": AnyIdentityIsServed BeyondTheEndIsServed OnlyTypesAreBound StartsLieAhead WiderFiltersAreServed;
    "F4": ALimitOfNothingStops PagesIgnoreTheLimit;
    "F5": PushesAreAltered PushesIgnoreTheFilter PushesLeaveOutADelta PushesNameAnotherLog
        WaitsHaveNoDeadline WaitsNeverWake WaitsSleepOverWhatIsThere;
}

faults! {
    /// In the store.
    StoreFault,
    "S1": CursorsRunAhead DigestsStay RowsEndAtNul StoppedRunsAreDropped;
    "S2": EntriesAtTheCursorApply OlderEpochsApply OlderStatesApply;
    "S3": AppliesRace DeltasAreNeverChecked DeltasFollowAnything DeltasLeap DeltasMakeAState
        GapsAreSkipped;
    "S4": GetsAreCached HandlesAreFrozen HandlesNeedAState HandlesOutliveRemoval ListsAreByKey
        ListsIgnoreThePrefix ListsIgnoreTheSlices ListsLeaveOutTheDead MarksLeaveOutStrangers PeeksAreFrozen RebasesRemoveFirst
        StateComesBeforeCursor;
    "S5": ReopeningLosesRows DroppedAppliesAreTorn;
    "S6": PruningRemovesAll RemovalsIgnoreCase TombstonesForgetTheCursor TombstonesKeepTheState WholeStatesAreAppended;
    "S7": AFailedFoldFailsTheCall AStopEndsTheCall LargeStatesAreTaken NewerSchemasAreTaken
        OutcomesAreReversed PanicsEscape;
    "S8": GenerationsAreIgnored GenerationsOfTheAbsentAreIgnored OnlyOlderGenerationsAreLate
        PrunesDoNotRaise RebasesIgnoreCase RebasesIgnoreTheCursor RebasesIgnoreTheGeneration RebasesKeepTheGeneration
        RebasesNeedNoBase RebasesRace RebasesStopHalfWay RemovesAlwaysSayYes RemovesDoNotRaise
        RemovesIgnoreTheExpected ReopeningForgetsGenerations;
    "S9": AnyLogApplies AnyLogRebases AnyReplacingBinds AnyReplicaTakesTheBoundLog
        BindingAgainClears EveryBindingBinds HigherBasesHealForeigners ReopeningForgetsTheBinding;
}
