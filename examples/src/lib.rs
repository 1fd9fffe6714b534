//! The examples' package; each example is a folder beside this one.
