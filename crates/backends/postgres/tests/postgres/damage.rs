//! L5, L6, L8: rows that say nonsense, and whom they harm.

use gleaner_core::{
    Budget, Caught, ChangeFeed, Cursor, Draft, Entry, Error, ErrorKind, Filter, GrainId,
    ReplicationLog, Writer,
};
use gleaner_postgres::PostgresLog;

use crate::server::{Sql, fresh, is_installed, schema_of};

/// The second is the one that is damaged, where only one is.
pub(crate) const KEYS: [&str; 3] = ["left", "hit", "right"];

pub(crate) fn grain(key: &str) -> GrainId {
    GrainId::new("aircraft", key).unwrap()
}

/// A state, a change, a state, a change.
pub(crate) fn history(key: &str) -> Vec<Entry> {
    let writer = Writer::new(9);
    let full =
        |at| Draft::full(grain(key), Cursor::new(1, at), writer, format!("{key}{at}")).seal();
    let delta = |at, prev: &Entry| {
        let at = Cursor::new(1, at);
        Draft::delta(grain(key), at, writer, prev.digest(), format!("{key}+")).seal()
    };
    let (one, three) = (full(1), full(3));
    let (two, four) = (delta(2, &one), delta(4, &three));
    vec![one, two, three, four]
}

/// A log that holds histories, and a connection beside it.
pub(crate) async fn filled(keys: &[&str]) -> (PostgresLog, Sql, String) {
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    for key in keys {
        log.append_batch(&history(key)).await.unwrap();
    }
    let sql = Sql::connect(&url).await;
    (log, sql, schema_of(&url))
}

pub(crate) fn is_of(key: &str, error: &Error, place: &str) {
    assert_eq!(error.kind(), ErrorKind::Permanent, "{place}: {error}");
    assert_eq!(error.grain(), Some(&grain(key)), "{place}: {error}");
}

/// A row of the damaged grain, by its place on the disk, which each update changes.
struct Damaged<'a> {
    sql: &'a Sql,
    table: String,
    place: String,
}

impl<'a> Damaged<'a> {
    async fn find(sql: &'a Sql, table: String, condition: &str) -> Self {
        let place = format!("SELECT ctid::text FROM {table} WHERE {condition}");
        let place = sql.word(&place).await.unwrap();
        Self { sql, table, place }
    }

    async fn get(&self, column: &str) -> String {
        let (table, place) = (&self.table, &self.place);
        let whole = format!("SELECT quote_nullable({column}) FROM {table} WHERE ctid = '{place}'");
        self.sql.word(&whole).await.unwrap()
    }

    /// False if the column's type or a constraint does not let it in.
    async fn set(&mut self, column: &str, value: &str) -> bool {
        let (table, place) = (&self.table, &self.place);
        let update = format!(
            "UPDATE {table} SET {column} = {value} WHERE ctid = '{place}' RETURNING ctid::text"
        );
        match self.sql.word(&update).await {
            Ok(place) => self.place = place,
            // Another type, a number out of range, a null, a name that is taken.
            Err(code) => {
                let is_expected = ["42804", "22003", "23502", "23505"].contains(&code.as_str());
                assert!(is_expected, "{update}: {code}");
                return false;
            }
        }
        true
    }
}

/// Nothing, numbers out of range, numbers that are merely others, and bytes.
const NONSENSE: [&str; 11] = [
    "NULL",
    "-9223372036854775808",
    "-1",
    "0",
    "3",
    "200",
    "4294967296",
    "9007199254740992",
    "9223372036854775807",
    "'\\xfffe'::bytea",
    "''::bytea",
];

