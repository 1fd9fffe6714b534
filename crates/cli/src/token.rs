//! `gleaner token new`: a secret for its holder, and the line that admits it for the leader's file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::SystemTime;

use gleaner::Filter;
use gleaner::grpc::access::{Access, Rights, Secret};
use serde::Serialize;

use crate::cli::TokenNew;
use crate::failure::{Failure, Kind, Result};
use crate::out::Out;
use crate::scope::Rule;

pub(crate) fn new(options: TokenNew, out: &mut Out) -> Result<()> {
    let secret = Secret::draw()?;
    let rights = Rights::of(options.right);
    let scope: Vec<Filter> = options.scope.0.iter().map(Rule::filter).collect();
    let expires = options.expires_in.map(|time| SystemTime::now() + time);
    let line = secret.line(&options.name, rights, &scope, expires)?;
    if let Some(path) = &options.token_file {
        add(path, &options.name, &line)?;
    }
    out.say(&Token {
        name: options.name,
        secret: secret.expose().to_owned(),
        line,
    })
}

/// Adds a line to a token file, which is made if it is missing, for its owner alone.
fn add(path: &Path, name: &str, line: &str) -> Result<()> {
    let failed = |error: std::io::Error| Failure::io(&path.display().to_string(), &error);
    let mut file = open(path).map_err(failed)?;
    let mut before = String::new();
    file.read_to_string(&mut before).map_err(failed)?;
    if !before.trim().is_empty() {
        // A leader refuses a file with a bad line whole; so this must not be the one that finds it.
        Access::file(path)?;
        if before.lines().any(|line| has_name(line, name)) {
            let why = format!("{} has a token {name:?} already", path.display());
            return Err(Failure::new(Kind::Usage, why));
        }
    }
    let end = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    // In one piece: a leader that looks at it meanwhile finds a whole line or none.
    file.write_all(format!("{end}{line}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn has_name(line: &str, name: &str) -> bool {
    let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
    line.is_some_and(|line| line.get("name").and_then(|name| name.as_str()) == Some(name))
}

/// The one place where a secret is told. No `Debug`.
#[derive(Serialize)]
struct Token {
    name: String,
    secret: String,
    line: String,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret, line, .. } = self;
        writeln!(f, "secret, for the holder's file: {secret}")?;
        write!(f, "line, for the leader's token file: {line}")
    }
}
