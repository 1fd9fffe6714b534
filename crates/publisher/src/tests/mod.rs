//! The publisher against a log.