/// Catches the damaged grain up from the start, a neighbour on either side; whether it failed.
async fn catch_up(log: &PostgresLog, place: &str) -> bool {
    let mut at = Cursor::ZERO;
    for _ in 0..8 {
        let wants = KEYS.map(|key| (grain(key), if key == "hit" { at } else { Cursor::ZERO }));
        let answer = log.catch_up(&wants, Budget::UNBOUNDED).await;
        let answer = answer.unwrap_or_else(|error| panic!("{place}: {error}"));
        for neighbour in [0, 2] {
            let Caught::Run(run) = &answer.grains[neighbour] else {
                panic!("{place}: {:?}", answer.grains[neighbour]);
            };
            assert_eq!(run.entries, history(KEYS[neighbour])[2..], "{place}");
            assert!(run.complete, "{place}");
        }
        match &answer.grains[1] {
            Caught::Failed(error) => {
                is_of("hit", error, place);
                return true;
            }
            Caught::Deferred => panic!("{place}: deferred without a bound"),
            Caught::Run(run) => {
                let left: Vec<Entry> = history("hit")
                    .into_iter()
                    .skip(2)
                    .filter(|entry| entry.cursor() > at)
                    .collect();
                assert!(left.starts_with(&run.entries), "{place}: {:?}", run.entries);
                if run.complete {
                    assert_eq!(run.entries, left, "{place}");
                    return false;
                }
                at = run.entries.last().unwrap().cursor();
            }
        }
    }
    panic!("{place}: neither an end nor an error");
}

/// Reads the damaged grain's history; whether it failed or ends before its end.
async fn read(log: &PostgresLog, place: &str) -> bool {
    let hit = grain("hit");
    match log.read_from(&hit, Cursor::ZERO, Budget::UNBOUNDED).await {
        Err(error) => {
            is_of("hit", &error, place);
            true
        }
        Ok(page) => {
            let whole = history("hit");
            let is_whole = |entry| whole.contains(entry);
            assert!(page.entries.iter().all(is_whole), "{place}");
            assert!(page.entries.is_sorted_by_key(Entry::cursor), "{place}");
            page.entries != whole
        }
    }
}

#[tokio::test]
async fn a_damaged_entry_is_its_grains_own_trouble() {
    if !is_installed() {
        return;
    }
    let (log, sql, schema) = filled(&KEYS).await;
    let (mut noticed, mut harmless) = (0, 0);
    for sequence in 1..=4 {
        let entry = format!(
            "sequence = {sequence} AND grain = \
             (SELECT id FROM {schema}.grain WHERE grain_key = 'hit')"
        );
        let mut row = Damaged::find(&sql, format!("{schema}.entry"), &entry).await;
        for column in [
            "grain",
            "epoch",
            "sequence",
            "writer",
            "kind",
            "prev",
            "digest",
            "written_at",
            "source",
            "schema",
            "payload",
        ] {
            let whole = row.get(column).await;
            for value in NONSENSE {
                if !row.set(column, value).await {
                    continue;
                }
                let place = format!("{column} of {sequence} = {value}");
                let caught = catch_up(&log, &place).await;
                let read = read(&log, &place).await;
                // Only labels and values that were the same may pass.
                let is_label = column == "written_at" || column == "source";
                let same = row.get(column).await == whole;
                assert!(
                    caught || read || is_label || same,
                    "{place}: nobody notices"
                );
                noticed += u32::from(caught || read);
                harmless += u32::from(!caught && !read);
                let heads = log.heads(&KEYS.map(grain)).await.unwrap();
                assert!(heads.iter().all(Option::is_some), "{place}");
                assert!(row.set(column, &whole).await, "{place}");
            }
        }
    }
    assert!(noticed > 100 && harmless > 10, "{noticed} {harmless}");
    // All is put back: the test itself has left nothing behind.
    assert!(!catch_up(&log, "at the end").await && !read(&log, "at the end").await);
}

