//! `gleaner append`: one entry from standard input, or one a line.

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use gleaner::{Cursor, GrainId, Limits, Schema, Source};
use serde::Serialize;

use crate::cli::{Append, Kind};
use crate::failure::{Failure, Kind as FailureKind, Result};
use crate::lines;
use crate::open;
use crate::out::Out;
use crate::patience::Patience;
use crate::pen::{Pen, Wish, Written};
use crate::progress::Counter;
use crate::said::{Named, as_text, kind_name};

pub(crate) async fn run(options: Append, out: &mut Out) -> Result<()> {
    let schema = Schema::new(options.schema);
    let one = match (&options.grain_type, &options.key) {
        (Some(name), Some(key)) => Some(GrainId::new(name, key)?),
        _ => None,
    };
    let log = open::log(&options.log.url).await?;
    let patience = Patience::new(options.timeout.timeout);
    // A leader's limits are known once it was asked anything.
    patience.again(|| log.identity()).await?;
    let limits = log.limits();
    let source = Source::new(options.source);
    let mut pen = Pen::new(log, patience, source, options.writer);
    let Some(grain) = one else {
        return all(limits, schema, &mut pen, out).await;
    };
    let payload = match options.kind {
        Kind::Tombstone => Bytes::new(),
        Kind::Full | Kind::Delta => state(limits)?,
    };
    let wish = Wish {
        line: None,
        grain,
        kind: options.kind.into(),
        schema,
        payload,
    };
    write(&mut pen, &[wish], out).await
}

/// Everything that comes, until the end of the input or the first failure.
async fn all(limits: Limits, schema: Schema, pen: &mut Pen, out: &mut Out) -> Result<()> {
    let counter = Counter::of("entries appended");
    let mut batches = lines::read(limits, schema);
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        write(pen, &batch, out).await?;
        counter.add(batch.len());
    }
    Ok(())
}

/// What is in the log is told, whatever became of the rest; and it is appended, whether or not anybody
/// is told.
async fn write(pen: &mut Pen, wishes: &[Wish], out: &mut Out) -> Result<()> {
    let (written, done) = pen.write(wishes).await;
    let lines: Vec<Appended> = written.iter().map(Appended::from).collect();
    let told = out.tell(&lines);
    done.and(told)
}

/// One state, which is all of standard input, every byte of it.
fn state(limits: Limits) -> Result<Bytes> {
    let most = limits.max_payload() as u64;
    let mut state = Vec::new();
    std::io::stdin()
        .lock()
        .take(most.saturating_add(1))
        .read_to_end(&mut state)
        .map_err(|error| Failure::io("standard input", &error))?;
    if state.len() as u64 > most {
        let why = format!("the state is over the log's limit of {most} bytes");
        return Err(Failure::new(FailureKind::Invalid, why));
    }
    Ok(state.into())
}

#[derive(Debug, Serialize)]
struct Appended {
    #[serde(flatten)]
    grain: Named,
    #[serde(serialize_with = "as_text")]
    cursor: Cursor,
    kind: &'static str,
    /// What `--writer` takes.
    writer: String,
}

impl From<&Written> for Appended {
    fn from(written: &Written) -> Self {
        Self {
            grain: (&written.grain).into(),
            cursor: written.cursor,
            kind: kind_name(written.kind),
            writer: format!("{}:{}", written.cursor.epoch, written.writer),
        }
    }
}

impl fmt::Display for Appended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            grain,
            cursor,
            kind,
            writer,
        } = self;
        write!(f, "{grain} at {cursor}, {kind}, writer {writer}")
    }
}
