//! How long a round is: the normal suite's is short.

/// Whether it is one of `cargo xtask faults`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("GLEANER_LONG_ROUND").is_some()
}
