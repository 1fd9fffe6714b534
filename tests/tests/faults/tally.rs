//! [`Tally`]: what a test counts, said in the end however it ends.

use std::collections::BTreeMap;

/// Numbers by name. Dropping it prints `count NAME=NUMBER` for each.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, name: &'static str, count: usize) {
        *self.counts.entry(name).or_default() += count as u64;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        for (name, count) in &self.counts {
            println!("count {name}={count}");
        }
    }
}
