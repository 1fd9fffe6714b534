//! [`Kind`]: a kind of server that can hold a log.

use std::path::Path;

use gleaner_servers::{Missing, Program, Server};

/// What the faults ask of a server beyond being killed, stopped and begun again, which all can.
pub(crate) trait Kind: Program + Sized {
    /// How small a disk holds a log of the tests', in MiB, with some room.
    const SMALL_DISK: u32;

    /// One with its data in a temporary folder.
    fn start() -> Result<Server<Self>, Missing>;

    /// One with its data on a disk of its own, and made to need little of it.
    fn start_on(disk: &Path) -> Result<Server<Self>, Missing>;

    /// Has it need room that is not there, beyond what appends need: it may end itself over it.
    fn press(server: &Server<Self>);

    /// Where its log is, for those who use it.
    fn url(server: &Server<Self>) -> String;
}

/// The same URL by way of another port of this machine.
pub(crate) fn by_way_of(url: &str, port: u16, other: u16) -> String {
    let from = format!("@127.0.0.1:{port}");
    assert!(url.contains(&from), "not a URL of this server");
    url.replace(&from, &format!("@127.0.0.1:{other}"))
}
