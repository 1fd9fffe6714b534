//! The kit tried on itself: a log, a feed and a store that keep every clause pass every test; with
//! one fault planted, a test of the clause that the fault breaks rejects them.

mod faults;
mod feed;
mod log;
mod store;

use std::fmt::Debug;
use std::time::Duration;

use gleaner_conformance::{
    Broken, Clause, LogFactory, NotApplicable, check_log, feed_clauses, log_clauses, store_clauses,
};

use faults::{LogFault, StoreFault};
use log::Logs;
use store::Stores;

/// A fault that shows only when tasks meet at a bad moment is given this many chances to.
const CHANCES: usize = 10;

/// Time enough, in the midst of what a fault tears apart, for others to see it or step in.
async fn a_bad_moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn all_log_clauses() -> Vec<Clause<Logs>> {
    let mut clauses = log_clauses();
    clauses.extend(feed_clauses());
    clauses
}

/// Every fault of a clause must be rejected by one of that clause's own tests, and each of these
/// tests must reject one of the faults: a test that nothing can fail is none.
fn reject<F: Send, T: Copy + Debug + Send + Sync>(
    clauses: &[Clause<F>],
    faults: &[(&str, T)],
    clause: &str,
    factory: impl Fn(T) -> F,
) {
    let own: Vec<_> = clauses
        .iter()
        .filter(|test| test.clause() == clause)
        .collect();
    let faults = faults.iter().filter(|(broken, _)| *broken == clause);
    let tried: Vec<(T, Vec<Rejection>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = faults
            .map(|(_, fault)| {
                let (factory, own) = (factory(*fault), &own);
                scope.spawn(move || (*fault, rejections(&factory, own)))
            })
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.filter_map(Result::ok).collect()
    });
    for (fault, rejections) in &tried {
        for (test, why) in rejections {
            println!("{clause}: {fault:?} is rejected by {test}: {why}");
        }
    }
    let missed: Vec<T> = tried
        .iter()
        .filter(|(_, rejections)| rejections.is_empty())
        .map(|(fault, _)| *fault)
        .collect();
    assert!(!tried.is_empty(), "no mutant breaks {clause}");
    assert!(
        missed.is_empty(),
        "{clause}: none of its tests rejects {missed:?}"
    );
    // One that needs a bad moment is given its chances alone, before it is called idle.
    let idle: Vec<_> = own
        .iter()
        .filter(|test| {
            let mut by = tried.iter().flat_map(|(_, rejections)| rejections);
            !by.any(|(name, _)| *name == test.name())
        })
        .filter(|test| {
            let mut again = tried.iter().map(|(fault, _)| factory(*fault));
            !again.any(|factory| !rejections(&factory, &[test]).is_empty())
        })
        .map(|test| test.name())
        .collect();
    assert!(idle.is_empty(), "{clause}: no mutant fails {idle:?}");
}

