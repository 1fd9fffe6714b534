//! NATS with `JetStream`.

use std::time::Duration;

use gleaner_servers::{Nats, or_skip};

use crate::line::Line;
use crate::wait::restart_on_a_taken_port;

/// A connection that can ask: answers go to `inbox`.
fn connected(server: &Nats) -> Line {
    let (mut line, password) = Line::open(&server.url());
    assert!(line.hear().starts_with("INFO "));
    line.say(&format!(
        r#"CONNECT {{"verbose":false,"user":"gleaner","pass":"{password}"}}"#
    ));
    line.say("SUB inbox 1");
    assert_eq!(line.ask("PING"), "PONG");
    line
}

fn request(line: &mut Line, subject: &str, body: &str) -> String {
    line.say(&format!("PUB {subject} inbox {}\r\n{body}", body.len()));
    let said = line.hear();
    assert!(said.starts_with("MSG inbox 1 "), "{said}");
    line.hear()
}

#[test]
fn killed_shut_down_and_restarted_it_keeps_port_and_data() {
    let Some(mut server) = or_skip(Nats::start()) else {
        return;
    };
    let url = server.url();
    let mut line = connected(&server);
    let stream = r#"{"name":"kept","subjects":["kept.>"],"storage":"file"}"#;
    let created = request(&mut line, "$JS.API.STREAM.CREATE.kept", stream);
    assert!(created.contains("\"did_create\":true"), "{created}");
    server.kill();
    assert!(!server.is_running());
    restart_on_a_taken_port(&mut server);
    assert_eq!(server.url(), url);

    let mut line = connected(&server);
    let stored = request(&mut line, "kept.one", "1");
    assert!(stored.contains("\"stream\":\"kept\""), "{stored}");
    server.shut_down();
    assert!(!server.is_running());
    server.restart();
    let known = request(&mut connected(&server), "$JS.API.STREAM.INFO.kept", "");
    assert!(known.contains("\"messages\":1,"), "{known}");

    let folder = server.folder().to_owned();
    assert!(folder.join("jetstream").is_dir());
    drop(server);
    assert!(!folder.parent().unwrap().exists());
}

#[test]
fn paused_it_answers_nobody_and_then_goes_on() {
    let Some(server) = or_skip(Nats::start()) else {
        return;
    };
    let mut line = connected(&server);
    server.pause();
    line.say("PING");
    assert!(line.is_silent(Duration::from_millis(100)));
    server.resume();
    assert_eq!(line.hear(), "PONG");
}

#[test]
fn it_needs_its_password() {
    let Some(server) = or_skip(Nats::start()) else {
        return;
    };
    let (mut line, _) = Line::open(&server.url());
    assert!(line.hear().starts_with("INFO "));
    line.say(r#"CONNECT {"verbose":false,"user":"gleaner","pass":"guessed"}"#);
    assert_eq!(line.hear(), "-ERR 'Authorization Violation'");
}
