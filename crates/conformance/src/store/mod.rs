//! The tests of clauses S1 to S9.
