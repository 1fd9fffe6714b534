//! The examples' package; each example is a folder beside this one.

// The pages that show code to users of more than one crate are compiled and run here, where all of
// these can be used.
#[cfg(doctest)]
#[doc = include_str!("../../docs/your-own-backend.md")]
struct YourOwnBackend;

#[cfg(doctest)]
#[doc = include_str!("../../crates/conformance/README.md")]
struct Conformance;
