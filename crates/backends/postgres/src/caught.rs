//! Catch-ups: what their rows say for each grain, and what is asked again where some are damaged.

use gleaner_core::{
    Budget, CatchUp, Caught, Cursor, Entry, Error, GrainId, Head, Result, Run, run_after,
};
use tokio_postgres::Row;

use crate::error::{BACKEND, Fault};
use crate::read::{Reads, decoded, identity_of};
use crate::rows::{self, ENTRY, HEAD, read_entry, read_head};
use crate::session::Sessions;

/// Where the columns of a caught-up row lie.
const ORD: usize = 1;
const HEAD_AT: usize = ORD + 1;
const ENTRY_AT: usize = HEAD_AT + HEAD;
const DEALT: usize = ENTRY_AT + ENTRY + 1;

/// Replicas, and where they stand.
type Wants<'a> = &'a [(GrainId, Cursor)];

impl Reads {
    /// What brings replicas from their cursors to the heads.
    ///
    /// The server deals the budget out before anybody knows what is damaged. Where that leaves nothing for
    /// grains that are whole, they are asked for again without those that failed: the first of them is
    /// served in any case.
    pub(crate) async fn catch_up(
        &self,
        sessions: &Sessions,
        wants: Wants<'_>,
        budget: Budget,
    ) -> Result<CatchUp> {
        let mut answer = self.in_parts(sessions, wants, budget).await?;
        let mut is_starved = starves(&answer.grains);
        while is_starved {
            let is_failed = |caught: &Caught| matches!(caught, Caught::Failed(_));
            let others = answer.grains.iter_mut().zip(wants);
            let (places, wants): (Vec<&mut Caught>, Vec<(GrainId, Cursor)>) = others
                .filter(|(caught, _)| !is_failed(caught))
                .map(|(caught, want)| (caught, want.clone()))
                .unzip();
            let again = self.in_parts(sessions, &wants, budget).await?;
            is_starved = starves(&again.grains);
            // All that is served is of this answer, and so of its identity.
            answer.identity = again.identity;
            for (place, caught) in places.into_iter().zip(again.grains) {
                *place = caught;
            }
        }
        Ok(answer)
    }

    /// One answer for all, mostly by one statement. A row that the server itself cannot read fails the statement
    /// that comes upon it: halves are asked for, down to the grain that it belongs to.
    async fn in_parts(
        &self,
        sessions: &Sessions,
        wants: Wants<'_>,
        budget: Budget,
    ) -> Result<CatchUp> {
        let place = &sessions.place;
        let mut dealer = Dealer {
            left: budget,
            served: false,
        };
        let (mut identity, mut grains) = (None, Vec::with_capacity(wants.len()));
        let all = (!wants.is_empty()).then_some((wants, budget.entries()));
        let mut to_ask = Vec::from_iter(all);
        while let Some((wants, entries)) = to_ask.pop() {
            let left = dealer.left.entries().min(entries);
            let fault = match self.ask(sessions, wants, left, dealer.left.bytes()).await {
                Ok(rows) => {
                    let found = decoded(identity_of(&rows, place))?;
                    if identity.is_some_and(|known| known != found) {
                        let message = "the log changed under the read";
                        return Err(Error::transient(BACKEND, message));
                    }
                    identity = Some(found);
                    dealer.caught(&rows, wants, &mut grains);
                    continue;
                }
                Err(fault) if rows::is_damage(&fault) => fault,
                Err(fault) => return Err(fault.before("read", &place.name)),
            };
            if identity.is_none() {
                // If the log's own rows cannot be read either, it is not the grains' trouble.
                identity = Some(self.identity(sessions).await?);
            }
            match wants {
                // What stands before the damaged entry may be whole.
                [_] if left > 1 => to_ask.push((wants, 1)),
                [(grain, _)] => {
                    let error = fault.before("read", &place.name);
                    grains.push(Caught::Failed(error.of(grain)));
                }
                _ => {
                    let (one, other) = wants.split_at(wants.len() / 2);
                    to_ask.extend([(other, entries), (one, entries)]);
                }
            }
        }
        let identity = match identity {
            Some(identity) => identity,
            None => self.identity(sessions).await?,
        };
        Ok(CatchUp { identity, grains })
    }
}

