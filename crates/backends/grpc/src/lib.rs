//! Gleaner over the network: a [`Leader`] serves any replication log on one port, authenticated and
//! encrypted; a [`GrpcLog`] is that log at the other end.
//!
//! Owns the protocol (`proto/gleaner/v1`), both its ends, and who may do what at a leader. It stores
//! nothing: every promise about what is kept is that of the log that the leader serves. What the way
//! through a network means for each clause stands in this crate's README. It knows no other backend.
//!
//! ```
//! use std::sync::Arc;
//! use gleaner_core::{Cursor, Draft, GrainId, ReplicationLog, Writer};
//! use gleaner_grpc::{GrpcLog, Leader};
//! use gleaner_memory::MemoryLog;
//!
//! # tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
//! // Insecure: for a test on one machine. Else give `access` and `tls`.
//! let leader = Leader::builder(Arc::new(MemoryLog::new()))
//!     .insecure(true)
//!     .bind("127.0.0.1:0".parse()?)
//!     .await?;
//!
//! let url = format!("grpc://{}", leader.local_addr());
//! let log = GrpcLog::builder(url).insecure(true).open()?;
//! let plane = GrainId::new("aircraft", "N14228")?;
//! let entry = Draft::full(plane.clone(), Cursor::new(1, 1), Writer::new(7), "at the gate").seal();
//! let head = log.append(entry).await?;
//! assert_eq!(log.heads(&[plane]).await?, [Some(head)]);
//! leader.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod access;
mod append;
mod config;
mod error;
mod feed;
mod leader;
mod link;
mod log;
mod proto;
mod read;
mod send;
mod small_file;
mod subscription;
pub mod tls;
mod watched;
mod wire;

pub use config::{ConfigError, GrpcLogConfig};
pub use leader::{Leader, LeaderBuilder, LeaderCounts, LeaderError};
pub use log::GrpcLog;
pub use wire::Denied;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The name that errors carry.
const BACKEND: &str = "grpc";
