//! [`Health`]: how a replica stands, as readers are told.

/// How a replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Health {
    /// Not yet compared with the log since the start.
    Bootstrapping = 0,
    /// Follows the log.
    Live = 1,
    /// An entry of the log cannot be applied; the last good state is served.
    Quarantined = 2,
    /// Above the log's head: the log has lost its tail, or this is the wrong log. Kept and served.
    Ahead = 3,
    /// At the log's head, with another history. Kept and served.
    Diverged = 4,
    /// The log has no such grain any more. Kept and served.
    Missing = 5,
    /// Read from another log than the one followed. Kept and served until told to rebase.
    Foreign = 6,
    /// Told to pause.
    Paused = 7,
}

impl Health {
    /// All of them, by their code.
    pub const ALL: [Self; 8] = [
        Self::Bootstrapping,
        Self::Live,
        Self::Quarantined,
        Self::Ahead,
        Self::Diverged,
        Self::Missing,
        Self::Foreign,
        Self::Paused,
    ];

    /// A word for logs, metrics and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bootstrapping => "bootstrapping",
            Self::Live => "live",
            Self::Quarantined => "quarantined",
            Self::Ahead => "ahead",
            Self::Diverged => "diverged",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Paused => "paused",
        }
    }

    /// The byte that stands for it in a packed field.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The health a byte stands for; `Bootstrapping`, which promises nothing, for an unknown one.
    pub fn from_code(code: u8) -> Self {
        Self::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or(Self::Bootstrapping)
    }

    /// Whether it heals by time alone: nothing waits for the others.
    pub const fn is_moving(self) -> bool {
        matches!(self, Self::Bootstrapping | Self::Live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back() {
        for health in Health::ALL {
            assert_eq!(Health::from_code(health.code()), health);
        }
        assert_eq!(Health::from_code(200), Health::Bootstrapping);
    }
}
