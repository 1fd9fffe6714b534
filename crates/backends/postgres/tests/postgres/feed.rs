//! F1 and F2 where PostgreSQL makes them hard: what commits late, and who else is at work on the server.

use std::time::Duration;

use gleaner_core::{
    Cursor, Draft, Entry, Filter, GrainId, Position, ReplicationLog, Slice, Writer,
};
use gleaner_postgres::PostgresLog;
use gleaner_servers::Postgres;
use tokio::task::JoinHandle;

use crate::server::{Sql, fresh, is_installed, schema_of, until};

const WRITER: Writer = Writer::new(7);

fn state(grain: &GrainId, sequence: u64, payload: &'static str) -> Entry {
    Draft::full(grain.clone(), Cursor::new(1, sequence), WRITER, payload).seal()
}

/// The feed shard that a grain lies in.
fn shard(grain: &GrainId) -> u16 {
    Slice::of(grain).get() / 32
}

/// Grains in the shard of the first, and one in another.
fn neighbours() -> (GrainId, GrainId, GrainId) {
    let grain = |number: usize| GrainId::new("t", number.to_string()).unwrap();
    let first = grain(0);
    let same = (1..10_000)
        .map(grain)
        .find(|other| shard(other) == shard(&first));
    let other = (1..10_000)
        .map(grain)
        .find(|other| shard(other) != shard(&first));
    (first, same.unwrap(), other.unwrap())
}

/// Everything that the feed names from a position on, and where it ends.
async fn named(log: &PostgresLog, mut since: Position) -> (Vec<GrainId>, Position) {
    let mut names = Vec::new();
    loop {
        let page = log
            .feed()
            .unwrap()
            .changes(&since, &Filter::all(), 10)
            .await;
        let page = page.unwrap();
        names.extend(page.moved.into_iter().map(|moved| moved.grain));
        since = page.next;
        if page.complete {
            names.sort();
            return (names, since);
        }
    }
}

fn append(log: &PostgresLog, entry: Entry) -> JoinHandle<gleaner_core::Result<gleaner_core::Head>> {
    let log = log.clone();
    tokio::spawn(async move { log.append(entry).await })
}

/// Entries whose payload is `slow` wait in the middle of their transaction, for as long as the lock is
/// held that this takes.
async fn slow_entries(url: &str) -> Sql {
    let schema = schema_of(url);
    let gate = Sql::connect(url).await;
    gate.run(&format!(
        "CREATE FUNCTION {schema}.wait() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END';
         CREATE TRIGGER slow AFTER INSERT ON {schema}.entry FOR EACH ROW \
         WHEN (NEW.payload = 'slow') EXECUTE FUNCTION {schema}.wait();
         SELECT pg_advisory_lock(42)"
    ))
    .await;
    gate
}

