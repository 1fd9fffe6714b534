//! Resident memory, after the allocator has given back what it can.

use std::io;

/// Gives free pages of the system's allocator back, so that what is resident is what is in use. Both
/// sides run on the system's allocator; elsewhere than on glibc this does nothing.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "glibc's malloc_trim has no safe wrapper; it takes a number, may be called from any \
                  thread at any time, and frees nothing that is in use"
    )]
    // SAFETY: no pointer passes, and malloc_trim is MT-Safe.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Bytes of this process in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident(u64);

impl Resident {
    /// Now, as the allocator left it: for peaks.
    ///
    /// # Errors
    /// Without a `/proc` that says so.
    pub fn now() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|number| number.trim().parse::<u64>().ok())
            .ok_or_else(|| io::Error::other("/proc/self/status has no VmRSS"))?;
        Ok(Self(kibibytes * 1024))
    }

    /// Now, after [`trim`].
    ///
    /// # Errors
    /// As [`Self::now`].
    pub fn trimmed() -> io::Result<Self> {
        trim();
        Self::now()
    }

    /// The number.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// How much more than `before`, for each of `of`; below zero if it is less.
    pub fn growth_each(self, before: Self, of: u32) -> f64 {
        (self.0 as f64 - before.0 as f64) / f64::from(of.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_seen_and_what_is_freed_is_given_back() {
        let before = Resident::trimmed().unwrap();
        let held: Vec<Vec<u8>> = (0..40_000).map(|_| vec![1; 1024]).collect();
        let with = Resident::trimmed().unwrap();
        assert!(with.growth_each(before, 40_000) > 900.0);
        drop(held);
        let after = Resident::trimmed().unwrap();
        assert!(after.growth_each(before, 40_000) < 400.0);
    }
}
