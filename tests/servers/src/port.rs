//! Free ports.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

/// Below it other software may be at home.
const LOWEST: u16 = 10_240;

/// A port of 127.0.0.1 that is free now.
///
/// It is taken from below the range that the kernel gives to outgoing connections. A server that is
/// killed comes back on its port; meanwhile its clients knock at it from ports of that range, and from
/// within it one of them could be given that very port, connect to itself and keep the server out.
pub(crate) fn free() -> u16 {
    let below = first_outgoing().filter(|first| *first > LOWEST + 1000);
    let Some(below) = below else { return any() };
    let room = u64::from(below - LOWEST);
    let drawn = RandomState::new();
    (0..1000_u64)
        .filter_map(|draw| u16::try_from(drawn.hash_one(draw) % room).ok())
        .map(|offset| LOWEST + offset)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap_or_else(any)
}

fn first_outgoing() -> Option<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}

fn any() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no port is free: {error}"))
        .port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_can_be_bound_and_is_nobody_elses() {
        let taken: Vec<TcpListener> = (0..50)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, free())).unwrap())
            .collect();
        assert_eq!(taken.len(), 50);
    }

    #[test]
    fn clients_are_not_given_it() {
        match first_outgoing() {
            Some(first) if first > LOWEST + 1000 => assert!((LOWEST..first).contains(&free())),
            _ => assert_ne!(free(), 0),
        }
    }
}
