//! The log's change feed: one row a grain, ordered by a counter that is given out inside the write
//! transaction, so that the order of places is the order of commits.

use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{ChangeFeed, Changes, Error, Filter, Moved, Names, Position, Result};
use rusqlite::Connection;

use crate::error::{BACKEND, Fault};
use crate::file::FileId;
use crate::log::SqliteLog;
use crate::rows::{self, head_columns};

const MOVED: &str = concat!(
    "SELECT pos, grain_type, grain_key, ",
    head_columns!(),
    " FROM grain WHERE pos > ?1 ORDER BY pos"
);

#[async_trait]
impl ChangeFeed for SqliteLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        let filter = filter.clone();
        self.readers()
            .read(move |conn, file| {
                let (identity, pos) = rows::read_meta(conn, file)?;
                Ok(Position::new(identity, filter.clone(), [pos]))
            })
            .await
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        let (since, filter) = (since.clone(), filter.clone());
        self.readers()
            .read(move |conn, file| changes(conn, file, &since, &filter, limit.max(1)))
            .await
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        let _waiter = self.watcher().join();
        // Which types have moved is not asked: a wake-up for nothing costs one empty page.
        let passed = self.bell().passed(since);
        drop(tokio::time::timeout(at_most, passed).await);
    }
}

fn changes(
    conn: &Connection,
    file: FileId,
    since: &Position,
    filter: &Filter,
    limit: usize,
) -> Result<Changes, Fault> {
    let (identity, end) = rows::read_meta(conn, file)?;
    let counters = since.counters(&identity, filter, BACKEND)?;
    let after = match counters {
        [after] if *after <= end => *after,
        _ => return Err(Error::expired(BACKEND, "the position lies beyond the end").into()),
    };
    let mut select = conn.prepare_cached(MOVED)?;
    let mut rows = select.query([rows::stored(after)])?;
    let (mut moved, mut passed, mut reached) = (Vec::new(), 0, after);
    let complete = loop {
        let Some(row) = rows.next()? else { break true };
        if moved.len() == limit || passed == Names::SCAN {
            break false;
        }
        // What is passed over lies behind `next` for good.
        match rows::read_grain_in(row, 1, filter)? {
            Some(grain) => match rows::read_head(row, 3)? {
                Some(head) => moved.push(Moved { grain, head }),
                None => passed += 1,
            },
            None => passed += 1,
        }
        reached = row.get::<_, i64>(0)?.cast_unsigned();
    };
    Ok(Changes {
        moved,
        next: Position::new(
            identity,
            filter.clone(),
            [if complete { end } else { reached }],
        ),
        complete,
        age: Duration::ZERO,
    })
}
