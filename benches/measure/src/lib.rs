//! What both sides of the comparison are measured with.
//!
//! Gleaner's side and Orlando's are processes of two workspaces that share no code but this: the
//! description of the work, the clocks, the memory, the draws, the pace and the observer of lags. It
//! knows neither of them.

mod disk;
mod draw;
mod lags;
mod lines;
mod memory;
mod pace;
mod race;
mod time;
mod told;
mod work;

pub use disk::fsync_p50_ms;
pub use draw::Draw;
pub use lags::{Expected, Observer};
pub use lines::{BEGIN, begin, decimal, line, quantile};
pub use memory::{Resident, trim};
pub use pace::{Pace, Reached};
pub use race::{Race, read_race};
pub use time::{cpu_nanos, nanos, resolution_nanos};
pub use told::{Heard, Told};
pub use work::{LogKind, Work, key, payload};
