//! A publisher holds no more than it has room for (design: memory bounded in bytes).

use std::time::Duration;

use super::Invariant;
use crate::sim::seen::Seen;
use crate::sim::truth::Truth;

/// Entries that are not durable, at 256 bytes each beside their payloads, are within the room that the
/// publisher was given; one entry is always admitted.
pub(super) struct Memory;

/// What an entry counts beside its payload.
const ENTRY: usize = 256;

impl Invariant for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn clauses(&self) -> &'static str {
        "publisher-memory"
    }

    fn on(&mut self, _: &Truth, _: Duration, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Buffered {
                primary,
                entries,
                room,
            } if *entries > 1 && entries * ENTRY > *room => Err(format!(
                "primary {primary} holds {entries} entries in a room of {room} bytes"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::Told;
    use super::*;

    #[test]
    fn objects_to_more_than_there_is_room_for() {
        let mut told = Told::of(Memory);
        let holds = |entries| Seen::Buffered {
            primary: 0,
            entries,
            room: 700,
        };
        told.ok(holds(2));
        told.objects(holds(3));
    }
}
