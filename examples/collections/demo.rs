//! `collections demo`: a leader and a follower, each a process of this program, in temporary folders.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use gleaner::Filter;
use gleaner::grpc::access::{Right, Rights, Secret};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Result;
use crate::database::GRAIN_TYPE;
use crate::sides::{FOLLOWING, SERVING};

/// Far beyond what any answer takes: one that does not come is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells what happens, and fails if something is not as it must be.
pub(crate) async fn run() -> Result<()> {
    let place = Place::new()?;
    let (mut leader, url) = place.leader("127.0.0.1:0").await?;
    let mut follower = place.follower(&url).await?;
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
    let mut follower = place.follower(&url).await?;
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

    leader.end().await?;
    println!("the leader is stopped");
    let before = follower.ask("search planes 0.1 0.2 0.3 20").await?.hits;
    let address = url.trim_start_matches("grpc://");
    let (mut leader, _) = place.leader(address).await?;
    let after = leader.ask("search planes 0.1 0.2 0.3 20").await?.hits;
    require(before == after, "the leader has what its follower served")?;
    let cursor = leader.ask("delete planes live3").await?.cursor()?;
    follower.ask(&format!("reached {cursor}")).await?;
    println!("started again, it goes on, and its follower with it");
    same(&mut leader, &mut follower, "count planes").await?;
    follower.end().await?;
    leader.end().await?;
    println!("done");
    Ok(())
}

/// A temporary folder with what each side is started on: its data, and a token that may read
/// databases or the hash of it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let secret = Secret::draw()?;
        let databases = [Filter::grain_type(GRAIN_TYPE)];
        let line = secret.line("follower", Rights::of([Right::Read]), &databases, None)?;
        let place = Self { folder };
        place.write("tokens", &line)?;
        place.write("token", secret.expose())?;
        Ok(place)
    }

    /// A file for its owner alone.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(self.folder.path().join(name))?;
        Ok(writeln!(file, "{text}")?)
    }

    /// A leader that listens there, and the URL that it serves.
    async fn leader(&self, address: &str) -> Result<(Process, String)> {
        let mut command = self.side("leader", "tokens")?;
        command.args(["--listen", address]);
        let mut process = Process::start(command)?;
        let url = process.hear(SERVING).await?;
        Ok((process, url))
    }

    async fn follower(&self, url: &str) -> Result<Process> {
        let mut command = self.side("follower", "token")?;
        command.args(["--leader", url]);
        let mut process = Process::start(command)?;
        process.hear(FOLLOWING).await?;
        Ok(process)
    }

    /// Insecure, as it stays on this machine.
    fn side(&self, side: &str, token: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(side).arg("--insecure");
        command.arg("--data").arg(self.folder.path().join(side));
        command
            .arg("--token-file")
            .arg(self.folder.path().join(token));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }
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
