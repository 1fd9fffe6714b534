//! The promises, one a file. Each is told everything that is seen, and compares it with the truth.

use std::time::Duration;

use super::seen::Seen;
use super::truth::Truth;

mod age;
mod backwards;
mod convergence;
mod durable;
mod fenced;
mod gap;
mod in_step;
mod memory;
mod nobody;
mod numbers;
mod read_your_writes;
mod same_bytes;
mod stuck;
#[cfg(test)]
mod told;
mod whole;

/// One promise.
pub(crate) trait Invariant: Send {
    /// Its name, for reports.
    fn name(&self) -> &'static str;

    /// The clauses that it stands for.
    fn clauses(&self) -> &'static str;

    /// Looks at what was seen, with the truth as it was just before.
    ///
    /// # Errors
    /// What is wrong, if it contradicts the promise.
    fn on(&mut self, truth: &Truth, at: Duration, seen: &Seen) -> Result<(), String>;
}

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(numbers::Numbers::default()),
        Box::new(fenced::Fenced),
        Box::new(durable::Durable),
        Box::new(backwards::Backwards),
        Box::new(gap::Gap),
        Box::new(nobody::Nobody),
        Box::new(age::Age),
        Box::new(read_your_writes::ReadYourWrites),
        Box::new(in_step::InStep),
        Box::new(stuck::Stuck),
        Box::new(convergence::Convergence),
        Box::new(memory::Memory),
        Box::new(same_bytes::SameBytes::default()),
        Box::new(whole::Whole),
    ]
}
