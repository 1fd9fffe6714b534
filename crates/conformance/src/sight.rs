//! What a log shows of a grain, read in the plainest way.

use gleaner_core::{
    Appended, Budget, CatchUp, Caught, Cursor, Entry, ErrorKind, Filter, GrainId, Head,
    ReplicationLog, Run,
};

use crate::Broken;
use crate::pen::cursors;
use crate::verdict::{Seen, ensure, ensure_eq};

/// A grain's head.
pub(crate) async fn head<L: ReplicationLog>(log: &L, grain: &GrainId) -> Seen<Option<Head>> {
    let heads = log.heads(std::slice::from_ref(grain)).await?;
    ensure_eq!(heads.len(), 1, "heads of one grain");
    Ok(heads.into_iter().next().flatten())
}

/// All entries that are left of a grain.
pub(crate) async fn history<L: ReplicationLog>(log: &L, grain: &GrainId) -> Seen<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut after = Cursor::ZERO;
    loop {
        let page = log.read_from(grain, after, Budget::UNBOUNDED).await?;
        let Some(last) = page.entries.last() else {
            ensure!(!page.more, "read_from says more but gives nothing");
            return Ok(entries);
        };
        ensure!(
            last.cursor() > after,
            "read_from after {after} came back to {}",
            last.cursor()
        );
        after = last.cursor();
        entries.extend(page.entries);
        if !page.more {
            return Ok(entries);
        }
    }
}

/// All heads in a filter, read in pages of `limit`.
pub(crate) async fn listed<L: ReplicationLog>(
    log: &L,
    filter: &Filter,
    limit: usize,
) -> Seen<Vec<(GrainId, Head)>> {
    listed_after(log, filter, None, limit).await
}

/// The same from a place on.
pub(crate) async fn listed_after<L: ReplicationLog>(
    log: &L,
    filter: &Filter,
    after: Option<&GrainId>,
    limit: usize,
) -> Seen<Vec<(GrainId, Head)>> {
    let mut all: Vec<(GrainId, Head)> = Vec::new();
    let mut after = after.cloned();
    loop {
        let page = log.list_heads(filter, after.as_ref(), limit).await?;
        ensure!(
            page.heads.len() <= limit.max(1),
            "list_heads gave {} heads for a limit of {limit}",
            page.heads.len()
        );
        all.extend(page.heads);
        match page.next {
            None => return Ok(all),
            Some(next) => {
                ensure!(
                    after.as_ref().is_none_or(|before| *before < next),
                    "list_heads does not get on: next is {next} after {after:?}"
                );
                after = Some(next);
            }
        }
    }
}

/// Appends entries, each of which must be accepted; the grain's head after each must be that entry.
pub(crate) async fn append_all<L: ReplicationLog>(log: &L, entries: &[Entry]) -> Seen<()> {
    for entry in entries {
        let head = log.append(entry.clone()).await.map_err(|error| {
            Broken::new(format!(
                "{:?} {} of {} must be accepted, was refused: {error:?}",
                entry.kind(),
                entry.cursor(),
                entry.grain()
            ))
        })?;
        ensure_eq!(
            (head.cursor, head.digest, head.kind),
            (entry.cursor(), entry.digest(), entry.kind()),
            "the head after an append"
        );
    }
    Ok(())
}

/// Appends entries in batches as large as the log takes.
pub(crate) async fn append_many<L: ReplicationLog>(log: &L, entries: &[Entry]) -> Seen<()> {
    for batch in entries.chunks(log.limits().max_batch_entries().clamp(1, 200)) {
        for answer in log.append_batch(batch).await? {
            answer.result?;
        }
    }
    Ok(())
}

/// Everything that a refused append must leave as it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    head: Option<Head>,
    entries: Vec<Cursor>,
    listed: Option<Head>,
}

pub(crate) async fn shown<L: ReplicationLog>(log: &L, grain: &GrainId) -> Seen<Shown> {
    let filter = Filter::grain_type(grain.grain_type());
    Ok(Shown {
        head: head(log, grain).await?,
        entries: cursors(&history(log, grain).await?),
        listed: listed(log, &filter, 100)
            .await?
            .into_iter()
            .find(|(id, _)| id == grain)
            .map(|(_, head)| head),
    })
}

/// Appends an entry that must be refused and write nothing; how it was refused.
pub(crate) async fn refused<L: ReplicationLog>(log: &L, entry: &Entry) -> Seen<ErrorKind> {
    let before = shown(log, entry.grain()).await?;
    let kind = match log.append(entry.clone()).await {
        Ok(head) => {
            return Err(Broken::new(format!(
                "{:?} {} by {} with prev {:?} must be refused, was answered Ok({head:?}); before: {before:?}",
                entry.kind(),
                entry.cursor(),
                entry.writer(),
                entry.prev()
            )));
        }
        Err(error) => error.kind(),
    };
    let after = shown(log, entry.grain()).await?;
    ensure_eq!(after, before, "what the log shows after a refused append");
    Ok(kind)
}

/// The answer for one grain of a batch.
pub(crate) fn answer<'a>(answers: &'a [Appended], grain: &GrainId) -> Seen<&'a Appended> {
    let mut own = answers.iter().filter(|answer| answer.grain == *grain);
    match (own.next(), own.next()) {
        (Some(answer), None) => Ok(answer),
        (first, _) => Err(Broken::new(format!(
            "a batch must be answered once for {grain}, was {}",
            if first.is_none() { "not" } else { "twice" }
        ))),
    }
}

/// The one grain's answer to a `catch_up`, which must be a run.
pub(crate) async fn caught<L: ReplicationLog>(
    log: &L,
    grain: &GrainId,
    cursor: Cursor,
    budget: Budget,
) -> Seen<Run> {
    let answer = log.catch_up(&[(grain.clone(), cursor)], budget).await?;
    run_at(&answer, 0)
}

/// An answer's run for the grain asked for at a place.
pub(crate) fn run_at(answer: &CatchUp, at: usize) -> Seen<Run> {
    match answer.grains.get(at) {
        Some(Caught::Run(run)) => Ok(run.clone()),
        other => Err(Broken::new(format!(
            "catch_up must answer grain {at} with a run, answered {other:?}"
        ))),
    }
}

/// How large payloads are, for messages.
pub(crate) fn sizes(entries: &[Entry]) -> Vec<usize> {
    entries.iter().map(|entry| entry.payload().len()).collect()
}

/// Whether entries given out together keep to a budget: the first fits always, an empty payload
/// fits while there is room for an entry.
pub(crate) fn fits(entries: &[Entry], budget: Budget) -> bool {
    let mut left = budget;
    entries
        .iter()
        .enumerate()
        .all(|(at, entry)| left.take(entry.payload().len(), at == 0))
}
