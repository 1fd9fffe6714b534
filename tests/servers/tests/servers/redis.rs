//! Redis.

use std::time::Duration;

use gleaner_servers::{Redis, or_skip};

use crate::line::Line;
use crate::wait::restart_on_a_taken_port;

fn connected(server: &Redis) -> Line {
    let (mut line, password) = Line::open(&server.url());
    assert_eq!(line.ask(&format!("AUTH {password}")), "+OK");
    line
}

#[test]
fn killed_shut_down_and_restarted_it_keeps_port_and_data() {
    let Some(mut server) = or_skip(Redis::start()) else {
        return;
    };
    let url = server.url();
    let mut line = connected(&server);
    assert_eq!(line.ask("SET kept 1"), "+OK");
    server.kill();
    assert!(!server.is_running());
    assert_eq!(line.hear(), "", "the connection has ended");

    restart_on_a_taken_port(&mut server);
    assert_eq!(server.url(), url);
    let mut line = connected(&server);
    assert_eq!(line.ask("INCR kept"), ":2");
    server.shut_down();
    assert!(!server.is_running());

    server.restart();
    assert_eq!(connected(&server).ask("INCR kept"), ":3");
    let folder = server.folder().to_owned();
    assert!(folder.join("appendonlydir").is_dir());
    drop(server);
    assert!(!folder.parent().unwrap().exists());
}

#[test]
fn paused_it_answers_nobody_and_then_goes_on() {
    let Some(server) = or_skip(Redis::start()) else {
        return;
    };
    let mut line = connected(&server);
    server.pause();
    line.say("PING");
    assert!(line.is_silent(Duration::from_millis(100)));
    server.resume();
    assert_eq!(line.hear(), "+PONG");
}

#[test]
fn it_needs_its_password_and_takes_settings() {
    let settings = Redis::builder()
        .setting("databases", "7")
        .setting("appendfsync", "everysec");
    let Some(server) = or_skip(settings.start()) else {
        return;
    };
    let (mut line, _) = Line::open(&server.url());
    assert!(line.ask("PING").starts_with("-NOAUTH"));

    let mut line = connected(&server);
    let mut setting = |name: &str| {
        let mut lines = [line.ask(&format!("CONFIG GET {name}")), line.hear()].to_vec();
        lines.extend([line.hear(), line.hear(), line.hear()]);
        lines[4].clone()
    };
    assert_eq!(setting("databases"), "7");
    assert_eq!(setting("appendfsync"), "everysec", "the last one counts");
    assert_eq!(setting("appendonly"), "yes");
}
