//! [`Wire`]: a line out, a line in, to servers whose protocol is lines.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A server on this machine that takes longer counts as one that does not answer yet.
const GUARD: Duration = Duration::from_secs(5);

/// A connection to a server on this machine.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(crate) fn open(port: u16) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, GUARD).map_err(|e| e.to_string())?;
        stream
            .set_read_timeout(Some(GUARD))
            .map_err(|e| e.to_string())?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn say(&mut self, line: &str) -> Result<(), String> {
        let stream = self.0.get_mut();
        write!(stream, "{line}\r\n").map_err(|e| e.to_string())
    }

    /// A line that begins so; another one is an error.
    pub(crate) fn hear(&mut self, begins: &str) -> Result<String, String> {
        let mut line = String::new();
        self.0.read_line(&mut line).map_err(|e| e.to_string())?;
        if line.starts_with(begins) {
            Ok(line)
        } else {
            Err(format!("{begins} expected, not {line:?}"))
        }
    }
}
