//! Clocks: one that all processes share, and the processor time of this one.

use rustix::time::{ClockId, clock_getres, clock_gettime};

/// Nanoseconds on the monotonic clock, which is one for all processes of the machine.
pub fn nanos() -> u64 {
    of(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds that processors have spent in this process, all threads, ended ones included.
pub fn cpu_nanos() -> u64 {
    of(clock_gettime(ClockId::ProcessCPUTime))
}

/// The smallest difference that the two clocks can show; at least one nanosecond.
pub fn resolution_nanos() -> u64 {
    of(clock_getres(ClockId::Monotonic))
        .max(of(clock_getres(ClockId::ProcessCPUTime)))
        .max(1)
}

fn of(time: rustix::time::Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_move() {
        let (wall, cpu) = (nanos(), cpu_nanos());
        let mut draws = crate::Draw::new(1);
        while cpu_nanos() == cpu {
            std::hint::black_box(draws.draw());
        }
        assert!(nanos() > wall);
    }
}
