//! `gleaner truncate`: remove history.

use std::fmt;

use gleaner::{Cursor, Epoch, GrainId, Sequence};
use serde::Serialize;

use crate::cli::Truncate;
use crate::failure::Result;
use crate::open;
use crate::out::Out;
use crate::patience::Patience;
use crate::said::{Named, as_text};
use crate::show;

pub(crate) async fn run(options: Truncate, out: &mut Out) -> Result<()> {
    let grain = GrainId::new(options.grain.grain_type, options.grain.key)?;
    let log = open::existing_log(&options.log.url).await?;
    let patience = Patience::new(options.timeout.timeout);
    // A log answers for a grain that it does not have; a person has mistyped it.
    show::head(&*log, patience, &grain).await?;
    let before = options.before.unwrap_or(Cursor {
        epoch: Epoch::MAX,
        sequence: Sequence::MAX,
    });
    let done = patience.again(|| log.truncate(&grain, before)).await?;
    out.say(&Truncated {
        grain: (&grain).into(),
        removed: done.removed,
        floor: done.floor,
    })
}

#[derive(Debug, Serialize)]
struct Truncated {
    #[serde(flatten)]
    grain: Named,
    removed: u64,
    #[serde(serialize_with = "as_text")]
    floor: Cursor,
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            grain,
            removed,
            floor,
        } = self;
        let entries = if *removed == 1 { "entry" } else { "entries" };
        write!(f, "{grain}: {removed} {entries} removed, floor {floor}")
    }
}
