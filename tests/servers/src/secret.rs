//! Passwords: a private server on a machine that others use is private only with one.

use std::fs::File;
use std::io::Read;

/// Sixteen bytes that nobody can guess, in hex: the same in a URL, a shell and a file of settings.
pub(crate) fn draw() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .unwrap_or_else(|error| panic!("cannot read /dev/urandom: {error}"));
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
