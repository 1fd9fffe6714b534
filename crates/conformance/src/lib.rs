//! A named test per clause of Gleaner's contracts, for any backend: ours or yours.
//!
//! Write a factory, name it in a macro, and `cargo test` says clause by clause what your log, feed or
//! store keeps. Every test opens a backend of its own on a runtime of its own and is named after the
//! clause that it tests: `l3_grains_are_independent`, `s3_a_misfit_is_a_gap_and_changes_nothing`.
//!
//! ```
//! # // The tests themselves run under `cargo test`; here the factory and the macros are compiled.
//! use gleaner_conformance::{LogFactory, NotApplicable, StoreFactory};
//! use gleaner_core::Fold;
//! use gleaner_memory::{MemoryLog, MemoryReplicaStore};
//! use std::sync::Arc;
//!
//! struct Mine;
//!
//! impl LogFactory for Mine {
//!     type Guard = (); // a temporary folder, a server's handle
//!     type Log = MemoryLog;
//!
//!     async fn open(&self) -> ((), MemoryLog) {
//!         ((), MemoryLog::new())
//!     }
//!
//!     fn not_applicable(&self) -> NotApplicable {
//!         &[
//!             ("L10", "a log in memory ends with its process"),
//!             ("l11_reopened_log_is_the_same_log", "a log in memory ends with its process"),
//!         ]
//!     }
//! }
//!
//! impl StoreFactory for Mine {
//!     type Guard = ();
//!     type Store = MemoryReplicaStore;
//!
//!     async fn open(&self, fold: Option<Arc<dyn Fold>>) -> ((), MemoryReplicaStore) {
//!         let store = MemoryReplicaStore::new();
//!         ((), fold.map_or(store.clone(), |fold| store.with_fold(fold)))
//!     }
//!
//!     fn not_applicable(&self) -> NotApplicable {
//!         &[
//!             ("s5_reopened_store_holds_what_it_answered", "a store in memory ends with its process"),
//!             ("s8_reopened_store_refuses_late_applies", "a store in memory ends with its process"),
//!             ("s9_reopened_store_remembers_its_log", "a store in memory ends with its process"),
//!         ]
//!     }
//! }
//!
//! mod log {
//!     gleaner_conformance::log_conformance!(super::Mine);
//! }
//! mod feed {
//!     gleaner_conformance::feed_conformance!(super::Mine);
//! }
//! mod store {
//!     gleaner_conformance::store_conformance!(super::Mine);
//! }
//! # fn main() {
//! # for clause in gleaner_conformance::log_clauses::<Mine>() {
//! #     if clause.name() == "l3_grains_are_independent" { clause.run(&Mine).unwrap(); }
//! # }
//! # }
//! ```
//!
//! A durable backend also implements [`LogFactory::reopen`], which opens what the guard stands for
//! anew; that is how L10, L11 and S5 are tested. [`StoreFactory`] and [`store_conformance!`] are the
//! same for replica stores.
//!
//! # Not applicable
//! What cannot arise for a backend is said by the factory, with the reason. Such a test prints the
//! line `not applicable: <test>: <reason>` and libtest counts it as passed, so a runner that wants to
//! count honestly runs with `--nocapture` and takes these lines off.
//!
//! # What the kit does not see
//! Power failures and kills of processes, servers and networks: they need processes, and stand in the
//! backends' own tests. What a test needs of time it waits for; no clause is decided by a clock.
//!
//! This crate knows `gleaner-core` alone: neither a backend nor the follower.

mod awkward;
mod clause;
mod factory;
mod feed;
mod log;
mod macros;
mod once;
mod pen;
mod sight;
mod store;
mod verdict;

pub use clause::{Clause, check_log, check_store};
pub use factory::{LogFactory, NotApplicable, StoreFactory};
pub use verdict::{Broken, Verdict};

/// The tests of L1 to L12.
pub fn log_clauses<F: LogFactory>() -> Vec<Clause<F>> {
    __log_list! { __clauses log }
}

/// The tests of F1 to F5.
pub fn feed_clauses<F: LogFactory>() -> Vec<Clause<F>> {
    __feed_list! { __clauses feed }
}

/// The tests of S1 to S9.
pub fn store_clauses<F: StoreFactory>() -> Vec<Clause<F>> {
    __store_list! { __clauses store }
}
