//! [`Redis`]: a server of Redis's that keeps what it acknowledges.

use std::fs;
use std::path::{Path, PathBuf};

use crate::find;
use crate::guardian::{Guardian, text};
use crate::missing::Missing;
use crate::secret;
use crate::server::{Program, Server};
use crate::wire::Wire;

/// A server of Redis's: process, folder, port.
///
/// # Examples
/// ```
/// use gleaner_servers::{Redis, or_skip};
///
/// if let Some(mut server) = or_skip(Redis::start()) {
///     server.kill();
///     server.restart();
/// }
/// ```
pub type Redis = Server<RedisProgram>;

/// How it is started and asked.
#[derive(Debug)]
pub struct RedisProgram {
    path: PathBuf,
    settings: PathBuf,
    data: PathBuf,
    password: String,
}

/// A server that is not there yet.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RedisBuilder {
    settings: Vec<String>,
}

impl Redis {
    /// A new server, with the settings that [`builder`](Self::builder) begins with.
    ///
    /// # Errors
    /// If Redis is not installed.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn start() -> Result<Self, Missing> {
        Self::builder().start()
    }

    /// A new server with settings of its own. It begins with an append-only file that is synced before
    /// each answer, and without snapshots.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// Its URL, password included.
    pub fn url(&self) -> String {
        format!(
            "redis://:{}@127.0.0.1:{}",
            self.program.password,
            self.port()
        )
    }
}

impl RedisBuilder {
    /// A line of `redis.conf`: the last of a name counts, except where Redis adds them up (`save`).
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("{name} {value}\n"));
        self
    }

    /// Starts it; returns when it answers.
    ///
    /// # Errors
    /// If Redis is not installed.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn start(self) -> Result<Redis, Missing> {
        let path = find::redis()?;
        let guardian = Guardian::new("redis");
        let data = guardian.folder().join("data");
        fs::create_dir(&data).unwrap_or_else(|error| panic!("{}: {error}", data.display()));
        let password = secret::draw();
        let ours = format!(
            "bind 127.0.0.1\ndir \"{}\"\nrequirepass {password}\ndaemonize no\n\
             save \"\"\nappendonly yes\nappendfsync always\n",
            text(&data)
        );
        let settings = guardian.folder().join("redis.conf");
        fs::write(&settings, ours + &self.settings.concat())
            .unwrap_or_else(|error| panic!("{}: {error}", settings.display()));
        let program = RedisProgram {
            path,
            settings,
            data,
            password,
        };
        Ok(Redis::on_a_free_port(program, guardian))
    }
}

impl Program for RedisProgram {
    fn words(&self, port: u16) -> Vec<String> {
        let port = port.to_string();
        [text(&self.path), text(&self.settings), "--port", &port]
            .map(str::to_owned)
            .to_vec()
    }

    fn ask(&self, port: u16) -> Result<(), String> {
        let mut wire = Wire::open(port)?;
        wire.say(&format!("AUTH {}", self.password))?;
        wire.hear("+OK")?;
        wire.say("PING")?;
        // While it loads its file it says so instead.
        wire.hear("+PONG").map(drop)
    }

    fn good_night(&self) -> &'static str {
        "TERM"
    }

    fn data(&self) -> &Path {
        &self.data
    }
}
