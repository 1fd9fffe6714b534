//! What the compiler of the protocol made of `proto/gleaner/v1/leader.proto`.

#![expect(
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated; the protocol's own comments document it"
)]

include!(concat!(env!("OUT_DIR"), "/gleaner.v1.rs"));
