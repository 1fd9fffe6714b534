//! What happens where a server is not installed.

use std::process::{Command, Output};

/// What a process says that looks for Redis where nothing is.
fn without_redis(required: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_abandon"))
        .args(["redis", "return"])
        .env("PATH", "/nonexistent")
        .env("GLEANER_REQUIRE_SERVERS", required)
        .output()
        .unwrap()
}

#[test]
fn a_missing_server_is_a_loud_skip_that_says_what_to_install() {
    let output = without_redis("0");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    // So begins what `cargo xtask test` counts as a skipped test for want of a server.
    assert!(said.starts_with("skipped: no redis-server "), "{said}");
    assert!(said.contains("apt-get install redis-server"), "{said}");
}

#[test]
fn a_missing_server_is_a_failure_where_servers_are_required() {
    let output = without_redis("1");
    assert_eq!(output.status.code(), Some(101));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("apt-get install redis-server"), "{said}");
    assert!(output.stdout.is_empty());
}