#[tokio::test]
async fn a_damaged_head_is_its_grains_own_trouble_where_grains_are_asked_for() {
    if !is_installed() {
        return;
    }
    let (log, sql, schema) = filled(&KEYS).await;
    let whole_heads = log.heads(&KEYS.map(grain)).await.unwrap();
    let table = format!("{schema}.grain");
    let mut row = Damaged::find(&sql, table, "grain_key = 'hit'").await;
    let (mut failed, mut told) = (0, 0);
    for column in [
        "fence_epoch",
        "fence_writer",
        "pos",
        "head_epoch",
        "head_sequence",
        "head_digest",
        "head_kind",
        "base_epoch",
        "base_sequence",
        "floor_epoch",
        "floor_sequence",
    ] {
        let whole = row.get(column).await;
        for value in NONSENSE {
            if !row.set(column, value).await {
                continue;
            }
            let place = format!("{column} = {value}");
            let wants = KEYS.map(|key| (grain(key), Cursor::ZERO));
            let answer = log.catch_up(&wants, Budget::UNBOUNDED).await;
            let answer = answer.unwrap_or_else(|error| panic!("{place}: {error}"));
            for neighbour in [0, 2] {
                let id = grain(KEYS[neighbour]);
                let mut caught = answer.grains[neighbour].clone();
                if neighbour == 2 && matches!(caught, Caught::Deferred) {
                    // A head that promises more entries than there are takes the budget of one answer.
                    let wants = [(id.clone(), Cursor::ZERO)];
                    let again = log.catch_up(&wants, Budget::UNBOUNDED).await.unwrap();
                    caught = again.grains[0].clone();
                }
                let Caught::Run(run) = caught else {
                    panic!("{place}: {caught:?}");
                };
                assert_eq!(run.entries, history(KEYS[neighbour])[2..], "{place}");
                let heads = log.heads(&[id]).await.unwrap();
                assert_eq!(heads, [whole_heads[neighbour]], "{place}");
            }
            match &answer.grains[1] {
                Caught::Failed(error) => {
                    failed += 1;
                    is_of("hit", error, &place);
                }
                Caught::Deferred => panic!("{place}: deferred without a bound"),
                Caught::Run(run) => {
                    told += 1;
                    let entries = history("hit");
                    assert!(run.entries.iter().all(|it| entries.contains(it)), "{place}");
                }
            }
            // Answers about many grains at once may be refused, and then name the grain.
            let heads = log.heads(&KEYS.map(grain)).await;
            let is_told = heads.is_ok();
            heads.err().inspect(|error| is_of("hit", error, &place));
            let all = Filter::all();
            let listed = log.list_heads(&all, None, 10).await;
            match listed {
                // In order: the damaged one is the first.
                Err(error) => is_of("hit", &error, &place),
                Ok(page) => assert!(is_told && page.heads.len() >= 2, "{place}"),
            }
            let behind = log.list_heads(&all, Some(&grain("hit")), 10).await.unwrap();
            assert_eq!(behind.heads.len(), 2, "{place}");
            if let Ok(since) = log.start(&all).await
                && let Err(error) = log.changes(&since, &all, 10).await
            {
                is_of("hit", &error, &place);
            }
            assert!(row.set(column, &whole).await, "{place}");
        }
    }
    assert!(failed > 20 && told > 20, "{failed} {told}");
    assert_eq!(log.heads(&KEYS.map(grain)).await.unwrap(), whole_heads);
}

#[tokio::test]
async fn a_page_ends_before_a_damaged_head() {
    if !is_installed() {
        return;
    }
    let (log, sql, schema) = filled(&["1", "2"]).await;
    let since = log.start(&Filter::all()).await.unwrap();
    for key in ["hit", "later"] {
        log.append_batch(&history(key)).await.unwrap();
    }
    let damage = format!("UPDATE {schema}.grain SET head_kind = 77 WHERE grain_key = 'hit'");
    sql.run(&damage).await;
    for filter in [Filter::all(), Filter::grain_type("aircraft")] {
        let page = log.list_heads(&filter, None, 10).await.unwrap();
        let listed: Vec<GrainId> = page.heads.into_iter().map(|(id, _)| id).collect();
        assert_eq!(listed, ["1", "2"].map(grain));
        assert_eq!(page.next, Some(grain("2")));
        let next = log.list_heads(&filter, page.next.as_ref(), 10).await;
        is_of("hit", &next.err().unwrap(), "a page that begins with it");
    }
    // The feed stops at it, and says whose it is.
    let changes = log.changes(&since, &Filter::all(), 10).await;
    is_of("hit", &changes.err().unwrap(), "a page of the feed");
}

