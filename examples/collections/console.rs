//! A leader or a follower at the console: a command a line in, its answer out.
//!
//! An answer is lines of results and then one line that begins with `ok` or `refused:`.

use std::io::{BufRead, Write};

use tokio::sync::mpsc;

use crate::Result;
use crate::command::{Command, made_up};
use crate::database::Database;
use crate::engine::Found;
use crate::following::{Following, Standing};
use crate::nearest::Hit;

/// What commands are given to.
pub(crate) enum Node {
    Leader(Database),
    Follower(Following),
}

/// Answers standard input, line by line, until it ends or the program is interrupted.
pub(crate) async fn run(node: &Node) -> Result<()> {
    let mut lines = lines();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                None
            }
        };
        let Some(line) = line else { return Ok(()) };
        if line.trim().is_empty() {
            continue;
        }
        let answer = node.answer(&line).await;
        let mut out = std::io::stdout().lock();
        match answer {
            Ok(lines) => lines.iter().try_for_each(|line| writeln!(out, "{line}"))?,
            Err(why) => writeln!(out, "refused: {}", crate::with_causes(&*why))?,
        }
        out.flush()?;
    }
}

/// Standard input, read by a thread of its own, as reading blocks. No further line is read before the
/// last one was taken.
fn lines() -> mpsc::Receiver<String> {
    let (give, take) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            // An unreadable standard input is an ended one.
            let Ok(line) = line else { return };
            if give.blocking_send(line).is_err() {
                return;
            }
        }
    });
    take
}

impl Node {
    /// The lines of an answer.
    async fn answer(&self, line: &str) -> Result<Vec<String>> {
        match line.parse()? {
            Command::Write(operation) => {
                let cursor = match self {
                    Self::Leader(database) => database.write(vec![operation]).await?,
                    Self::Follower(following) => following.write(vec![operation])?,
                };
                Ok(vec![format!("ok at {cursor}")])
            }
            Command::Bulk { collection, points } => {
                let cursor = match self {
                    Self::Leader(database) => {
                        let dimensions = database.now().0.find(&collection)?.dimensions;
                        let operations = made_up(&collection, dimensions, points);
                        database.write(operations).await?
                    }
                    Self::Follower(following) => following.write(Vec::new())?,
                };
                Ok(vec![format!("ok at {cursor}")])
            }
            Command::Search(query) => {
                let (found, standing) = match self {
                    Self::Leader(database) => (database.search(&query)?, owner()),
                    Self::Follower(following) => {
                        let (found, standing) = following.search(query).await?;
                        (found, said(standing))
                    }
                };
                let mut lines: Vec<String> = found.what.iter().map(hit).collect();
                let (hits, cursor) = (found.what.len(), found.cursor);
                lines.push(format!("ok {hits} hits at {cursor} {standing}"));
                Ok(lines)
            }
            Command::Count { collection } => {
                let Found { what, cursor } = match self {
                    Self::Leader(database) => database.count(&collection)?,
                    Self::Follower(following) => following.count(&collection).await?,
                };
                Ok(vec![format!("ok {what} points at {cursor}")])
            }
            Command::Age => {
                let standing = match self {
                    Self::Leader(_) => owner(),
                    Self::Follower(following) => said(following.standing()),
                };
                Ok(vec![format!("ok {standing}")])
            }
            Command::Reached(cursor) => match self {
                Self::Leader(_) => Err("this is the leader: what it acknowledged is here".into()),
                Self::Follower(following) => {
                    let cursor = following.reached(cursor).await?;
                    Ok(vec![format!("ok at {cursor}")])
                }
            },
        }
    }

    /// Ends orderly.
    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Self::Leader(database) => database.close().await?,
            Self::Follower(following) => following.close().await,
        }
        Ok(())
    }
}

/// How a follower stands, in words.
fn said(standing: Standing) -> String {
    let age = standing.age.map_or_else(
        || "unknown".to_owned(),
        |age| format!("{}ms", age.as_millis()),
    );
    format!("age={age} health={}", standing.health.name())
}

/// How the owner stands.
fn owner() -> String {
    "age=0ms health=owner".to_owned()
}

fn hit(hit: &Hit) -> String {
    format!("hit {} {}", hit.id, hit.distance)
}
