//! Lines for people: what was seen, in a few words.

use gleaner::{Cursor, Replica};

use super::seen::{Got, Seen};

fn stands(replica: Option<&Replica>) -> String {
    replica.map_or_else(
        || "nothing".to_owned(),
        |replica| {
            let dead = if replica.state().is_none() {
                " dead"
            } else {
                ""
            };
            format!("{} {}{dead}", replica.cursor(), replica.digest())
        },
    )
}

fn last(entries: &[(Cursor, gleaner::Digest)]) -> String {
    let first = entries.first().map(|(cursor, _)| *cursor);
    let last = entries.last().map(|(cursor, _)| *cursor);
    match (first, last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "nothing".to_owned(),
    }
}

/// One thing seen, as a line.
#[expect(clippy::too_many_lines, reason = "a line for each thing")]
pub(crate) fn line(seen: &Seen) -> String {
    match seen {
        Seen::Landed { entry } => format!(
            "log    {} += {:?} {} {} by {}",
            entry.grain().grain_key(),
            entry.kind(),
            entry.cursor(),
            entry.digest(),
            entry.writer()
        ),
        Seen::Accepted { grain, epoch, .. } => {
            format!("log    {} accepted of epoch {epoch}", grain.grain_key())
        }
        Seen::Claimed { grain, fence } => format!(
            "log    {} claimed: epoch {} by {}",
            grain.grain_key(),
            fence.epoch,
            fence.writer
        ),
        Seen::Cut { grain, floor } => format!("log    {} cut at {floor}", grain.grain_key()),
        Seen::Rewound { grain, holds, .. } => {
            format!("log    {} now holds {}", grain.grain_key(), last(holds))
        }
        Seen::Given {
            process,
            writer,
            grain,
            cursor,
        } => format!("{process} {} gave {cursor} of {writer}", grain.grain_key()),
        Seen::Sent {
            process,
            grain,
            unit,
        } => format!("{process} {} sends {}", grain.grain_key(), last(unit)),
        Seen::Told {
            process,
            grain,
            definite,
        } => format!(
            "{process} {} is told{}",
            grain.grain_key(),
            if *definite { "" } else { " nothing definite" }
        ),
        Seen::Anew => "log    begun anew".to_owned(),
        Seen::Acked { grain, cursor } => format!("caller {} acked {cursor}", grain.grain_key()),
        Seen::Stored {
            follower,
            grain,
            before,
            after,
            by,
            ..
        } => format!(
            "store{follower} {} {by:?}: {} -> {}",
            grain.grain_key(),
            stands(before.as_ref()),
            stands(after.as_ref())
        ),
        Seen::Read {
            follower,
            grain,
            at_least,
            max_age,
            got,
        } => {
            let asked = match (at_least, max_age) {
                (None, None) => "anything".to_owned(),
                (at_least, max_age) => format!("at least {at_least:?} max age {max_age:?}"),
            };
            let got = match got {
                Got::Answer {
                    cursor,
                    age,
                    health,
                    state,
                } => format!(
                    "{cursor} aged {age:?} {health:?}{}",
                    if state.is_none() { " dead" } else { "" }
                ),
                Got::Lost { wanted, cursor } => format!("{wanted} lost, at {cursor}"),
            };
            format!("reader{follower} {} {asked}: {got}", grain.grain_key())
        }
        Seen::Stands {
            follower,
            grain,
            stage,
            health,
            age,
            replica,
            held,
        } => format!(
            "rest{follower}  {} {stage:?} {health:?} aged {age:?} held {held} at {}",
            grain.grain_key(),
            stands(replica.as_ref())
        ),
        Seen::Holds { grain, entries } => {
            format!("end    {} holds {}", grain.grain_key(), last(entries))
        }
        Seen::Buffered {
            primary, entries, ..
        } => format!("primary{primary} has {entries} entries unsent"),
    }
}
