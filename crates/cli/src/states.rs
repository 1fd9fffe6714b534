//! What replicas hold, as `gleaner follow` prints it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use gleaner::{
    Cursor, Filter, Follower, GrainId, Health, RawReader, ReadError, ReadOptions, ReplicaStore,
};
use serde::{Serialize, Serializer};

use crate::failure::Result;
use crate::out::Out;
use crate::said::{Named, Payload, age, age_ms, as_text_or_null};
use crate::scope::Scope;

/// How many replicas are listed at a time.
const PAGE: usize = 1000;

/// A grain, and what its follower knows of it.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    #[serde(flatten)]
    grain: Named,
    #[serde(serialize_with = "as_text_or_null")]
    pub(crate) cursor: Option<Cursor>,
    #[serde(rename = "age_ms", serialize_with = "age_ms")]
    age: Option<Duration>,
    #[serde(serialize_with = "name_of")]
    pub(crate) health: Health,
    /// Whether it has a state: not before the first and not after a tombstone.
    present: bool,
    #[serde(flatten)]
    state: Option<Payload>,
}

impl Seen {
    /// As it is now; none if the follower does not follow it.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn look(
        follower: &Follower,
        reader: &RawReader,
        grain: &GrainId,
        with_state: bool,
    ) -> Result<Option<Self>> {
        let health = || {
            let health = follower.control(grain.clone()).health();
            health.unwrap_or(Health::Bootstrapping)
        };
        let seen = |cursor, age, health, state| Self {
            grain: grain.into(),
            cursor,
            age,
            health,
            present: false,
            state,
        };
        Ok(match reader.get_when(grain, ReadOptions::default()).await {
            Ok(answer) => {
                let state = with_state.then(|| Payload::from(&answer.state[..]));
                Some(Self {
                    present: true,
                    ..seen(Some(answer.cursor), answer.age, answer.health, state)
                })
            }
            Err(ReadError::Absent { cursor, age }) => Some(seen(Some(cursor), age, health(), None)),
            Err(ReadError::NotYet { cursor, health }) => Some(seen(cursor, None, health, None)),
            Err(ReadError::NotFollowed) => None,
            Err(other) => return Err(other.into()),
        })
    }

    /// Whether the log has, or had, such a grain.
    pub(crate) const fn is_known(&self) -> bool {
        self.cursor.is_some()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
fn name_of<S: Serializer>(health: &Health, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(health.name())
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cursor {
            Some(cursor) => write!(f, "{} at {cursor}", self.grain)?,
            None => write!(f, "{} has no entry", self.grain)?,
        }
        write!(f, ", {}", self.health.name())?;
        if self.is_known() {
            write!(f, ", {}", age(self.age))?;
        }
        match &self.state {
            Some(state) => write!(f, ": {state}"),
            None if self.is_known() && !self.present => write!(f, ", ended"),
            None => Ok(()),
        }
    }
}

/// Says what each followed grain's replica holds, in the order of their names; the grains that were
/// asked for by name and that the log does not know.
///
/// # Errors
/// The store's; the output's.
pub(crate) async fn say_all(
    follower: &Follower,
    store: &dyn ReplicaStore,
    scope: &Scope,
    out: &mut Out,
) -> Result<Vec<GrainId>> {
    let reader = follower.raw_reader();
    let mut unlisted: BTreeSet<GrainId> = scope.grains.iter().cloned().collect();
    // A grain may be in several filters, and is said once: the narrowest listing that holds all.
    let listed = match scope.filters.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        _ => Some(Filter::all()),
    };
    let mut after = None;
    while let Some(filter) = &listed {
        let page = store.list(filter, after.as_ref(), PAGE).await?;
        for (grain, _) in &page.replicas {
            // Those before it, which the filter does not hold, keep the order.
            while let Some(first) = unlisted.first().filter(|first| *first < grain).cloned() {
                unlisted.remove(&first);
                say(follower, &reader, &first, out).await?;
            }
            unlisted.remove(grain);
            say(follower, &reader, grain, out).await?;
        }
        out.flush()?;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    for grain in &unlisted {
        say(follower, &reader, grain, out).await?;
    }
    out.flush()?;
    let mut unknown = Vec::new();
    for grain in &scope.grains {
        let seen = Seen::look(follower, &reader, grain, false).await?;
        if !seen.is_some_and(|seen| seen.is_known()) {
            unknown.push(grain.clone());
        }
    }
    Ok(unknown)
}

async fn say(
    follower: &Follower,
    reader: &RawReader,
    grain: &GrainId,
    out: &mut Out,
) -> Result<()> {
    // A replica of the store that is not followed is not this command's.
    match Seen::look(follower, reader, grain, true).await? {
        Some(seen) => out.say(&seen),
        None => Ok(()),
    }
}
