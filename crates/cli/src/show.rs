//! `gleaner show`: one grain as the log holds it.

use std::fmt;

use gleaner::{Budget, Cursor, Entry, GrainId, Head, Kind, ReplicationLog, Writer};
use serde::Serialize;

use crate::cli::Show;
use crate::failure::{Failure, Kind as FailureKind, Result};
use crate::heads::HeadLine;
use crate::open;
use crate::out::Out;
use crate::patience::Patience;
use crate::said::{Payload, as_text, as_text_or_null, date, kind_name};

/// How much history is read at a time.
const PAGE: Budget = Budget::new(1000, 16 << 20);

pub(crate) async fn run(options: Show, out: &mut Out) -> Result<()> {
    let grain = GrainId::new(options.grain.grain_type, options.grain.key)?;
    let log = open::existing_log(&options.log.url).await?;
    let patience = Patience::new(options.timeout.timeout);
    let head = head(&*log, patience, &grain).await?;
    out.say(&read(&*log, patience, &grain, head).await?)
}

/// A grain's head.
///
/// # Errors
/// `Absent` if the log does not have it.
pub(crate) async fn head(
    log: &dyn ReplicationLog,
    patience: Patience,
    grain: &GrainId,
) -> Result<Head> {
    let heads = patience
        .again(|| log.heads(std::slice::from_ref(grain)))
        .await?;
    let absent = || Failure::new(FailureKind::Absent, format!("the log has no grain {grain}"));
    heads.into_iter().next().flatten().ok_or_else(absent)
}

/// Reads what is left of a grain, up to the head; what is appended meanwhile is left out.
async fn read(
    log: &dyn ReplicationLog,
    patience: Patience,
    grain: &GrainId,
    head: Head,
) -> Result<Shown> {
    let mut shown = Shown {
        head: HeadLine::new(grain, &head),
        state_at: None,
        state: None,
        entries: Vec::new(),
    };
    let mut after = Cursor::ZERO;
    loop {
        let page = patience.again(|| log.read_from(grain, after, PAGE)).await?;
        for entry in &page.entries {
            if entry.cursor() > head.cursor {
                return Ok(shown);
            }
            if entry.kind() == Kind::FullState {
                shown.state = Some(entry.payload().as_ref().into());
                shown.state_at = Some(entry.cursor());
            } else if entry.kind() == Kind::Tombstone {
                shown.state = None;
                shown.state_at = None;
            }
            shown.entries.push(EntryLine::from(entry));
            after = entry.cursor();
        }
        if !page.more {
            return Ok(shown);
        }
    }
}

/// A grain. The state is that of the base: what the Deltas behind it make of it, only the application
/// knows.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    head: HeadLine,
    #[serde(serialize_with = "as_text_or_null")]
    state_at: Option<Cursor>,
    #[serde(flatten)]
    state: Option<Payload>,
    entries: Vec<EntryLine>,
}

#[derive(Debug, Serialize)]
struct EntryLine {
    #[serde(serialize_with = "as_text")]
    cursor: Cursor,
    kind: &'static str,
    bytes: usize,
    written_at: String,
    source: String,
    #[serde(serialize_with = "as_text")]
    writer: Writer,
    schema: u32,
}

impl From<&Entry> for EntryLine {
    fn from(entry: &Entry) -> Self {
        Self {
            cursor: entry.cursor(),
            kind: kind_name(entry.kind()),
            bytes: entry.payload().len(),
            written_at: date(entry.written_at()),
            source: entry.source().as_str().to_owned(),
            writer: entry.writer(),
            schema: entry.schema().get(),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.head)?;
        let left = match self.entries.len() {
            1 => "1 entry left:".to_owned(),
            entries => format!("{entries} entries left:"),
        };
        write!(f, "{left}")?;
        for entry in &self.entries {
            write!(f, "\n  {entry}")?;
        }
        match (&self.state, &self.state_at) {
            (Some(state), Some(at)) => write!(f, "\nstate at {at}:\n{}", state.plain()),
            _ => write!(f, "\nno state"),
        }
    }
}

impl fmt::Display for EntryLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cursor,
            kind,
            bytes,
            written_at,
            source,
            writer,
            schema,
        } = self;
        let source = source.escape_debug();
        write!(
            f,
            "{cursor} {kind}, {bytes} bytes, schema {schema}, written {written_at} by {source} ({writer})"
        )
    }
}
