//! [`Clause`]: one named test of one clause; and how it is run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::factory::NotApplicable;
use crate::{Broken, LogFactory, StoreFactory, Verdict};

/// How long a test may take. Far more than any needs on a slow server; a backend that hangs is then
/// told which promise it hung in.
const DEADLINE: Duration = Duration::from_secs(120);

/// A named test of a clause, for backends that come out of factories of type `F`.
pub struct Clause<F> {
    name: &'static str,
    run: for<'a> fn(&'a F) -> BoxFuture<'a, Verdict>,
}

impl<F> Clause<F> {
    pub(crate) fn new(
        name: &'static str,
        run: for<'a> fn(&'a F) -> BoxFuture<'a, Verdict>,
    ) -> Self {
        Self { name, run }
    }

    /// The test's name, which begins with its clause: `l6_more_is_truthful`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The clause: `L6`.
    pub fn clause(&self) -> String {
        let end = self.name.find('_').unwrap_or(self.name.len());
        self.name.get(..end).unwrap_or_default().to_uppercase()
    }

    /// Runs it on a runtime of its own with two worker threads, so that one that fails, hangs or
    /// panics spoils no other.
    ///
    /// # Errors
    /// How the clause was broken, or that the test did not end.
    pub fn run(&self, factory: &F) -> Verdict {
        self.run_within(factory, DEADLINE)
    }

    /// As [`Self::run`], with another deadline.
    ///
    /// # Errors
    /// How the clause was broken, or that the test did not end in time.
    pub fn run_within(&self, factory: &F, deadline: Duration) -> Verdict {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Broken::new(format!("no runtime: {error}")))?;
        let test = async {
            tokio::time::timeout(deadline, (self.run)(factory))
                .await
                .unwrap_or_else(|_| {
                    Err(Broken::new(format!(
                        "the test did not end within {deadline:?}"
                    )))
                })
        };
        let verdict = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test)))
            .unwrap_or_else(|_| Err(Broken::new("a call panicked")));
        // A blocking call that never returns must not hold up the verdict.
        runtime.shutdown_background();
        verdict
    }
}

impl<F> std::fmt::Debug for Clause<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Clause").field(&self.name).finish()
    }
}

/// For [`log_conformance!`](crate::log_conformance): runs one test by name.
///
/// # Panics
/// If the log does not keep the clause: this is what fails a `#[test]`.
#[doc(hidden)]
pub fn check_log<F: LogFactory>(factory: &F, name: &str) {
    let mut known = crate::log_clauses::<F>();
    known.extend(crate::feed_clauses::<F>());
    if factory.is_available() {
        check(&known, factory, name, factory.not_applicable());
    }
}

/// For [`store_conformance!`](crate::store_conformance): runs one test by name.
///
/// # Panics
/// If the store does not keep the clause: this is what fails a `#[test]`.
#[doc(hidden)]
pub fn check_store<F: StoreFactory>(factory: &F, name: &str) {
    let known = crate::store_clauses::<F>();
    if factory.is_available() {
        check(&known, factory, name, factory.not_applicable());
    }
}

fn check<F>(known: &[Clause<F>], factory: &F, name: &str, excused: NotApplicable) {
    for (what, _) in excused {
        assert!(
            known.iter().any(|clause| is_meant(clause, what)),
            "not_applicable() names {what:?}, which is neither a clause nor a test of this kit"
        );
    }
    let found = known.iter().find(|clause| clause.name() == name);
    let Some(clause) = found else {
        panic!("the kit has no test {name:?}");
    };
    if let Some((_, reason)) = excused.iter().find(|(what, _)| is_meant(clause, what)) {
        // With one thread and --nocapture, libtest has already begun a line.
        println!("\nnot applicable: {name}: {reason}");
        return;
    }
    if let Err(broken) = clause.run(factory) {
        panic!("{} is broken, {name}: {broken}", clause.clause());
    }
}

fn is_meant<F>(clause: &Clause<F>, what: &str) -> bool {
    clause.name() == what || clause.clause() == what
}
