//! [`LeaderSettings`]: what a leader takes on, with defaults that say why.

use std::time::Duration;

use gleaner_core::Limits;

/// What stands beside the payloads in the largest message: columns and keys of some ten thousand
/// entries.
const MARGIN: usize = 1 << 20;

/// How much a leader takes on at once. Each bound is a bound of its memory.
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | connections | 1,024 | a connection costs some 100 KiB; clusters have few followers |
/// | streams a connection | 128 | a follower has some ten calls under way, and a watch a filter; half of them may be watches |
/// | calls at once | 64 | each holds a request and an answer; others wait their turn, 1 s at most |
/// | message | 32 MiB | the default payload limit of 16 MiB twice |
/// | answer | 8 MiB | how much one catch-up or page of history brings, if no single entry is larger |
/// | pushed payload | 16 KiB | a larger one is fetched by who needs it, and does not hold up the small ones |
/// | page | 256 KiB | what one reader of the feed holds of the leader's memory, however slow it is |
/// | call timeout | 30 s | a call that the log does not answer, or whose request never comes |
/// | keepalive | 20 s, 20 s | a peer that is gone without a word is let go of; one that is stopped for 20 s is not |
/// | handshake | 10 s | a peer that connects and says nothing |
#[derive(Debug, Clone)]
pub(crate) struct LeaderSettings {
    pub(crate) max_connections: usize,
    pub(crate) max_streams: u32,
    pub(crate) max_calls: usize,
    pub(crate) max_message: usize,
    pub(crate) max_answer: usize,
    pub(crate) max_pushed: usize,
    pub(crate) max_page: usize,
    pub(crate) call_timeout: Duration,
    pub(crate) keepalive: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) handshake: Duration,
}

impl Default for LeaderSettings {
    fn default() -> Self {
        Self {
            max_connections: 1_024,
            max_streams: 128,
            max_calls: 64,
            max_message: 32 << 20,
            max_answer: 8 << 20,
            max_pushed: 16 << 10,
            max_page: 256 << 10,
            call_timeout: Duration::from_secs(30),
            keepalive: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(20),
            handshake: Duration::from_secs(10),
        }
    }
}

impl LeaderSettings {
    /// How much one answer brings, if no single entry is larger: half of a message, so that columns and
    /// keys find room beside it.
    pub(crate) fn answer(&self) -> usize {
        self.max_answer.min(self.max_message / 2)
    }

    /// The largest payload that fits a message.
    pub(crate) fn largest_payload(&self) -> usize {
        self.max_message.saturating_sub(MARGIN).max(1)
    }

    /// What followers are told of the log's limits.
    pub(crate) fn limits(&self, limits: &Limits) -> Limits {
        limits.with_max_payload(limits.max_payload().min(self.largest_payload()))
    }
}
