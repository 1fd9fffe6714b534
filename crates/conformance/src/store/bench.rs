//! A store on the bench: the kit's fold, and calls whose answers are checked against each other.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use gleaner_core::{
    Advance, Binding, Entry, Fold, FoldError, Generation, GrainId, LogId, Mark, Outcome, Replica,
    ReplicaStore, Schema, Stop, StopReason,
};

use crate::verdict::{Seen, ensure, ensure_eq};
use crate::{Broken, StoreFactory};

/// The log that replicas are read from, unless a test needs two.
pub(crate) fn ours() -> LogId {
    LogId::new("the kit's log")
}

/// Puts a delta's payload behind the state, so that a state tells what it was made of. Refuses a
/// payload of `!fail`, panics on `!panic`, and understands schemas up to [`AppendFold::NEWEST`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AppendFold;

impl AppendFold {
    pub(crate) const NEWEST: Schema = Schema::new(100);
}

impl Fold for AppendFold {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        match delta.payload().as_ref() {
            b"!fail" => Err(FoldError::new("told to fail")),
            b"!panic" => panic!("told to panic"),
            payload => {
                let mut folded = BytesMut::with_capacity(state.len() + payload.len());
                folded.put_slice(state);
                folded.put_slice(payload);
                Ok(folded.freeze())
            }
        }
    }

    fn newest_schema(&self) -> Schema {
        Self::NEWEST
    }
}

pub(crate) fn fold() -> Arc<dyn Fold> {
    Arc::new(AppendFold)
}

/// A fresh store with the kit's fold, bound to [`ours`].
pub(crate) async fn bound<F: StoreFactory>(factory: &F) -> Seen<(F::Guard, F::Store)> {
    let (guard, store) = factory.open(Some(fold())).await;
    ensure_eq!(
        store.bind(&ours(), None).await?,
        Binding::Bound,
        "the binding of a fresh store"
    );
    Ok((guard, store))
}

/// Where a grain's replica stands.
pub(crate) async fn mark<S: ReplicaStore>(store: &S, grain: &GrainId) -> Seen<Mark> {
    let marks = store.cursor(std::slice::from_ref(grain)).await?;
    ensure_eq!(marks.len(), 1, "marks of one grain");
    marks
        .into_iter()
        .next()
        .ok_or_else(|| Broken::new("no mark"))
}

/// A grain's replica, by every way there is to it, while nobody writes: all must agree.
pub(crate) async fn row<S: ReplicaStore>(store: &S, grain: &GrainId) -> Seen<Option<Replica>> {
    let mark = mark(store, grain).await?;
    let replica = store.get(grain).await?;
    let expected = replica
        .as_ref()
        .map_or_else(|| Mark::absent(mark.generation), Replica::mark);
    ensure_eq!(mark, expected, "the mark of {grain} beside its replica");
    let (peeked, handle) = (store.peek(grain), store.handle(grain));
    if store.is_resident() {
        ensure_eq!(peeked, replica, "peek and get of {grain}");
        ensure!(
            handle.is_some(),
            "a resident store gives no handle of {grain}"
        );
        let held = handle.and_then(|handle| handle.load());
        ensure_eq!(held, replica, "handle and get of {grain}");
    } else {
        ensure!(
            peeked.is_none() && handle.is_none(),
            "a store whose replicas are not resident peeks or gives a handle"
        );
    }
    Ok(replica)
}

/// Applies a run under a generation; the outcome, whose mark is checked.
pub(crate) async fn apply_as<S: ReplicaStore>(
    store: &S,
    log: &LogId,
    grain: &GrainId,
    generation: Generation,
    entries: &[Entry],
) -> Seen<Outcome> {
    let run = Advance {
        grain: grain.clone(),
        generation,
        entries: entries.to_vec(),
    };
    let outcomes = store.apply(log, vec![run]).await?;
    ensure_eq!(outcomes.len(), 1, "outcomes of one run");
    let outcome = outcomes
        .into_iter()
        .next()
        .ok_or_else(|| Broken::new("no outcome"))?;
    ensure_eq!(
        outcome.mark,
        mark(store, grain).await?,
        "an outcome's mark and the store's"
    );
    Ok(outcome)
}

/// Applies a run of our log under the generation that the store has.
pub(crate) async fn apply<S: ReplicaStore>(
    store: &S,
    grain: &GrainId,
    entries: &[Entry],
) -> Seen<Outcome> {
    let generation = mark(store, grain).await?.generation;
    apply_as(store, &ours(), grain, generation, entries).await
}

/// Applies a run that must go in whole.
pub(crate) async fn applied<S: ReplicaStore>(
    store: &S,
    grain: &GrainId,
    entries: &[Entry],
) -> Seen<()> {
    let outcome = apply(store, grain, entries).await?;
    ensure!(
        outcome.stop.is_none() && outcome.applied == entries.len(),
        "{} entries must be applied whole: {outcome:?}",
        entries.len()
    );
    stands(store, grain, entries).await
}

/// The replica must be what these entries, a run of a history, lead to.
pub(crate) async fn stands<S: ReplicaStore>(
    store: &S,
    grain: &GrainId,
    entries: &[Entry],
) -> Seen<()> {
    let Some(last) = entries.last() else {
        return Ok(());
    };
    let Some(replica) = row(store, grain).await? else {
        return Err(Broken::new(format!(
            "{grain} must have a replica at {}",
            last.cursor()
        )));
    };
    ensure_eq!(
        (
            replica.cursor(),
            replica.digest(),
            replica.schema(),
            replica.written_at(),
            replica.state().is_some()
        ),
        (
            last.cursor(),
            last.digest(),
            last.schema(),
            last.written_at(),
            last.kind().code() != 2
        ),
        "cursor, digest, schema, written_at and presence of {grain}"
    );
    Ok(())
}

/// A replica's state as text; `none` without one.
pub(crate) fn text(replica: Option<&Replica>) -> String {
    replica.and_then(Replica::state).map_or_else(
        || "none".to_owned(),
        |state| String::from_utf8_lossy(state).into_owned(),
    )
}

/// The run must have stopped at this entry, nothing changed by it or what follows.
pub(crate) fn stopped_at(outcome: &Outcome, entry: &Entry, why: &StopReason) -> Seen<()> {
    ensure_eq!(
        outcome.stop,
        Some(Stop {
            at: entry.cursor(),
            why: why.clone(),
        }),
        "where and why the run stopped"
    );
    Ok(())
}
