//! [`Child`]: the follower or the writers, as the leader has them; and what a child does about its parent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::case::Case;
use super::said::Said;
use crate::Outcome;

/// A process that this one has started. Dropped, it is ended.
///
/// Its standard input is the thread that it hangs on: when that is closed, by this process or by its
/// death, the child ends too ([`end_with_the_parent`]).
pub(crate) struct Child {
    name: &'static str,
    process: std::process::Child,
    input: Option<ChildStdin>,
    said: Receiver<Result<Said, String>>,
}

impl Child {
    /// A follower of the leader at an address.
    pub(crate) fn follower(case: Case, leader: SocketAddr) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["follower", case.name(), &leader.to_string()]);
        Self::start("follower", &mut command)
    }

    /// The writers that append over the network to the leader at an address.
    pub(crate) fn writers(leader: SocketAddr) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["writers", &leader.to_string()]);
        Self::start("writers", &mut command)
    }

    /// Whatever this command starts, called `name` in errors.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Outcome<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("a child has no output")?;
        let input = process.stdin.take();
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(line.parse()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            name,
            process,
            input,
            said,
        })
    }

    /// The number that the system knows it by.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells it to begin.
    pub(crate) fn go(&mut self) -> Outcome<()> {
        let input = self.input.as_mut().ok_or("a child has no input")?;
        input.write_all(b"go\n")?;
        Ok(input.flush()?)
    }

    /// The next that it says. Waits for it: the driver's patience is the guard.
    pub(crate) fn hear(&self) -> Outcome<Said> {
        let said = self.said.recv();
        let said = said.map_err(|_| format!("the {} ended early", self.name))?;
        Ok(said.map_err(|error| format!("the {}: {error}", self.name))?)
    }

    /// What is said next, and within this time, must be this.
    pub(crate) fn expect_within(&self, patience: Duration, wanted: Said) -> Outcome<()> {
        let said = self.said.recv_timeout(patience);
        let said =
            said.map_err(|error| format!("the {} did not say {wanted}: {error}", self.name))?;
        match said.map_err(|error| format!("the {}: {error}", self.name))? {
            said if said == wanted => Ok(()),
            said => Err(self.unexpected(said)),
        }
    }

    /// What is said next must be this.
    pub(crate) fn expect(&self, wanted: Said) -> Outcome<()> {
        let said = self.hear()?;
        if said == wanted {
            return Ok(());
        }
        Err(self.unexpected(said))
    }

    /// The newest place that it has said to be at, after at least one that it had not said before.
    pub(crate) fn newest_place(&self) -> Outcome<u64> {
        let mut said = self.hear()?;
        while let Ok(newer) = self.said.try_recv() {
            said = newer?;
        }
        match said {
            Said::At(place) => Ok(place),
            other => Err(self.unexpected(other)),
        }
    }

    pub(crate) fn unexpected(&self, said: Said) -> Box<dyn std::error::Error + Send + Sync> {
        format!("the {} said: {said}", self.name).into()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself when its input does; if that fails, nobody is to be left behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ends this process when its parent closes the pipe or is gone, so that none is left behind whatever
/// becomes of the parent.
pub(crate) fn end_with_the_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

/// Waits to be ended by [`end_with_the_parent`].
pub(crate) fn wait_for_the_parent() -> ! {
    loop {
        std::thread::park();
    }
}

/// Waits to be told to begin.
pub(crate) fn wait_for_go() -> Outcome<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim_end() == "go" {
        return Ok(());
    }
    Err("the leader is gone".into())
}
