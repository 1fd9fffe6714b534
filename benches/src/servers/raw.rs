//! [`Raw`]: a plain client, and statements written by hand that do what our log does: the same
//! conditions on head and fence, the same place in the feed, the same entry, over tables like ours.
//!
//! It knows one kind of entry, whole states, and recovers from nothing: an append that is not accepted is
//! an error, and so is a lost connection. It checks no digest and asks for no identity.

mod sql;

use async_trait::async_trait;
use bytes::Bytes;
use gleaner::{Claim, Cursor, Entry, GrainId, Slice};
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::contender::{Contender, NAMES};
use crate::Outcome;
use crate::versus::TYPE;

/// How many feed shards there are, as in our log.
const SHARDS: u16 = 32;

/// Connects.
async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Has the server do now what it would do within the next minutes, so that it does not do it while
/// something is measured: every side's tables are known to the planner and tidy.
pub(crate) async fn tidy(url: &str) -> Outcome<()> {
    Ok(connect(url).await?.batch_execute("VACUUM ANALYZE").await?)
}

/// A connection and what is prepared on it.
struct Prepared {
    client: Client,
    claim: Statement,
    append: Statement,
    append_batch: Statement,
    catch_up: Statement,
    end: Statement,
    page: Statement,
}

impl Prepared {
    async fn new(url: &str) -> Outcome<Self> {
        let client = connect(url).await?;
        client.batch_execute(sql::SESSION).await?;
        Ok(Self {
            claim: client.prepare(sql::CLAIM).await?,
            append: client.prepare(sql::APPEND).await?,
            append_batch: client.prepare(sql::APPEND_BATCH).await?,
            catch_up: client.prepare(sql::CATCH_UP).await?,
            end: client.prepare(sql::END).await?,
            page: client.prepare(sql::PAGE).await?,
            client,
        })
    }
}

pub(crate) struct Raw {
    connections: Vec<Prepared>,
}

impl Raw {
    /// Makes the tables, and so many connections.
    pub(crate) async fn open(url: &str, connections: u32) -> Outcome<Self> {
        connect(url).await?.batch_execute(sql::TABLES).await?;
        let mut prepared = Vec::new();
        for _ in 0..connections {
            prepared.push(Prepared::new(url).await?);
        }
        Ok(Self {
            connections: prepared,
        })
    }

    fn connection(&self, task: usize) -> Outcome<&Prepared> {
        let at = task.checked_rem(self.connections.len());
        let connection = at.and_then(|at| self.connections.get(at));
        Ok(connection.ok_or("there are no connections")?)
    }
}

/// One thing of each: a column.
fn all<'a, T, U>(of: &'a [T], one: impl Fn(&'a T) -> U) -> Vec<U> {
    of.iter().map(one).collect()
}

fn slice(grain: &GrainId) -> i16 {
    Slice::of(grain).get().cast_signed()
}

fn shard(grain: &GrainId) -> i16 {
    slice(grain) / (Slice::COUNT / SHARDS).cast_signed()
}

fn number(stored: u64) -> i64 {
    stored.cast_signed()
}

fn cursor(row: &Row, at: usize) -> Outcome<Cursor> {
    let (epoch, sequence): (i64, i64) = (row.try_get(at)?, row.try_get(at + 1)?);
    Ok(Cursor::new(epoch.cast_unsigned(), sequence.cast_unsigned()))
}

#[async_trait]
impl Contender for Raw {
    /// The last place seen in each shard.
    type Place = Vec<i64>;

    async fn claim(&self, claims: &[Claim]) -> Outcome<()> {
        let Prepared { client, claim, .. } = self.connection(0)?;
        let claimed = client
            .execute(
                claim,
                &[
                    &all(claims, |claim| claim.grain.grain_type().as_bytes()),
                    &all(claims, |claim| claim.grain.grain_key().as_bytes()),
                    &all(claims, |claim| slice(&claim.grain)),
                    &all(claims, |claim| shard(&claim.grain)),
                    &all(claims, |claim| number(claim.epoch.get())),
                    &all(claims, |claim| number(claim.writer.get())),
                ],
            )
            .await?;
        if claimed == claims.len() as u64 {
            return Ok(());
        }
        Err(format!("{claimed} of {} claims were made", claims.len()).into())
    }