/// Waits until somebody of this database waits for the lock.
async fn is_slow(gate: &Sql) {
    until("an append stands in its transaction", async || {
        let waits = "SELECT count(*)::int8 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        gate.number(waits).await > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commits_late_is_never_skipped() {
    if !is_installed() {
        return;
    }
    // A database of its own: the lock of the gate is of the database.
    let url = Postgres::shared().unwrap().create_database("late");
    let (one, two) = (
        PostgresLog::open(&url).await.unwrap(),
        PostgresLog::open(&url).await.unwrap(),
    );
    let (late, same, other) = neighbours();
    // One grain takes the long way, having been claimed by nobody, and the other time the straight one.
    for (round, sequence) in [("long", 1), ("straight", 2)] {
        let gate = slow_entries(&format!("{url}?schema=gleaner")).await;
        let start = one.feed().unwrap().start(&Filter::all()).await.unwrap();
        let held = append(&one, state(&late, sequence, "slow"));
        is_slow(&gate).await;
        // In the same shard nobody passes it; in another one everybody does.
        let behind = append(&two, state(&same, sequence, "quick"));
        let passed = PostgresLog::open(&url).await.unwrap();
        passed
            .append(state(&other, sequence, "quick"))
            .await
            .unwrap();
        let (names, since) = named(&passed, start).await;
        assert_eq!(
            names,
            std::slice::from_ref(&other),
            "{round}: what has been committed"
        );
        assert!(
            !behind.is_finished(),
            "{round}: one shard, one commit after the other"
        );
        gate.run("SELECT pg_advisory_unlock(42)").await;
        held.await.unwrap().unwrap();
        behind.await.unwrap().unwrap();
        let (names, since) = named(&passed, since).await;
        let mut expected = [late.clone(), same.clone()];
        expected.sort();
        assert_eq!(names, expected, "{round}: what was committed late");
        assert!(named(&passed, since).await.0.is_empty());
        gate.run("DROP TRIGGER slow ON gleaner.entry; DROP FUNCTION gleaner.wait()")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_others_do_not_hold_the_feed_back() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let elsewhere = Sql::connect(&server.create_database("elsewhere")).await;
    elsewhere
        .run("CREATE TABLE x (y int); BEGIN; INSERT INTO x VALUES (1)")
        .await;
    let url = fresh();
    let beside = Sql::connect(&url).await;
    beside
        .run("CREATE TEMP TABLE x (y int); BEGIN; INSERT INTO x VALUES (1)")
        .await;
    let log = PostgresLog::open(&url).await.unwrap();
    let start = log.feed().unwrap().start(&Filter::all()).await.unwrap();
    let (grain, ..) = neighbours();
    log.append(state(&grain, 1, "x")).await.unwrap();
    let (names, _) = named(&log, start).await;
    assert_eq!(names, [grain]);
    elsewhere.run("COMMIT").await;
    beside.run("COMMIT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_processs_appends_wake_who_listens() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let (reader, writer) = (
        PostgresLog::open(&url).await.unwrap(),
        PostgresLog::open(&url).await.unwrap(),
    );
    let feed = reader.feed().unwrap();
    let (grain, ..) = neighbours();
    let mut sequence = 0;
    // The first hints may come before anybody listens.
    until("a hint comes through", async || {
        let since = feed.start(&Filter::all()).await.unwrap();
        sequence += 1;
        writer.append(state(&grain, sequence, "x")).await.unwrap();
        let wait = feed.wait(&since, Duration::from_secs(3600));
        tokio::time::timeout(Duration::from_millis(200), wait)
            .await
            .is_ok()
    })
    .await;
    // From here on each does.
    for _ in 0..20 {
        let since = feed.start(&Filter::all()).await.unwrap();
        sequence += 1;
        writer.append(state(&grain, sequence, "x")).await.unwrap();
        let wait = feed.wait(&since, Duration::from_secs(3600));
        let woken = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(woken.is_ok(), "an append of another process wakes nobody");
    }
    // Its connection is cut: it comes back.
    let admin = Sql::connect(&Postgres::shared().unwrap().admin_url()).await;
    admin
        .run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN {}%'",
            schema_of(&url)
        ))
        .await;
    until("it listens again", async || {
        let since = feed.start(&Filter::all()).await.unwrap();
        sequence += 1;
        writer.append(state(&grain, sequence, "x")).await.unwrap();
        let wait = feed.wait(&since, Duration::from_secs(3600));
        tokio::time::timeout(Duration::from_millis(200), wait)
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_far_behind_finds_the_few_that_are_named() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    let few = Filter::grain_type("few");
    let start = log.feed().unwrap().start(&few).await.unwrap();
    let mut batch = Vec::new();
    for number in 0..12_000 {
        let name = if number % 1500 == 700 { "few" } else { "many" };
        let grain = GrainId::new(name, number.to_string()).unwrap();
        batch.push(state(&grain, 1, "x"));
        if batch.len() == 1000 {
            log.append_batch(&batch).await.unwrap();
            batch.clear();
        }
    }
    // Pages that look at some thousand each, and end.
    let (mut named, mut pages, mut since) = (Vec::new(), 0, start);
    loop {
        let page = log.feed().unwrap().changes(&since, &few, 16).await.unwrap();
        assert!(
            page.complete || page.next != since,
            "a page that does not get on"
        );
        named.extend(page.moved.into_iter().map(|moved| moved.grain));
        pages += 1;
        since = page.next;
        if page.complete {
            break;
        }
    }
    assert_eq!(named.len(), 8);
    assert!((2..20).contains(&pages), "{pages} pages");
}
