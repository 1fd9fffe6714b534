//! [`Line`]: a connection to a server whose protocol is lines, as a test speaks it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    /// To the server of a URL, and its password.
    pub(crate) fn open(url: &str) -> (Self, String) {
        let (_, rest) = url.split_once("://").unwrap();
        let (user, address) = rest.split_once('@').unwrap();
        let (_, password) = user.split_once(':').unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        (Self(BufReader::new(stream)), password.to_owned())
    }

    pub(crate) fn say(&mut self, line: &str) {
        write!(self.0.get_mut(), "{line}\r\n").unwrap();
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Whether the server says nothing for so long.
    pub(crate) fn is_silent(&mut self, how_long: Duration) -> bool {
        self.0.get_mut().set_read_timeout(Some(how_long)).unwrap();
        let silent = self.0.fill_buf().is_err();
        self.0
            .get_mut()
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        silent
    }
}
