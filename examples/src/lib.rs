//! The examples' package: each example is a folder beside this one; what they share is here.

use std::error::Error;

// The pages that show code to users of more than one crate are compiled and run here, where all of
// these can be used.
#[cfg(doctest)]
#[doc = include_str!("../../docs/your-own-backend.md")]
struct YourOwnBackend;

#[cfg(doctest)]
#[doc = include_str!("../../crates/conformance/README.md")]
struct Conformance;

/// An error and what caused it, in one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors show their source themselves.
        if !said.ends_with(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said
}