/// A test's name and its words.
type Rejection = (&'static str, Broken);

/// Which tests reject a mutant.
fn rejections<F>(factory: &F, tests: &[&Clause<F>]) -> Vec<Rejection> {
    for _ in 0..CHANCES {
        let rejections: Vec<_> = tests
            .iter()
            .filter_map(|test| Some((test.name(), test.run(factory).err()?)))
            .collect();
        if !rejections.is_empty() {
            return rejections;
        }
    }
    Vec::new()
}

macro_rules! rejected {
    ($($name:ident $clauses:expr, $faults:expr, $factory:ident, $clause:literal;)*) => {
        $(
            #[test]
            fn $name() {
                reject(&$clauses, $faults, $clause, |fault| $factory(Some(fault)));
            }
        )*
    };
}

rejected! {
    mutants_of_l1 all_log_clauses(), LogFault::ALL, Logs, "L1";
    mutants_of_l2 all_log_clauses(), LogFault::ALL, Logs, "L2";
    mutants_of_l3 all_log_clauses(), LogFault::ALL, Logs, "L3";
    mutants_of_l4 all_log_clauses(), LogFault::ALL, Logs, "L4";
    mutants_of_l5 all_log_clauses(), LogFault::ALL, Logs, "L5";
    mutants_of_l6 all_log_clauses(), LogFault::ALL, Logs, "L6";
    mutants_of_l7 all_log_clauses(), LogFault::ALL, Logs, "L7";
    mutants_of_l8 all_log_clauses(), LogFault::ALL, Logs, "L8";
    mutants_of_l9 all_log_clauses(), LogFault::ALL, Logs, "L9";
    mutants_of_l10 all_log_clauses(), LogFault::ALL, Logs, "L10";
    mutants_of_l11 all_log_clauses(), LogFault::ALL, Logs, "L11";
    mutants_of_l12 all_log_clauses(), LogFault::ALL, Logs, "L12";
    mutants_of_f1 all_log_clauses(), LogFault::ALL, Logs, "F1";
    mutants_of_f2 all_log_clauses(), LogFault::ALL, Logs, "F2";
    mutants_of_f3 all_log_clauses(), LogFault::ALL, Logs, "F3";
    mutants_of_f4 all_log_clauses(), LogFault::ALL, Logs, "F4";
    mutants_of_f5 all_log_clauses(), LogFault::ALL, Logs, "F5";
    mutants_of_s1 store_clauses(), StoreFault::ALL, Stores, "S1";
    mutants_of_s2 store_clauses(), StoreFault::ALL, Stores, "S2";
    mutants_of_s3 store_clauses(), StoreFault::ALL, Stores, "S3";
    mutants_of_s4 store_clauses(), StoreFault::ALL, Stores, "S4";
    mutants_of_s5 store_clauses(), StoreFault::ALL, Stores, "S5";
    mutants_of_s6 store_clauses(), StoreFault::ALL, Stores, "S6";
    mutants_of_s7 store_clauses(), StoreFault::ALL, Stores, "S7";
    mutants_of_s8 store_clauses(), StoreFault::ALL, Stores, "S8";
    mutants_of_s9 store_clauses(), StoreFault::ALL, Stores, "S9";
}

/// Every test of the kit on a backend without a fault.
fn pass<F>(clauses: &[Clause<F>], factory: &F) {
    let broken: Vec<String> = clauses
        .iter()
        .filter_map(|test| {
            let why = test.run(factory).err()?;
            Some(format!("{}: {why}", test.name()))
        })
        .collect();
    assert!(broken.is_empty(), "without a fault: {broken:#?}");
}

#[test]
fn a_log_without_a_fault_passes() {
    pass(&all_log_clauses(), &Logs(None));
}

#[test]
fn a_store_without_a_fault_passes() {
    pass(&store_clauses(), &Stores(None));
}

/// A factory that excuses what it says.
struct Excused(LogFault, NotApplicable);

impl LogFactory for Excused {
    type Guard = log::Plain;
    type Log = log::Plain;

    async fn open(&self) -> (log::Plain, log::Plain) {
        Logs(Some(self.0)).open().await
    }

    fn not_applicable(&self) -> NotApplicable {
        self.1
    }
}

#[test]
#[should_panic(expected = "L3 is broken, l3_a_grain_stops_at_the_first_refusal")]
fn a_broken_clause_fails_its_test() {
    let factory = Excused(LogFault::LandedCountsAll, &[("L10", "for a test")]);
    check_log(&factory, "l3_a_grain_stops_at_the_first_refusal");
}

#[test]
fn what_is_not_applicable_is_not_run() {
    let by_clause = Excused(LogFault::LandedCountsAll, &[("L3", "for a test")]);
    check_log(&by_clause, "l3_a_grain_stops_at_the_first_refusal");
    let name = "l3_a_grain_stops_at_the_first_refusal";
    let by_name = Excused(
        LogFault::LandedCountsAll,
        &[("l3_a_grain_stops_at_the_first_refusal", "for a test")],
    );
    check_log(&by_name, name);
}

#[test]
#[should_panic(expected = "neither a clause nor a test")]
fn an_excuse_that_names_nothing_is_a_failure() {
    let factory = Excused(LogFault::LandedCountsAll, &[("L33", "a slip")]);
    check_log(&factory, "l9_listings_end");
}

/// Every clause that has tests has mutants: the lists above leave none out.
#[test]
fn every_clause_of_the_kit_has_mutants() {
    let mut tested: Vec<String> = all_log_clauses().iter().map(Clause::clause).collect();
    tested.extend(store_clauses::<Stores>().iter().map(Clause::clause));
    tested.dedup();
    assert_eq!(tested.len(), 12 + 5 + 9, "clauses with tests: {tested:?}");
    for clause in tested {
        let broken = LogFault::ALL.iter().any(|(broken, _)| *broken == clause)
            || StoreFault::ALL.iter().any(|(broken, _)| *broken == clause);
        assert!(broken, "no mutant breaks {clause}");
    }
}
