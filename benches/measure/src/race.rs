//! Threads that read as fast as they can, beside a paced writer or alone.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::draw::Draw;
use crate::pace::{Pace, Reached};
use crate::time::nanos;

/// Who reads what.
#[derive(Debug, Clone, Copy)]
pub struct Race {
    /// Threads that read.
    pub threads: u32,
    /// Grains that are drawn from.
    pub grains: u32,
    /// For how long.
    pub seconds: f64,
    /// How often a second the writer writes; none without one.
    pub updates_per_second: Option<u32>,
}

/// Reads between two looks at the clock.
const BATCH: u32 = 256;

/// Runs a race: `read` takes a drawn grain and gives a byte of its state, none if it cannot be read;
/// `write` makes so many updates. Gives the reads a second of all threads together, and what the
/// writer reached.
///
/// # Errors
/// If a grain could not be read.
pub fn read_race(
    race: Race,
    read: impl Fn(u32) -> Option<u8> + Sync,
    mut write: impl FnMut(u64) + Send,
) -> Result<(f64, Option<Reached>), String> {
    let stop = AtomicBool::new(false);
    let start =
        Barrier::new(race.threads as usize + 1 + usize::from(race.updates_per_second.is_some()));
    let (stop, start, read) = (&stop, &start, &read);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..race.threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut draw = Draw::new(u64::from(thread) + 1);
                    start.wait();
                    let began = nanos();
                    let mut reads = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        for _ in 0..BATCH {
                            let grain = draw.below(race.grains);
                            let Some(byte) = read(grain) else {
                                return Err(format!("grain {grain} could not be read"));
                            };
                            black_box(byte);
                        }
                        reads += u64::from(BATCH);
                    }
                    Ok(reads as f64 * 1e9 / (nanos() - began).max(1) as f64)
                })
            })
            .collect();
        let writer = race.updates_per_second.map(|rate| {
            scope.spawn(move || {
                start.wait();
                let mut pace = Pace::start(rate, race.seconds);
                while let Some(due) = pace.due() {
                    // In parts of at most a thousand, so that the end is not missed by much.
                    let due = due.min(1000);
                    write(due);
                    pace.did(due);
                    if due < 1000 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                pace.reached()
            })
        });
        start.wait();
        std::thread::sleep(Duration::from_secs_f64(race.seconds));
        stop.store(true, Ordering::Relaxed);
        let mut reads_per_second = 0.0;
        for reader in readers {
            reads_per_second += reader.join().map_err(|_| "a reader panicked")??;
        }
        let reached = writer
            .map(|writer| writer.join().map_err(|_| "the writer panicked"))
            .transpose()?;
        Ok((reads_per_second, reached))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_read_and_write_and_a_missing_grain_is_an_error() {
        let race = Race {
            threads: 2,
            grains: 10,
            seconds: 0.05,
            updates_per_second: Some(1000),
        };
        let mut written = 0;
        let (reads_per_second, reached) =
            read_race(race, |_| Some(1), |some| written += some).unwrap();
        assert!(reads_per_second > 0.0);
        assert_eq!(reached.unwrap().done, written);
        assert!(read_race(race, |grain| (grain != 3).then_some(1), |_| ()).is_err());
    }
}
