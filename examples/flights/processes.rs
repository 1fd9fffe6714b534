//! Runs primary and secondary as two processes of this program.
//!
//! The parent passes on what they print. It tells the secondary that the primary is done by closing
//! the secondary's standard input, and kills it where that is asked for. Either one failing ends the
//! other.

use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use crate::counted_store::WAITING;
use crate::report::{self, ENTRIES_WRITTEN, STATES_APPLIED, STATES_PUBLISHED};
use crate::{Result, cli};

/// What both processes are started with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) input: cli::Input,
    pub(crate) log: String,
    pub(crate) store: String,
    pub(crate) following: cli::Following,
    pub(crate) kill_secondary_after: Option<u64>,
}

/// Runs both to their end, and compares what they say.
pub(crate) async fn run(plan: &Plan) -> Result<()> {
    let (primary_ended, end) = watch::channel(false);
    let writing = async {
        let said = write(plan).await?;
        // Nobody listens any more if the secondary has failed, which is said by itself.
        let _ = primary_ended.send(true);
        Ok(said)
    };
    let ((states, entries), applied) = tokio::try_join!(writing, follow(plan, end))?;
    report::compared(states, entries, applied)
}

/// The primary; states published and entries written.
async fn write(plan: &Plan) -> Result<(u64, u64)> {
    let mut command = this_program()?;
    command.arg("primary").arg("--input").arg(&plan.input.path);
    command.arg("--log").arg(&plan.log).stdin(Stdio::null());
    let mut primary = command.spawn()?;
    let mut lines = output(&mut primary)?;
    let (mut states, mut entries) = (None, None);
    while let Some(line) = lines.next_line().await? {
        println!("{line}");
        states = states.or(value(&line, STATES_PUBLISHED));
        entries = entries.or(value(&line, ENTRIES_WRITTEN));
    }
    let end = primary.wait().await?;
    match (end.success(), states, entries) {
        (true, Some(states), Some(entries)) => Ok((states, entries)),
        (true, ..) => Err("the primary did not say what it wrote".into()),
        (false, ..) => Err(format!("the primary failed: {end}").into()),
    }
}

/// The secondary, started again if it was to be killed; states applied by all that ran.
async fn follow(plan: &Plan, primary_ended: watch::Receiver<bool>) -> Result<u64> {
    let mut applied = 0;
    if let Some(after) = plan.kill_secondary_after {
        applied = kill(plan, after, primary_ended.clone()).await?;
        println!("killed_at={applied}");
    }
    let mut secondary = start(plan, None)?;
    let stdin = secondary.stdin.take();
    let mut lines = output(&mut secondary)?;
    let reading = async {
        let mut said = None;
        while let Some(line) = lines.next_line().await? {
            println!("{line}");
            said = said.or(value(&line, STATES_APPLIED));
        }
        Ok::<_, std::io::Error>(said)
    };
    let said = while_open(stdin, primary_ended, reading).await?;
    let status = secondary.wait().await?;
    match (status.success(), said) {
        (true, Some(more)) => Ok(applied + more),
        (true, None) => Err("the secondary did not say what it applied".into()),
        (false, _) => Err(format!("the secondary failed: {status}").into()),
    }
}

/// A secondary's first life, ended by SIGKILL at an exact count; the count.
async fn kill(plan: &Plan, after: u64, primary_ended: watch::Receiver<bool>) -> Result<u64> {
    let mut secondary = start(plan, Some(after))?;
    let stdin = secondary.stdin.take();
    let mut lines = output(&mut secondary)?;
    let reading = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(count) = value(&line, WAITING) {
                return Ok(Some(count));
            }
            println!("{line}");
        }
        Ok::<_, std::io::Error>(None)
    };
    match while_open(stdin, primary_ended, reading).await? {
        Some(count) if count == after => {
            // SIGKILL, on Unix.
            secondary.start_kill()?;
            let status = secondary.wait().await?;
            if was_killed(status) {
                Ok(count)
            } else {
                Err(format!("the secondary was not killed: {status}").into())
            }
        }
        Some(count) => Err(format!("the secondary applied {count} results, not {after}").into()),
        None => {
            let status = secondary.wait().await?;
            Err(format!(
                "the secondary ended ({status}) before it had applied {after} grain results"
            )
            .into())
        }
    }
}

/// Reads, with the secondary's standard input held open until the primary has ended.
async fn while_open<T>(
    stdin: Option<ChildStdin>,
    mut primary_ended: watch::Receiver<bool>,
    reading: impl Future<Output = std::io::Result<T>>,
) -> Result<T> {
    let closing = async {
        // If the primary failed, the sender is gone, and this whole future is about to be dropped.
        let ended = primary_ended.wait_for(|ended| *ended).await.is_ok();
        if ended {
            drop(stdin);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        read = reading => Ok(read?),
        () = closing => Err("the secondary's end was not seen".into()),
    }
}

fn start(plan: &Plan, kill_after: Option<u64>) -> Result<Child> {
    let mut command = this_program()?;
    command.arg("secondary").arg("--until-stdin-ends");
    command.arg("--log").arg(&plan.log);
    command.arg("--store").arg(&plan.store);
    command
        .arg("--poll-interval")
        .arg(humantime::format_duration(plan.following.poll_interval).to_string());
    if let Some(dump) = &plan.following.dump {
        command.arg("--dump").arg(dump);
    }
    if let Some(after) = kill_after {
        command.arg("--wait-for-kill-after").arg(after.to_string());
    }
    Ok(command.stdin(Stdio::piped()).spawn()?)
}

fn this_program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.stdout(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

fn output(child: &mut Child) -> Result<Lines<BufReader<ChildStdout>>> {
    let stdout = child.stdout.take().ok_or("the output is not piped")?;
    Ok(BufReader::new(stdout).lines())
}

fn value(line: &str, name: &str) -> Option<u64> {
    line.strip_prefix(name)?.parse().ok()
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(9)
}

#[cfg(not(unix))]
fn was_killed(status: ExitStatus) -> bool {
    !status.success()
}
