//! The checks that are nobody's unit test. Each is a pure function that lists what is wrong; an
//! empty list is a pass. Each is shown to fail by a test beside it.

pub(crate) mod clauses;
pub(crate) mod direction;
pub(crate) mod doc_tests;
pub(crate) mod file_size;
pub(crate) mod licences;
pub(crate) mod rust_version;
pub(crate) mod sources;
pub(crate) mod spdx;
