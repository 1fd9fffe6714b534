//! [`Nats`]: a server of NATS with `JetStream`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::find;
use crate::guardian::{Guardian, text};
use crate::missing::Missing;
use crate::secret;
use crate::server::{Program, Server};
use crate::wire::Wire;

/// A server of NATS with `JetStream`: process, folder, port.
///
/// # Examples
/// ```
/// use gleaner_servers::{Nats, or_skip};
///
/// if let Some(mut server) = or_skip(Nats::start()) {
///     server.kill();
///     server.restart();
/// }
/// ```
pub type Nats = Server<NatsProgram>;

/// How it is started and asked.
#[derive(Debug)]
pub struct NatsProgram {
    path: PathBuf,
    settings: PathBuf,
    data: PathBuf,
    password: String,
}

const USER: &str = "gleaner";

impl Nats {
    /// A new server; returns when it answers, with `JetStream` on.
    ///
    /// # Errors
    /// If NATS is not installed.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn start() -> Result<Self, Missing> {
        let path = find::nats()?;
        let guardian = Guardian::new("nats");
        let data = guardian.folder().join("data");
        let password = secret::draw();
        let settings = guardian.folder().join("nats.conf");
        let lines = format!(
            "host: \"127.0.0.1\"\njetstream {{ store_dir: \"{}\" }}\n\
             authorization {{ user: {USER}, password: \"{password}\" }}\n",
            text(&data)
        );
        fs::write(&settings, lines)
            .unwrap_or_else(|error| panic!("{}: {error}", settings.display()));
        let program = NatsProgram {
            path,
            settings,
            data,
            password,
        };
        Ok(Self::on_a_free_port(program, guardian))
    }

    /// Its URL, user and password included.
    pub fn url(&self) -> String {
        let password = &self.program.password;
        format!("nats://{USER}:{password}@127.0.0.1:{}", self.port())
    }
}

impl Program for NatsProgram {
    fn words(&self, port: u16) -> Vec<String> {
        let port = port.to_string();
        [text(&self.path), "-c", text(&self.settings), "-p", &port]
            .map(str::to_owned)
            .to_vec()
    }

    fn ask(&self, port: u16) -> Result<(), String> {
        let mut wire = Wire::open(port)?;
        let info = wire.hear("INFO ")?;
        if !info.contains("\"jetstream\":true") {
            return Err("JetStream is off".to_owned());
        }
        let password = &self.password;
        wire.say(&format!(
            r#"CONNECT {{"verbose":false,"user":"{USER}","pass":"{password}"}}"#
        ))?;
        wire.say("PING")?;
        wire.hear("PONG").map(drop)
    }

    fn good_night(&self) -> &'static str {
        "TERM"
    }

    fn data(&self) -> &Path {
        &self.data
    }
}
