//! The `flights` example, run as its users run it, against sums made from the CSV by other code.
//!
//! `cargo test -p gleaner-examples` builds the example and then runs these; naming one test target
//! (`--test`) would not build it.

// As test modules, so that lints know their helpers for what they are.
#[cfg(test)]
mod aggregate;
#[cfg(test)]
mod database;
#[cfg(test)]
mod network;
mod pair;
#[cfg(test)]
mod program;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod sides;
