//! What is said at the end: one `name=value` a line, then the aircraft with most miles.

use std::io::{Write, stdout};

use crate::Result;
use crate::primary::Published;
use crate::secondary::Followed;

/// The names that the parent of two processes reads back from them.
pub(crate) const STATES_PUBLISHED: &str = "states_published=";
pub(crate) const ENTRIES_WRITTEN: &str = "entries_written=";
pub(crate) const STATES_APPLIED: &str = "states_applied=";

/// The primary's.
pub(crate) fn published(published: &Published) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "departures={}", published.departures)?;
    writeln!(out, "broken_rows={}", published.broken_rows)?;
    writeln!(out, "aircraft={}", published.aircraft)?;
    writeln!(out, "{STATES_PUBLISHED}{}", published.states)?;
    writeln!(out, "{ENTRIES_WRITTEN}{}", published.entries)?;
    Ok(out.flush()?)
}

/// The secondary's.
pub(crate) fn followed(followed: &Followed) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "replicas={}", followed.aircraft)?;
    writeln!(out, "in_step={}", followed.in_step)?;
    writeln!(out, "converged={}", followed.converged())?;
    writeln!(out, "{STATES_APPLIED}{}", followed.applied)?;
    // Nothing applied: no lag, and no line that claims one.
    if let (Some(p50), Some(p99)) = (followed.lag_p50, followed.lag_p99) {
        writeln!(out, "lag_p50_ms={p50}")?;
        writeln!(out, "lag_p99_ms={p99}")?;
    }
    if !followed.farthest.is_empty() {
        writeln!(out, "most miles:")?;
    }
    for (place, flown) in (1..).zip(&followed.farthest) {
        writeln!(
            out,
            "{place:>4}. {:<8} {:<4} {:>8} miles in {:>4} flights",
            flown.tail_number, flown.aircraft.carrier, flown.aircraft.miles, flown.aircraft.flights
        )?;
    }
    Ok(out.flush()?)
}

/// Both sides', side by side. States that are published while an older one of the same aircraft still
/// waits take its place; a secondary that is behind leaps to the newest.
pub(crate) fn compared(states: u64, entries: u64, applied: u64) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{states} states published, {entries} entries written, {applied} states applied"
    )?;
    Ok(out.flush()?)
}
