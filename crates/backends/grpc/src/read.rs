//! Reads over the wire, with nothing of the answers taken on trust.

use gleaner_core::{
    Budget, CatchUp, Caught, Cursor, Entry, Error, Filter, GrainId, Head, HeadPage, Page, Result,
    Run, run_after,
};

use crate::BACKEND;
use crate::error::Lost;
use crate::link::Link;
use crate::proto;
use crate::proto::catch_up_answer::Outcome;
use crate::wire::{
    HeadReader, Known, Malformed, Tables, decode_entries, decode_error, decode_grain,
    decode_grains, decode_identity, encode_cursor, encode_filter, encode_grain, encode_grains,
    number,
};

/// The most grains of one catch-up, and bytes of their names; the others are put off.
const MOST_WANTS: usize = 8_192;
const MOST_NAMES: usize = 4 << 20;

fn malformed(malformed: Malformed) -> Error {
    Lost::Nothing.malformed(malformed)
}

pub(crate) async fn heads(link: &Link, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
    let request = proto::HeadsRequest {
        grains: Some(encode_grains(&mut Tables::default(), grains)),
    };
    let answer = link
        .call(
            Lost::Nothing,
            None,
            request,
            |mut client, request| async move { client.heads(request).await },
        )
        .await?;
    let decode = || {
        if answer.found.len() != grains.len() {
            return Err(Malformed("not one answer for each grain"));
        }
        let mut heads = HeadReader::new(answer.heads)?;
        let found = answer
            .found
            .into_iter()
            .map(|found| found.then(|| heads.next()).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        heads.end()?;
        Ok(found)
    };
    decode().map_err(malformed)
}

pub(crate) async fn list_heads(
    link: &Link,
    filter: &Filter,
    after: Option<&GrainId>,
    limit: usize,
) -> Result<HeadPage> {
    let request = proto::ListHeadsRequest {
        filter: Some(encode_filter(filter)),
        after: after.map(encode_grain),
        limit: number(limit),
    };
    let answer = link
        .call(
            Lost::Nothing,
            None,
            request,
            |mut client, request| async move { client.list_heads(request).await },
        )
        .await?;
    listed(answer, filter, after).map_err(malformed)
}

fn listed(
    answer: proto::ListHeadsAnswer,
    filter: &Filter,
    after: Option<&GrainId>,
) -> Result<HeadPage, Malformed> {
    let identity = decode_identity(answer.identity)?;
    let grains = decode_grains(&mut Known::default(), answer.grains)?;
    let mut heads = HeadReader::new(answer.heads)?;
    let next = decode_grain(answer.next)?;
    let mut last = after.cloned();
    let mut listed = Vec::with_capacity(grains.len());
    for grain in grains {
        if last.as_ref().is_some_and(|last| *last >= grain) {
            return Err(Malformed("a listing out of order"));
        }
        if !filter.includes(&grain) {
            return Err(Malformed("a grain outside the filter"));
        }
        last = Some(grain.clone());
        listed.push((grain, heads.next()?));
    }
    heads.end()?;
    // A listing that goes back would never end.
    let goes_on = |next: &GrainId| match listed.last() {
        Some((last, _)) => next >= last,
        None => after.is_none_or(|after| next > after),
    };
    if next.as_ref().is_some_and(|next| !goes_on(next)) {
        return Err(Malformed("a listing that goes back"));
    }
    Ok(HeadPage {
        identity,
        heads: listed,
        next,
    })
}

pub(crate) async fn read_from(
    link: &Link,
    grain: &GrainId,
    after: Cursor,
    budget: Budget,
) -> Result<Page> {
    let request = proto::ReadFromRequest {
        grain: Some(encode_grain(grain)),
        after: Some(encode_cursor(after)),
        max_entries: number(budget.entries()),
        max_bytes: number(budget.bytes()),
    };
    let answer = link
        .call(
            Lost::Nothing,
            Some(grain),
            request,
            |mut client, request| async move { client.read_from(request).await },
        )
        .await?;
    let decode = || {
        let count = answer.entries.as_ref().map_or(0, |it| it.kinds.len());
        let counts = [u32::try_from(count).map_err(|_| Malformed("too many entries"))?];
        let grains = std::slice::from_ref(grain);
        let mut groups = decode_entries(&mut Known::default(), answer.entries, grains, &counts)?;
        let entries = groups.pop().unwrap_or(Ok(Vec::new()))?;
        ascending(&entries, after)?;
        if entries.is_empty() && answer.more {
            return Err(Malformed("an empty page that is not the last"));
        }
        Ok(Page {
            entries,
            more: answer.more,
        })
    };
    decode().map_err(|wrong| malformed(wrong).of(grain))
}

/// Entries strictly after a cursor, each above the one before, no Delta without its predecessor.
pub(crate) fn ascending(entries: &[Entry], after: Cursor) -> Result<(), Malformed> {
    let mut last = after;
    let mut before: Option<&Entry> = None;
    for entry in entries {
        if entry.cursor() <= last {
            return Err(Malformed("entries out of order"));
        }
        if let Some(before) = before
            && !entry.kind().is_base()
            && !(before.cursor().is_just_below(entry.cursor())
                && entry.prev() == Some(before.digest()))
        {
            return Err(Malformed("a delta without its predecessor"));
        }
        last = entry.cursor();
        before = Some(entry);
    }
    Ok(())
}

pub(crate) async fn catch_up(
    link: &Link,
    wants: &[(GrainId, Cursor)],
    budget: Budget,
) -> Result<CatchUp> {
    let mut names = 0_usize;
    let fits = |(grain, _): &&(GrainId, Cursor)| {
        names += grain.grain_type().len() + grain.grain_key().len();
        names <= MOST_NAMES
    };
    let count = wants.iter().take(MOST_WANTS).take_while(fits).count();
    let asked = wants.get(..count).unwrap_or(wants);
    let grains = asked.iter().map(|(grain, _)| grain);
    let request = proto::CatchUpRequest {
        grains: Some(encode_grains(&mut Tables::default(), grains)),
        epochs: asked.iter().map(|(_, at)| at.epoch.get()).collect(),
        sequences: asked.iter().map(|(_, at)| at.sequence.get()).collect(),
        max_entries: number(budget.entries()),
        max_bytes: number(budget.bytes()),
    };
    let answer = link
        .call(
            Lost::Nothing,
            None,
            request,
            |mut client, request| async move { client.catch_up(request).await },
        )
        .await?;
    let mut caught = caught(answer, asked).map_err(malformed)?;
    caught.grains.resize_with(wants.len(), || Caught::Deferred);
    Ok(caught)
}

fn caught(answer: proto::CatchUpAnswer, wants: &[(GrainId, Cursor)]) -> Result<CatchUp, Malformed> {
    let identity = decode_identity(answer.identity)?;
    if answer.outcomes.len() != wants.len() {
        return Err(Malformed("not one answer for each grain"));
    }
    let outcomes = answer
        .outcomes
        .into_iter()
        .map(Outcome::try_from)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Malformed("an unknown outcome"))?;
    let has_run =
        |outcome: &Outcome| matches!(outcome, Outcome::ToBase | Outcome::ToHead | Outcome::Cut);
    let with_runs: Vec<GrainId> = wants
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| has_run(outcome))
        .map(|((grain, _), _)| grain.clone())
        .collect();
    let runs = decode_entries(
        &mut Known::default(),
        answer.entries,
        &with_runs,
        &answer.counts,
    )?;
    let mut runs = runs.into_iter();
    let mut heads = HeadReader::new(answer.heads)?;
    let mut errors = answer.errors.into_iter();
    let mut grains = Vec::with_capacity(wants.len());
    for ((grain, cursor), outcome) in wants.iter().zip(outcomes) {
        grains.push(match outcome {
            Outcome::Deferred => Caught::Deferred,
            Outcome::NoHead => Caught::Run(Run {
                head: None,
                entries: Vec::new(),
                complete: true,
            }),
            Outcome::Failed => {
                let error = errors.next().ok_or(Malformed("a reason is missing"))?;
                Caught::Failed(decode_error(error, Some(grain))?)
            }
            Outcome::ToBase | Outcome::ToHead | Outcome::Cut => {
                let entries = runs.next().ok_or(Malformed("a run is missing"))?;
                let head = match outcome {
                    Outcome::ToBase => None,
                    _ => Some(heads.next()?),
                };
                let run = entries.and_then(|entries| run(head, entries, outcome, *cursor));
                match run {
                    Ok(run) => Caught::Run(run),
                    // This grain's alone: its neighbours' runs hold together.
                    Err(wrong) => {
                        let message = format!("the leader's run breaks the protocol: {wrong}");
                        Caught::Failed(Error::permanent(BACKEND, message).of(grain))
                    }
                }
            }
        });
    }
    heads.end()?;
    Ok(CatchUp { identity, grains })
}

