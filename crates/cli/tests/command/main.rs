//! The `gleaner` command, run as its users run it: every command, its `--json`, its failures and exit
//! codes, and every example of the manual.

// As test modules, so that lints know their helpers for what they are.
#[cfg(test)]
mod append;
#[cfg(test)]
#[cfg(unix)]
mod database;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod looking;
#[cfg(test)]
#[cfg(unix)]
mod manual;
#[cfg(test)]
mod program;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod token;
