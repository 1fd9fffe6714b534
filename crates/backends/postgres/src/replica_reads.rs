//! What is read from a replica store, each with one statement and so within one snapshot.

use gleaner_core::{Filter, GrainId, LogId, Mark, Names, Replica, ReplicaPage, Result};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::columns::{GrainNames, clamped, slice_bits};
use crate::error::Fault;
use crate::place::Place;
use crate::read::{decoded, in_filter};
use crate::replica_rows::{
    META, Meta, REPLICA, ReplicaRow, marked, marks_statement, meta_columns, replica_columns,
};
use crate::rows;
use crate::session::{Sessions, Sql};

/// The bytes of states after which a page of a listing takes no further one.
const PAGE_BYTES: i64 = 64 << 20;
/// The most replicas of a page, however many were asked for.
const PAGE_REPLICAS: usize = 8192;

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct ReplicaReads {
    meta: Sql,
    get: Sql,
    marks: Sql,
    list: Sql,
    list_of_type: Sql,
}

/// A listing: a range of names is walked in its index, and what is in the filter is counted and
/// weighed before any state is fetched. `nth` is how many in the filter precede, `before` the bytes of
/// their states.
macro_rules! listing {
    ($range:literal, $prefix:literal) => {
        concat!(
            "SELECT ",
            meta_columns!(),
            ", n.grain_type, n.grain_key, n.listed, r.* FROM {s}.store s LEFT JOIN (\
               SELECT n.grain_type, n.grain_key, n.listed, \
               sum(n.listed::int4) OVER w - n.listed::int4 AS nth, \
               sum(n.size) OVER w - n.size AS before FROM (\
                 SELECT n.grain_type, n.grain_key, n.listed, \
                 CASE WHEN n.listed THEN n.size ELSE 0 END AS size FROM (\
                   SELECT g.grain_type, g.grain_key, \
                   coalesce(octet_length(g.state), 0) AS size, ",
            in_filter!($prefix, "$4"),
            " AS listed FROM {s}.replica g WHERE ",
            $range,
            " ORDER BY g.grain_type, g.grain_key LIMIT $5\
                 ) n\
               ) n WINDOW w AS (ORDER BY n.grain_type, n.grain_key ROWS UNBOUNDED PRECEDING)\
             ) n ON n.nth <= $6 LEFT JOIN LATERAL (SELECT ",
            replica_columns!(),
            ", r.state FROM {s}.replica r WHERE n.listed AND n.nth < $6 AND n.before <= $7 \
             AND r.grain_type = n.grain_type AND r.grain_key = n.grain_key LIMIT 1) r ON true \
             ORDER BY n.grain_type, n.grain_key"
        )
    };
}

const META_NOW: &str = concat!("SELECT ", meta_columns!(), " FROM {s}.store s");

const GET: &str = concat!(
    "SELECT ",
    meta_columns!(),
    ", ",
    replica_columns!(),
    ", r.state FROM {s}.store s LEFT JOIN {s}.replica r \
     ON r.grain_type = $1 AND r.grain_key = $2"
);

const LIST: &str = listing!("(g.grain_type, g.grain_key) > ($1, $2)", "$3");

const LIST_OF_TYPE: &str = listing!(
    "g.grain_type = $1 AND g.grain_key >= $2 AND g.grain_key < $3",
    "NULL"
);

/// The range in three (the third a prefix, or the end of the keys), slices, how many names are walked, how
/// many replicas and bytes are wanted.
const LISTING: &[Type] = &[
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
    Type::INT8,
    Type::INT8,
    Type::INT8,
];

impl ReplicaReads {
    pub(crate) fn new(schema: &str) -> Self {
        let sql = |text, types| Sql::new(schema, text, types);
        Self {
            meta: sql(META_NOW, &[]),
            get: sql(GET, &[Type::BYTEA, Type::BYTEA]),
            marks: sql(marks_statement!(), &[Type::BYTEA_ARRAY, Type::BYTEA_ARRAY]),
            list: sql(LIST, LISTING),
            list_of_type: sql(LIST_OF_TYPE, LISTING),
        }
    }

    /// The log that the store is bound to.
    pub(crate) async fn bound(&self, sessions: &Sessions) -> Result<Option<LogId>> {
        let rows = sessions.read(&self.meta, &[]).await?;
        Ok(decoded(Meta::read(&rows, &sessions.place))?.bound)
    }

