//! The tests of clauses F1 to F5.
