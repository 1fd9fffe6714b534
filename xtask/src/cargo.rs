//! Runs cargo, streaming what it prints.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The cargo that runs us, so that a `+toolchain` is kept.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command with its output passed through; whether it succeeded.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn status(command: &mut Command) -> Result<bool, String> {
    announce(command);
    command
        .status()
        .map(|status| status.success())
        .map_err(|error| format!("cannot run {command:?}: {error}"))
}

/// Runs a command, hands each line of its standard output to `line`, and prints those that it says
/// are worth showing; whether the command succeeded. What is no UTF-8 is replaced for `line` alone.
///
/// # Errors
/// If it cannot be started, or its output not be read.
pub(crate) fn stream(
    command: &mut Command,
    mut line: impl FnMut(&str) -> bool,
) -> Result<bool, String> {
    announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let output = child.stdout.take().ok_or("the output was not piped")?;
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    let mut out = std::io::stdout();
    loop {
        bytes.clear();
        let read = reader
            .read_until(b'\n', &mut bytes)
            .map_err(|error| format!("cannot read the output: {error}"))?;
        if read == 0 {
            break;
        }
        if line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r'])) {
            // A closed pipe behind us must not stop the count; the exit status still tells.
            let _ = out.write_all(&bytes).and_then(|()| out.flush());
        }
    }
    child
        .wait()
        .map(|status| status.success())
        .map_err(|error| format!("cannot wait for {command:?}: {error}"))
}

/// The standard output of a command that prints nothing for people.
///
/// # Errors
/// If it cannot be started or fails; its standard error has been passed through.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{command:?} failed: {}", output.status))
    }
}

fn announce(command: &Command) {
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    println!("\n== cargo {}", words.join(" "));
}
