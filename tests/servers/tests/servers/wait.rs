//! Waiting for what must come.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use gleaner_servers::{Program, Server};

/// Waits for it, a minute at most.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Restarts a server that was killed while somebody has its port, who lets go only once it has said that it
/// could not have it.
pub(crate) fn restart_on_a_taken_port<P: Program + Send>(server: &mut Server<P>) {
    let somebody = TcpListener::bind((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    somebody.set_nonblocking(true).unwrap();
    let log = server.folder().parent().unwrap().join("log");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            until("it finds its port taken", || {
                // Whoever takes it for the server is turned away at once.
                drop(somebody.accept());
                let said = fs::read_to_string(&log).unwrap();
                said.to_lowercase().contains("address already in use")
            });
        });
        server.restart();
    });
}