    async fn append(&self, task: usize, entry: Entry) -> Outcome<()> {
        let Prepared { client, append, .. } = self.connection(task)?;
        let grain = entry.grain();
        let appended = client
            .execute(
                append,
                &[
                    &grain.grain_type().as_bytes(),
                    &grain.grain_key().as_bytes(),
                    &shard(grain),
                    &number(entry.epoch().get()),
                    &number(entry.sequence().get()),
                    &number(entry.digest().get()),
                    &i16::from(entry.kind().code()),
                    &number(entry.writer().get()),
                    &entry.written_at().get(),
                    &entry.source().as_str().as_bytes(),
                    &i64::from(entry.schema().get()),
                    &&entry.payload()[..],
                ],
            )
            .await?;
        if appended == 1 {
            return Ok(());
        }
        Err(format!("{} was not appended", entry.cursor()).into())
    }

    async fn append_batch(&self, entries: &[Entry]) -> Outcome<()> {
        let Prepared {
            client,
            append_batch,
            ..
        } = self.connection(0)?;
        let appended = client
            .execute(
                append_batch,
                &[
                    &all(entries, |entry| entry.grain().grain_type().as_bytes()),
                    &all(entries, |entry| entry.grain().grain_key().as_bytes()),
                    &all(entries, |entry| shard(entry.grain())),
                    &all(entries, |entry| number(entry.epoch().get())),
                    &all(entries, |entry| number(entry.sequence().get())),
                    &all(entries, |entry| number(entry.digest().get())),
                    &all(entries, |entry| i16::from(entry.kind().code())),
                    &all(entries, |entry| number(entry.writer().get())),
                    &all(entries, |entry| entry.written_at().get()),
                    &all(entries, |entry| entry.source().as_str().as_bytes()),
                    &all(entries, |entry| i64::from(entry.schema().get())),
                    &all(entries, |entry| &entry.payload()[..]),
                ],
            )
            .await?;
        if appended == entries.len() as u64 {
            return Ok(());
        }
        Err(format!("{appended} of {} entries were appended", entries.len()).into())
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)]) -> Outcome<Vec<(Cursor, Bytes)>> {
        let Prepared {
            client, catch_up, ..
        } = self.connection(0)?;
        let rows = client
            .query(
                catch_up,
                &[
                    &all(wants, |(grain, _)| grain.grain_type().as_bytes()),
                    &all(wants, |(grain, _)| grain.grain_key().as_bytes()),
                    &all(wants, |(_, at)| number(at.epoch.get())),
                    &all(wants, |(_, at)| number(at.sequence.get())),
                ],
            )
            .await?;
        let states = rows.iter().map(|row| {
            let payload: &[u8] = row.try_get(3)?;
            Ok((cursor(row, 1)?, Bytes::copy_from_slice(payload)))
        });
        states.collect()
    }

    async fn end(&self) -> Outcome<Vec<i64>> {
        let Prepared { client, end, .. } = self.connection(0)?;
        let rows = client.query(end, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?)
    }

    async fn page(
        &self,
        since: &mut Vec<i64>,
        moved: &mut Vec<(GrainId, Cursor)>,
    ) -> Outcome<bool> {
        let Prepared { client, page, .. } = self.connection(0)?;
        let most = NAMES / usize::from(SHARDS);
        let rows = client
            .query(page, &[&*since, &TYPE.as_bytes(), &i64::try_from(most)?])
            .await?;
        let mut complete = true;
        for of_shard in rows.chunk_by(|one, other| shard_of(one) == shard_of(other)) {
            let Some(last) = of_shard.last() else {
                continue;
            };
            let shard: i16 = last.try_get(0)?;
            let end: i64 = last.try_get(1)?;
            let reached: Option<i64> = last.try_get(2)?;
            let is_full = of_shard.len() == most;
            let reached = reached.filter(|_| is_full).unwrap_or(end);
            *since
                .get_mut(usize::try_from(shard)?)
                .ok_or("no such shard")? = reached;
            complete &= reached == end;
            for row in of_shard {
                if let Some(name) = row.try_get::<_, Option<&[u8]>>(3)? {
                    let (name, key) = (str::from_utf8(name)?, str::from_utf8(row.try_get(4)?)?);
                    moved.push((GrainId::new(name, key)?, cursor(row, 5)?));
                }
            }
        }
        Ok(complete)
    }
}

fn shard_of(row: &Row) -> Option<i16> {
    row.try_get(0).ok()
}
