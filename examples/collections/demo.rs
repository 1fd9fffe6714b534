//! `collections demo`: a leader and a follower, each a process of this program, in temporary folders.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Result;
use crate::sides::{FOLLOWING, SERVING};

/// Far beyond what any answer takes: one that does not come is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells what happens, and fails if something is not as it must be.
pub(crate) async fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut leader, url) = Process::leader(&folder.path().join("leader")).await?;
    let copy = folder.path().join("follower");
    let mut follower = Process::follower(&copy, &url).await?;
    println!("a leader, and a follower of {url}");

    leader.ask("create planes 3").await?;
    let cursor = leader.ask("bulk planes 5000").await?.cursor()?;
    follower.ask(&format!("reached {cursor}")).await?;
    println!("a bulk of 5,000 points is published, and here");
    same(&mut leader, &mut follower, "count planes").await?;
    same(&mut leader, &mut follower, "search planes 0.1 0.2 0.3 5").await?;

    for at in 0..100 {
        let line = format!("upsert planes live{at} 0.1 0.2 0.3{at:03} seat=window");
        leader.ask(&line).await?;
        if at % 2 == 0 {
            leader.ask(&format!("delete planes live{at}")).await?;
        }
    }
    let cursor = leader.ask("delete planes p0").await?.cursor()?;
    follower.ask(&format!("reached {cursor}")).await?;
    println!("100 upserts and 51 deletes, one by one, are here");
    same(&mut leader, &mut follower, "count planes").await?;
    let found = same(
        &mut leader,
        &mut follower,
        "search planes 0.1 0.2 0.3 5 cosine",
    )
    .await?;
    require(found.len() == 5, "five points are found")?;
    println!(
        "the follower says of itself: {}",
        follower.ask("age").await?.last
    );

    let refused = follower.tell("upsert planes mine 1 2 3").await?;
    require(
        refused.last.starts_with("refused: ") && refused.last.contains(&url),
        "a write on the follower is refused, and says where to write",
    )?;
    println!("a write on the follower is {}", refused.last);

    follower.end().await?;
    println!("the follower is stopped");
    leader.ask("delete planes live1").await?;
    leader.ask("create trains 2").await?;
    leader.ask("drop trains").await?;
    let cursor = leader.ask("bulk planes 20000").await?.cursor()?;
    let mut follower = Process::follower(&copy, &url).await?;
    follower.ask(&format!("reached {cursor}")).await?;
    println!("started again, it has what was done meanwhile: a delete, a bulk of 20,000 points");
    same(&mut leader, &mut follower, "count planes").await?;
    let found = same(&mut leader, &mut follower, "search planes 0.1 0.2 0.3 200").await?;
    require(
        found.iter().any(|hit| hit.starts_with("hit live3 ")),
        "a point that was kept is found",
    )?;
    require(
        !found.iter().any(|hit| hit.starts_with("hit live1 ")),
        "a point that was deleted while the follower was away is gone",
    )?;
    follower.end().await?;

    let before = leader.ask("search planes 0.1 0.2 0.3 20").await?.hits;
    leader.end().await?;
    let (mut leader, _) = Process::leader(&folder.path().join("leader")).await?;
    let after = leader.ask("search planes 0.1 0.2 0.3 20").await?.hits;
    require(before == after, "the leader goes on after a restart")?;
    leader.end().await?;
    println!("the leader, started again, has it all: done");
    Ok(())
}

/// Both must give the same answer; its results.
async fn same(leader: &mut Process, follower: &mut Process, line: &str) -> Result<Vec<String>> {
    let (there, here) = (leader.ask(line).await?, follower.ask(line).await?);
    let alike = there.hits == here.hits && there.what() == here.what();
    require(alike, &format!("leader and follower agree on {line:?}"))?;
    println!("  both answer {line:?} alike: {}", here.last);
    Ok(here.hits)
}

fn require(holds: bool, what: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(format!("this does not hold: {what}").into())
    }
}

/// One side, spoken to through its standard input and output. Killed if it is dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// What was said to a command.
#[derive(Debug)]
struct Said {
    hits: Vec<String>,
    last: String,
}

impl Said {
    /// The cursor in `... at 1:7...`.
    fn cursor(&self) -> Result<String> {
        let said = self.last.split_once(" at ").map(|(_, cursor)| cursor);
        Ok(said.ok_or("no cursor was said")?.to_owned())
    }

    /// Up to where it tells of itself.
    fn what(&self) -> &str {
        self.last.split_once(" at ").map_or("", |(what, _)| what)
    }
}

impl Process {
    /// A leader, and the URL that it serves.
    async fn leader(data: &Path) -> Result<(Self, String)> {
        let mut command = this_program()?;
        command.arg("leader").arg("--data").arg(data);
        let mut process = Self::start(command)?;
        let url = process.hear(SERVING).await?;
        Ok((process, url))
    }

    async fn follower(data: &Path, url: &str) -> Result<Self> {
        let mut command = this_program()?;
        command.args(["follower", "--leader", url]);
        command.arg("--data").arg(data);
        let mut process = Self::start(command)?;
        process.hear(FOLLOWING).await?;
        Ok(process)
    }

    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("the input is not piped")?;
        let output = child.stdout.take().ok_or("the output is not piped")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    async fn line(&mut self) -> Result<String> {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.map_err(|_| format!("no answer in {PATIENCE:?}"))??;
        line.ok_or_else(|| "it ended".into())
    }

    /// The rest of the next line, which must begin so.
    async fn hear(&mut self, beginning: &str) -> Result<String> {
        let line = self.line().await?;
        let rest = line.strip_prefix(beginning);
        Ok(rest.ok_or_else(|| format!("it said {line:?}"))?.to_owned())
    }

    /// Gives a command; the answer, whatever it is.
    async fn tell(&mut self, command: &str) -> Result<Said> {
        self.input
            .write_all(format!("{command}\n").as_bytes())
            .await?;
        let mut hits = Vec::new();
        loop {
            let line = self.line().await?;
            if line.starts_with("hit ") {
                hits.push(line);
            } else {
                return Ok(Said { hits, last: line });
            }
        }
    }

    /// Gives a command that must not be refused.
    async fn ask(&mut self, command: &str) -> Result<Said> {
        let said = self.tell(command).await?;
        require(
            said.last.starts_with("ok"),
            &format!("{command:?}: {}", said.last),
        )?;
        Ok(said)
    }

    /// Ends it by ending its input.
    async fn end(mut self) -> Result<()> {
        drop(self.input);
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.map_err(|_| format!("no end in {PATIENCE:?}"))??;
        require(status.success(), "a side that is stopped ends well")
    }
}

fn this_program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}
