//! Private servers for tests: [`Postgres`], [`Redis`], [`Nats`].
//!
//! Each is started from the PATH or from Debian's folders, on a free port of 127.0.0.1, behind a
//! password of its own, with its data in a temporary folder. It can be killed, stopped, continued and
//! restarted. What is not installed is [`Missing`], which says what to install; [`or_skip`] turns that
//! into a loud skip, or into a failure where servers are required.
//!
//! Nothing of a server outlives the process that started it, not after a panic, `kill -9` or a `static`
//! that is never dropped: see the guardian in `guardian.rs`.
//!
//! This crate owns processes, ports and folders. It refuses to know the clients that tests use, and
//! never touches a server that it did not start. Linux alone: it reads `/proc`. Whatever fails beyond a
//! missing program panics, with the end of the server's log: this is for tests.

mod find;
mod guardian;
mod missing;
mod nats;
mod port;
mod postgres;
mod redis;
mod secret;
mod server;
mod user;
mod wire;

pub use find::missing;
pub use missing::{Missing, or_skip, required};
pub use nats::{Nats, NatsProgram};
pub use postgres::{Cluster, Postgres, PostgresBuilder};
pub use redis::{Redis, RedisBuilder, RedisProgram};
pub use server::{Program, Server};