/// Whether damage has taken what others were to get.
fn starves(grains: &[Caught]) -> bool {
    let has = |is: fn(&Caught) -> bool| grains.iter().any(is);
    has(|caught| matches!(caught, Caught::Failed(_)))
        && has(|caught| matches!(caught, Caught::Deferred))
        && !has(|caught| matches!(caught, Caught::Run(run) if !run.entries.is_empty()))
}

/// What is left to give out.
struct Dealer {
    left: Budget,
    /// Whether somebody got something: the very first entry comes whatever it costs.
    served: bool,
}

impl Dealer {
    /// From the rows of each grain, in the order asked for: one for each entry, or one without.
    fn caught(&mut self, rows: &[Row], wants: Wants<'_>, grains: &mut Vec<Caught>) {
        let mut rest = rows;
        for (at, (grain, cursor)) in wants.iter().enumerate() {
            let ord = at as u64 + 1;
            let own = rest
                .iter()
                .take_while(|row| rows::count(row, ORD).is_ok_and(|of| of == ord))
                .count();
            let (rows, others) = rest.split_at_checked(own).unwrap_or((rest, &[]));
            rest = others;
            // A damaged entry or head harms its grain alone.
            let failed = |fault| Caught::Failed(rows::unreadable(fault).of(grain));
            grains.push(self.one(rows, grain, *cursor).unwrap_or_else(failed));
        }
    }

    /// The answer for one grain. It has no row if all of them were cut by bytes.
    fn one(&mut self, rows: &[Row], grain: &GrainId, cursor: Cursor) -> Result<Caught, Fault> {
        let Some(first) = rows.first() else {
            return Ok(Caught::Deferred);
        };
        let mut run = Run {
            head: read_head(first, HEAD_AT)?,
            entries: Vec::new(),
            complete: true,
        };
        let towards = run
            .head
            .and_then(|head| Some((head, run_after(cursor, &head)?)));
        let Some((head, mut after)) = towards else {
            return Ok(Caught::Run(run));
        };
        for row in rows {
            match self.entry(row, grain, &head, after) {
                Ok(Some(entry)) => {
                    after = entry.cursor();
                    run.entries.push(entry);
                }
                Ok(None) => break,
                // A later run begins with it, and says so.
                Err(_) if !run.entries.is_empty() => break,
                Err(fault) => return Err(fault),
            }
        }
        let Some(last) = run.entries.last() else {
            return Ok(Caught::Deferred);
        };
        run.complete = last.cursor() >= head.cursor;
        Ok(Caught::Run(run))
    }

    /// A row's entry, which has to be the one behind `after`: a run holds Deltas alone behind its first
    /// entry. None if the budget does not reach so far.
    fn entry(
        &mut self,
        row: &Row,
        grain: &GrainId,
        head: &Head,
        after: Cursor,
    ) -> Result<Option<Entry>, Fault> {
        let missing = || {
            let message = "the entries towards the head are missing";
            Fault::from(Error::permanent(BACKEND, message).at(grain, head.cursor))
        };
        if rows::is_null(row, ENTRY_AT)? {
            return if row.try_get(DEALT)? {
                Err(missing())
            } else {
                Ok(None)
            };
        }
        let mut left = self.left;
        if !left.take(rows::payload_len(row, ENTRY_AT)?, !self.served) {
            return Ok(None);
        }
        let entry = read_entry(grain, row, ENTRY_AT)?;
        if entry.cursor().predecessor() != after {
            return Err(missing());
        }
        (self.left, self.served) = (left, true);
        Ok(Some(entry))
    }
}