/// Catches up until everybody is at their head or has failed; how many entries each answer had, and whose
/// failed. Each answer serves somebody, as long as there is somebody to serve.
async fn drained(log: &PostgresLog, keys: &[String], budget: Budget) -> (usize, Vec<String>) {
    let mut wants: Vec<(GrainId, Cursor)> =
        keys.iter().map(|key| (grain(key), Cursor::ZERO)).collect();
    let (mut failed, mut answers) = (Vec::new(), 0);
    while !wants.is_empty() {
        let answer = log.catch_up(&wants, budget).await.unwrap();
        assert_eq!(answer.grains.len(), wants.len());
        answers += 1;
        let (mut entries, mut bytes, mut next) = (0, 0, Vec::new());
        for ((id, at), caught) in wants.into_iter().zip(answer.grains) {
            match caught {
                Caught::Failed(error) => {
                    is_of(id.grain_key(), &error, "drained");
                    failed.push(id.grain_key().to_owned());
                }
                Caught::Deferred => next.push((id, at)),
                Caught::Run(run) => {
                    let whole = &history(id.grain_key())[2..];
                    let left: Vec<&Entry> = whole.iter().filter(|it| it.cursor() > at).collect();
                    assert!(
                        run.entries
                            .iter()
                            .zip(left)
                            .all(|(one, other)| one == other)
                    );
                    entries += run.entries.len();
                    bytes += run
                        .entries
                        .iter()
                        .map(|it| it.payload().len())
                        .sum::<usize>();
                    if !run.complete {
                        next.push((id, run.entries.last().unwrap().cursor()));
                    }
                }
            }
        }
        assert!(next.is_empty() || entries > 0, "nobody is served: {next:?}");
        assert!(entries <= 1 || entries <= budget.entries() && bytes <= budget.bytes());
        wants = next;
    }
    (answers, failed)
}

#[tokio::test]
async fn damage_takes_nothing_from_those_behind_it() {
    if !is_installed() {
        return;
    }
    let keys: Vec<String> = ["hit", "hit too", "3", "4", "hit late", "6"]
        .map(str::to_owned)
        .to_vec();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (log, sql, schema) = filled(&names).await;
    for damage in [
        "payload = 'x'",
        "payload = convert_to(repeat('x', 100000), 'UTF8')",
        "digest = 0",
        "kind = 77",
        "sequence = sequence + 10",
    ] {
        let of_hit = format!(
            "grain IN (SELECT id FROM {schema}.grain WHERE grain_key LIKE 'hit%') \
             AND sequence = 3"
        );
        sql.run(&format!(
            "CREATE TABLE {schema}.kept AS SELECT * FROM {schema}.entry WHERE {of_hit};
             UPDATE {schema}.entry SET {damage} WHERE {of_hit}"
        ))
        .await;
        for budget in [
            Budget::new(1, usize::MAX),
            Budget::new(2, usize::MAX),
            Budget::new(3, usize::MAX),
            Budget::new(100, 0),
            Budget::new(100, 1),
            Budget::new(100, 6),
            Budget::UNBOUNDED,
        ] {
            let (answers, mut failed) = drained(&log, &keys, budget).await;
            failed.sort();
            assert_eq!(
                failed,
                ["hit", "hit late", "hit too"],
                "{damage} {budget:?}"
            );
            assert!(answers <= 7, "{damage} {budget:?}: {answers}");
        }
        sql.run(&format!(
            "DELETE FROM {schema}.entry WHERE sequence IN (3, 13) AND grain IN \
             (SELECT id FROM {schema}.grain WHERE grain_key LIKE 'hit%');
             INSERT INTO {schema}.entry SELECT * FROM {schema}.kept; DROP TABLE {schema}.kept"
        ))
        .await;
    }
    // A head that promises more entries than anybody has.
    sql.run(&format!(
        "UPDATE {schema}.grain SET head_sequence = 9000000000000000 WHERE grain_key LIKE 'hit%'"
    ))
    .await;
    for budget in [Budget::new(2, usize::MAX), Budget::new(100, 1)] {
        let (_, mut failed) = drained(&log, &keys, budget).await;
        failed.sort();
        assert_eq!(failed, ["hit", "hit late", "hit too"], "{budget:?}");
    }
}
