//! `gleaner heads`: where grains stand in the log.

use std::fmt;

use gleaner::{Cursor, Digest, Filter, GrainId, Head};
use serde::Serialize;

use crate::cli::Heads;
use crate::failure::Result;
use crate::open;
use crate::out::Out;
use crate::patience::Patience;
use crate::progress::Counter;
use crate::said::{Named, as_text, kind_name};

/// How many heads are asked for at a time.
const PAGE: usize = 1000;

pub(crate) async fn run(options: Heads, out: &mut Out) -> Result<()> {
    let log = open::existing_log(&options.log.url).await?;
    let patience = Patience::new(options.timeout.timeout);
    let filter = options
        .grain_type
        .map_or_else(Filter::all, Filter::grain_type);
    let filter = filter.key_prefix(options.key_prefix.unwrap_or_default());
    let counter = Counter::of("heads");
    let mut after = None;
    loop {
        let page = patience
            .again(|| log.list_heads(&filter, after.as_ref(), PAGE))
            .await?;
        for (grain, head) in &page.heads {
            out.say(&HeadLine::new(grain, head))?;
        }
        out.flush()?;
        counter.add(page.heads.len());
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// A grain and its head.
#[derive(Debug, Serialize)]
pub(crate) struct HeadLine {
    #[serde(flatten)]
    grain: Named,
    #[serde(serialize_with = "as_text")]
    cursor: Cursor,
    kind: &'static str,
    #[serde(serialize_with = "as_text")]
    base: Cursor,
    #[serde(serialize_with = "as_text")]
    digest: Digest,
}

impl HeadLine {
    pub(crate) fn new(grain: &GrainId, head: &Head) -> Self {
        Self {
            grain: grain.into(),
            cursor: head.cursor,
            kind: kind_name(head.kind),
            base: head.base,
            digest: head.digest,
        }
    }
}

impl fmt::Display for HeadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            grain,
            cursor,
            kind,
            base,
            digest,
        } = self;
        write!(
            f,
            "{grain} at {cursor}, {kind}, base {base}, digest {digest}"
        )
    }
}