    /// One replica.
    pub(crate) async fn get(
        &self,
        sessions: &Sessions,
        grain: &GrainId,
    ) -> Result<Option<Replica>> {
        let (name, key) = (grain.grain_type().as_bytes(), grain.grain_key().as_bytes());
        let rows = sessions.read(&self.get, &[&name, &key]).await;
        rows.and_then(|rows| decoded(replica(&rows, &sessions.place, grain)))
            .map_err(|error| error.of(grain))
    }

    /// Where replicas stand, in the order asked for.
    pub(crate) async fn marks(&self, sessions: &Sessions, grains: &[GrainId]) -> Result<Vec<Mark>> {
        if grains.is_empty() {
            return Ok(Vec::new());
        }
        let names = GrainNames::of(grains.iter());
        let rows = sessions
            .read(&self.marks, &[&names.types, &names.keys])
            .await?;
        decoded(marks(&rows, &sessions.place, grains))
    }

    /// A page of the replicas in a filter, in order, strictly after one.
    pub(crate) async fn list(
        &self,
        sessions: &Sessions,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        let limit = limit.clamp(1, PAGE_REPLICAS);
        let slices = slice_bits(filter);
        let prefix = filter.only_prefix().map(str::as_bytes);
        let scan = limit.saturating_add(Names::SCAN);
        let (scanned, wanted) = (clamped(scan), clamped(limit));
        let rows = match Names::of(filter, after) {
            Names::None => return Ok(ReplicaPage::default()),
            Names::All(name, key) => {
                let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
                    &name,
                    &key,
                    &prefix,
                    &slices,
                    &scanned,
                    &wanted,
                    &PAGE_BYTES,
                ];
                sessions.read(&self.list, &params).await?
            }
            Names::OfType(name, from, below) => {
                let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
                    &name,
                    &from,
                    &below,
                    &slices,
                    &scanned,
                    &wanted,
                    &PAGE_BYTES,
                ];
                sessions.read(&self.list_of_type, &params).await?
            }
        };
        decoded(page(&rows, &sessions.place, limit, scan))
    }
}

fn replica(rows: &[Row], place: &Place, grain: &GrainId) -> Result<Option<Replica>, Fault> {
    let meta = Meta::read(rows, place)?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    if rows::is_null(row, META)? {
        return Ok(None);
    }
    let found = ReplicaRow::read(row, META, grain, meta.bound.as_ref())?;
    Ok(Some(found.with_state(row.try_get(META + REPLICA)?)))
}

fn marks(rows: &[Row], place: &Place, grains: &[GrainId]) -> Result<Vec<Mark>, Fault> {
    let meta = Meta::read(rows, place)?;
    let mut marks = vec![Mark::absent(meta.absent); grains.len()];
    for row in rows {
        let Some(at) = marked(row)? else { continue };
        if let (Some(grain), Some(mark)) = (grains.get(at), marks.get_mut(at)) {
            *mark = ReplicaRow::read(row, META + 1, grain, meta.bound.as_ref())?.mark();
        }
    }
    Ok(marks)
}

fn page(rows: &[Row], place: &Place, limit: usize, scan: usize) -> Result<ReplicaPage, Fault> {
    const LISTED: usize = META + 2;
    const AT: usize = LISTED + 1;
    let meta = Meta::read(rows, place)?;
    let mut page = ReplicaPage::default();
    let (mut bytes, mut passed) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        let Some(is_listed) = row.try_get::<_, Option<bool>>(LISTED)? else {
            // The one row of an empty listing.
            break;
        };
        if is_listed {
            if page.replicas.len() == limit || bytes > PAGE_BYTES {
                page.next = page.replicas.last().map(|(grain, _)| grain.clone());
                break;
            }
            match listed_replica(row, AT, &meta) {
                Ok((grain, replica)) => {
                    let size = replica.state().map_or(0, <[u8]>::len);
                    bytes = bytes.saturating_add(clamped(size));
                    page.replicas.push((grain, replica));
                }
                // A later page begins with it, and says so.
                Err(_) if !page.replicas.is_empty() => {
                    page.next = page.replicas.last().map(|(grain, _)| grain.clone());
                    break;
                }
                Err(fault) => return Err(fault),
            }
        } else {
            passed += 1;
        }
        if passed == Names::SCAN || at + 1 == scan {
            page.next = Some(rows::read_grain(row, META)?);
            break;
        }
    }
    Ok(page)
}

fn listed_replica(row: &Row, at: usize, meta: &Meta) -> Result<(GrainId, Replica), Fault> {
    let grain = rows::read_grain(row, META)?;
    let found = ReplicaRow::read(row, at, &grain, meta.bound.as_ref())?;
    let replica = found.with_state(row.try_get(at + REPLICA)?);
    Ok((grain, replica))
}
