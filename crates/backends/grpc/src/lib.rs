//! Who may do what at a leader, and TLS for both of its ends.
//!
//! Owns tokens, rights and scopes, and the certificates of leader and follower. It knows neither the
//! calls that they guard nor the connection that they protect.

pub mod access;
mod small_file;
pub mod tls;
mod watched;
