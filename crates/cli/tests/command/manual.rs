//! Runs the examples of the manual, `docs/command.md`, in their order, and compares what they print.
//!
//! In a block `console`, a line that begins with `$ ` is a command for the shell, what follows is what
//! it prints, on either output; `…` stands for any text. A `serve`, and a `follow` without `--once`, run
//! until the test has seen what they print; the leaders are told to end after the last example.

use std::io::Read as _;
use std::process::{Command, Stdio};

use gleaner_servers::{Postgres, or_skip};

use crate::program::{GUARD, PROGRAM, Place, Running};

const MANUAL: &str = include_str!("../../../../docs/command.md");

/// The file that the manual shows and does not make.
const PLANES: &str = "planes.ndjson";

/// The port that the manual shows.
const PORT: &str = "7431";

/// The database that the manual shows; its password is in a file that the manual does not make.
const DATABASE: &str = "postgres://gleaner@db.example/app?password-file=password";

#[derive(Debug)]
struct Example {
    line: usize,
    command: String,
    prints: Vec<String>,
}

/// The examples, with the line each stands on.
fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (at, line) in MANUAL.lines().enumerate() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = !inside && fence == "console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            examples.push(Example {
                line: at + 1,
                command: command.to_owned(),
                prints: Vec::new(),
            });
        } else if inside {
            examples.last_mut().unwrap().prints.push(line.to_owned());
        }
    }
    examples
}

/// Whether a line is what the manual says, in which `…` stands for any text.
fn is_as_said(line: &str, said: &str) -> bool {
    let mut parts = said.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn lines_are_compared_as_they_should_be() {
    assert!(is_as_said("a 1 b 2 c", "a … b … c"));
    assert!(is_as_said("plain", "plain"));
    assert!(is_as_said("a ", "a …"));
    for (line, said) in [
        ("a 1 b", "a … c"),
        ("plain", "plai"),
        ("a 1 b 2 d", "a … b … c"),
        ("b 1", "a …"),
        ("", "…x"),
    ] {
        assert!(!is_as_said(line, said), "{line} {said}");
    }
}

#[test]
fn every_example_prints_what_the_manual_says() {
    let place = Place::new();
    let examples = examples();
    assert!(examples.len() > 25, "{} examples", examples.len());
    let in_databases = examples
        .iter()
        .filter(|example| example.command.contains(DATABASE));
    assert!(in_databases.count() > 2);
    let planes = examples
        .iter()
        .find(|example| example.command == format!("cat {PLANES}"))
        .unwrap();
    std::fs::write(place.path(PLANES), planes.prints.join("\n") + "\n").unwrap();
    let database = database(&place);
    let mut leaders: Vec<Running> = Vec::new();
    // The port that was shown, and the one that was free.
    let mut port: Option<String> = None;
    for example in &examples {
        if database.is_none() && example.command.contains(DATABASE) {
            continue;
        }
        let real = |text: &str| {
            let text = text.replace(DATABASE, database.as_deref().unwrap_or(DATABASE));
            match &port {
                Some(port) => text.replace(PORT, port),
                None => text,
            }
        };
        let command = real(&example.command);
        let prints: Vec<String> = example.prints.iter().map(|line| real(line)).collect();
        let goes_on = command.starts_with("gleaner follow") && !command.contains("--once")
            || command.starts_with("gleaner serve") && !command.contains("exit code");
        if !goes_on {
            compare(example, &run(&place, &command), &prints);
            continue;
        }
        let serves = command.starts_with("gleaner serve");
        let command = if serves {
            command.replace(PORT, "0")
        } else {
            command
        };
        let mut running = start(&place, &command);
        // Both outputs come through one pipe; that of a follower holds what it says as it comes.
        let said: Vec<String> = prints.iter().map(|_| running.line()).collect();
        if serves {
            let told = said.iter().find(|line| line.starts_with("serving"));
            let behind = told.unwrap().split_once("127.0.0.1:").unwrap().1;
            let free = behind.split_once(',').unwrap().0.to_owned();
            let shown: Vec<String> = said.iter().map(|line| line.replace(&free, PORT)).collect();
            compare(example, &sorted(&shown), &sorted(&example.prints));
            port = Some(free);
            leaders.push(running);
        } else {
            compare(example, &said, &prints);
            running.signal("INT");
            let ended = running.end();
            assert_eq!(ended.status.code(), Some(0), "{example:?}: {ended:?}");
            assert_eq!(ended.stdout, "", "{example:?}");
        }
    }
    assert_eq!(leaders.len(), 1);
    for leader in leaders {
        leader.signal("TERM");
        assert_eq!(leader.end().status.code(), Some(0));
    }
}

/// A database of the test's own, if there is a server; if not, it is said.
fn database(place: &Place) -> Option<String> {
    let server = or_skip(Postgres::shared())?;
    let url = server.create_database("manual");
    let (before, behind) = url.split_once('@').unwrap();
    let (user, secret) = before.rsplit_once(':').unwrap();
    std::fs::write(place.path("password"), secret).unwrap();
    Some(format!("{user}@{behind}?password-file=password"))
}

/// Two outputs come in no order.
fn sorted(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort();
    lines
}

#[track_caller]
fn compare(example: &Example, printed: &[String], said: &[String]) {
    let same = printed.len() == said.len()
        && printed
            .iter()
            .zip(said)
            .all(|(line, said)| is_as_said(line, said));
    assert!(
        same,
        "docs/command.md:{}: {}\nprints\n{}",
        example.line,
        example.command,
        printed.join("\n")
    );
}

/// The shell, with the built command under its name.
fn shell(place: &Place, command: &str) -> Command {
    let folder = std::path::Path::new(PROGRAM).parent().unwrap();
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(command)
        .env("PATH", path)
        .current_dir(place.path(""))
        .stdin(Stdio::null());
    shell
}

/// Runs a command to its end; the lines of both outputs.
fn run(place: &Place, command: &str) -> Vec<String> {
    let mut child = shell(place, &format!("{{ {command}\n}} 2>&1"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let begun = std::time::Instant::now();
    while !reader.is_finished() {
        if begun.elapsed() > GUARD {
            let _ = child.kill();
            panic!("it does not end: {command}");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.wait().unwrap();
    let text = reader.join().unwrap().unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Starts a command that goes on, in the place of its shell, so that a signal reaches it.
fn start(place: &Place, command: &str) -> Running {
    let child = shell(place, &format!("exec {command} 2>&1"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Running::of(child)
}
