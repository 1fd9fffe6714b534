//! What a catch-up's rows say: the answer for each grain.

use gleaner_core::{Budget, CatchUp, Caught, Cursor, Entry, Error, GrainId, Run, run_after};
use tokio_postgres::Row;

use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::rows::{self, HEAD, read_entry, read_head};

/// Where the columns of a caught-up row lie.
const ORD: usize = 1;
const HEAD_AT: usize = ORD + 1;
const ENTRY_AT: usize = HEAD_AT + HEAD;

/// From the rows of each grain, in the order asked for: one for each entry, or one without.
pub(crate) fn caught(
    rows: &[Row],
    place: &Place,
    wants: &[(GrainId, Cursor)],
    budget: Budget,
) -> Result<CatchUp, Fault> {
    let mut rest = rows;
    let first = rows
        .first()
        .ok_or_else(|| Fault::from(Error::permanent(BACKEND, "the server gave no row")))?;
    let mut answer = CatchUp {
        identity: rows::read_identity(first, 0, place)?,
        grains: Vec::with_capacity(wants.len()),
    };
    let (mut left, mut served) = (budget, false);
    for (at, (grain, cursor)) in wants.iter().enumerate() {
        let ord = at as u64 + 1;
        let mut own = 0;
        while let Some(row) = rest.get(own)
            && rows::count(row, ORD)? == ord
        {
            own += 1;
        }
        let (rows, others) = rest.split_at_checked(own).unwrap_or((rest, &[]));
        rest = others;
        let one = one(rows, grain, *cursor, &mut left, &mut served);
        answer.grains.push(match one {
            Ok(caught) => caught,
            // A damaged entry or head harms its grain alone.
            Err(Fault::Refused(error)) => Caught::Failed(error.of(grain)),
            Err(fault) => return Err(fault),
        });
    }
    Ok(answer)
}

/// The answer for one grain. It has no row if all of them were cut by bytes.
fn one(
    rows: &[Row],
    grain: &GrainId,
    cursor: Cursor,
    budget: &mut Budget,
    served: &mut bool,
) -> Result<Caught, Fault> {
    let mut run = Run {
        head: None,
        entries: Vec::new(),
        complete: true,
    };
    let Some(first) = rows.first() else {
        return Ok(Caught::Deferred);
    };
    run.head = read_head(first, HEAD_AT)?;
    let Some(head) = run.head.filter(|head| run_after(cursor, head).is_some()) else {
        return Ok(Caught::Run(run));
    };
    for row in rows {
        if rows::is_null(row, ENTRY_AT)? {
            break;
        }
        if !budget.take(rows::payload_len(row, ENTRY_AT)?, !*served) {
            break;
        }
        match read_entry(grain, row, ENTRY_AT) {
            Ok(entry) => run.entries.push(entry),
            Err(_) if !run.entries.is_empty() => break,
            Err(fault) => return Err(fault),
        }
        *served = true;
    }
    let Some(last) = run.entries.last().map(Entry::cursor) else {
        if !*served {
            // With nothing served before it, the budget has cut nothing: there is nothing.
            let message = "the entries towards the head are missing";
            return Ok(Caught::Failed(
                Error::permanent(BACKEND, message).at(grain, head.cursor),
            ));
        }
        return Ok(Caught::Deferred);
    };
    run.complete = last >= head.cursor;
    Ok(Caught::Run(run))
}