/// A run as L8 has it: where it begins, what follows what, where it ends.
fn run(
    head: Option<Head>,
    entries: Vec<Entry>,
    outcome: Outcome,
    cursor: Cursor,
) -> Result<Run, Malformed> {
    let last = entries.last();
    let head = match (head, last) {
        (Some(head), _) => head,
        // The last entry is the head, and a base.
        (None, Some(last)) if last.kind().is_base() => Head::of(last, last.cursor()),
        (None, _) => return Err(Malformed("a head is missing")),
    };
    let complete = outcome != Outcome::Cut;
    match run_after(cursor, &head) {
        None if entries.is_empty() && complete => {}
        None => return Err(Malformed("a run that leads nowhere")),
        Some(after) => {
            ascending(&entries, after)?;
            let begins = entries.first().map(Entry::cursor);
            if head.base > cursor && begins != Some(head.base) {
                return Err(Malformed("a run that does not begin at the base"));
            }
            let ends = last.map(|last| (last.cursor(), last.digest()));
            let at_head = ends == Some((head.cursor, head.digest));
            let beyond = ends.is_none_or(|(ends, _)| ends > head.cursor);
            if complete != at_head || beyond {
                return Err(Malformed("a run that does not end as it says"));
            }
        }
    }
    Ok(Run {
        head: Some(head),
        entries,
        complete,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use prost::Message;

    use super::*;

    /// Every answer that is read here, from bytes that anybody may have sent.
    pub(crate) fn read_answers(bytes: &[u8]) {
        let grain = GrainId::new("t", "k").unwrap_or_else(|_| unreachable!());
        if let Ok(answer) = proto::ListHeadsAnswer::decode(bytes) {
            let _ = listed(answer, &Filter::all(), Some(&grain));
        }
        if let Ok(answer) = proto::CatchUpAnswer::decode(bytes) {
            let wants = vec![(grain, Cursor::ZERO); answer.outcomes.len().min(64)];
            let _ = caught(answer, &wants);
        }
    }
}
