//! Reads whose plans the server would like to choose otherwise, and truncations that take long.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use gleaner_core::{
    Budget, Caught, Cursor, Draft, Entry, ErrorKind, Filter, GrainId, ReplicationLog, Slice, Writer,
};
use gleaner_postgres::PostgresLog;

use crate::server::{Sql, fresh, is_installed, schema_of};

fn history(key: &str, entries: u64) -> Vec<Entry> {
    let grain = GrainId::new("t", key).unwrap();
    (1..=entries)
        .map(|sequence| {
            let cursor = Cursor::new(1, sequence);
            Draft::full(grain.clone(), cursor, Writer::new(7), "state").seal()
        })
        .collect()
}

/// The base comes first, whatever follows: Deltas alone make a backlog that a catch-up has to read.
fn backlog(key: &str, deltas: u64) -> Vec<Entry> {
    let mut entries = history(key, 1);
    for sequence in 2..deltas + 2 {
        let before = entries.last().unwrap();
        let cursor = Cursor::new(1, sequence);
        let draft = Draft::delta(
            before.grain().clone(),
            cursor,
            Writer::new(7),
            before.digest(),
            "+",
        );
        entries.push(draft.seal());
    }
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_grain_asked_for_is_served_first_whatever_the_planner_believes() {
    if !is_installed() {
        return;
    }
    for pooler in [false, true] {
        let url = fresh();
        // The planner is told that the table of grains is all but empty, and keeps its plan.
        let first = PostgresLog::open(&url).await.unwrap();
        first.append(history("first", 1).remove(0)).await.unwrap();
        let sql = Sql::connect(&url).await;
        sql.run(&format!("ANALYZE {}.grain", schema_of(&url))).await;
        let log = PostgresLog::builder(&url)
            .unwrap()
            .pooler(pooler)
            .open()
            .await
            .unwrap();
        let budget = Budget::new(10, 1 << 20);
        log.catch_up(
            &[(GrainId::new("t", "first").unwrap(), Cursor::ZERO)],
            budget,
        )
        .await
        .unwrap();
        for number in 0..60 {
            let entries = backlog(&format!("{number:03}"), 20);
            log.append_batch(&entries).await.unwrap();
        }
        // Against the order of names.
        let wants: Vec<(GrainId, Cursor)> = (0..60)
            .rev()
            .map(|number| {
                (
                    GrainId::new("t", format!("{number:03}")).unwrap(),
                    Cursor::ZERO,
                )
            })
            .collect();
        let answer = log.catch_up(&wants, budget).await.unwrap();
        let Caught::Run(run) = &answer.grains[0] else {
            panic!("pooler {pooler}: {:?}", answer.grains[0]);
        };
        assert_eq!(run.entries.len(), 10, "pooler {pooler}");
        assert!(!run.complete);
        for (grain, caught) in answer.grains.iter().enumerate().skip(1) {
            assert!(
                matches!(caught, Caught::Deferred),
                "grain {grain}: {caught:?}"
            );
        }
    }
}

/// A way to the server that counts the bytes that come back.
fn counted(url: &str) -> (String, Arc<AtomicUsize>) {
    let (before, behind) = url.split_once('@').unwrap();
    let (server, path) = behind.split_once('/').unwrap();
    let server = server.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let bytes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&bytes);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let up = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut &up.0, &mut &up.1));
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(came @ 1..) = (&server).read(&mut buffer) {
                    counter.fetch_add(came, Ordering::SeqCst);
                    if (&client).write_all(&buffer[..came]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (format!("{before}@127.0.0.1:{port}/{path}"), bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_sends_the_heads_of_its_page_and_no_others() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    let grains: Vec<GrainId> = (0..6000)
        .map(|number| GrainId::new("t", format!("{number:05}")).unwrap())
        .collect();
    for grains in grains.chunks(1000) {
        let entries = grains.iter().map(|grain| {
            Draft::full(grain.clone(), Cursor::new(1, 1), Writer::new(7), "state").seal()
        });
        log.append_batch(&entries.collect::<Vec<_>>())
            .await
            .unwrap();
    }
    let (url, bytes) = counted(&url);
    let log = PostgresLog::builder(&url).unwrap().hints(false);
    let log = log.open().await.unwrap();
    let one_slice = Slice::of(&grains[3000]).get();
    let few = Filter::all().slices([one_slice]);
    let in_few = grains.iter().filter(|id| Slice::of(id).get() == one_slice);
    let in_few = in_few.count();
    assert!((1..50).contains(&in_few));
    for (filter, limit, expected) in [
        (Filter::all(), 10, 10),
        (Filter::grain_type("t"), 10, 10),
        (Filter::all(), 1000, 1000),
        (few, 1000, in_few),
    ] {
        // The statement is prepared by the first.
        log.list_heads(&filter, None, limit).await.unwrap();
        bytes.store(0, Ordering::SeqCst);
        let (mut after, mut listed, mut pages) = (None, 0, 0);
        while listed < expected {
            let page = log
                .list_heads(&filter, after.as_ref(), limit)
                .await
                .unwrap();
            listed += page.heads.len();
            after = page.next;
            pages += 1;
        }
        assert_eq!(listed, expected);
        let came = bytes.load(Ordering::SeqCst);
        // A row is a frame, two names and six numbers: some 110 bytes. The identity is some 50.
        let at_most = 130 * (expected + pages) + 300 * pages;
        println!("{limit} of {filter:?}: {came} bytes in {pages} pages");
        assert!(came <= at_most, "{filter:?}, {limit}: {came} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_goes_in_pieces_and_is_below_the_floor_at_once() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    let entries = history("long", 2);
    let grain = entries[0].grain().clone();
    log.append_batch(&entries).await.unwrap();
    // Past the log, since 25,000 appends would take long: numbers, and nothing that could be decoded.
    let (schema, sql) = (schema_of(&url), Sql::connect(&url).await);
    sql.run(&format!(
        "INSERT INTO {schema}.entry SELECT grain, epoch, n, writer, kind, prev, digest, written_at, \
         source, schema, payload FROM {schema}.entry, generate_series(3, 25000) n WHERE sequence = 2;
         UPDATE {schema}.grain SET head_sequence = 25000, base_sequence = 25000"
    ))
    .await;
    // One that is cut off behind its first step has moved the floor, and removed nothing.
    let act = format!(
        "CREATE FUNCTION {schema}.act() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN RAISE EXCEPTION ''not now''; END';
         CREATE TRIGGER act BEFORE DELETE ON {schema}.entry FOR EACH ROW \
         EXECUTE FUNCTION {schema}.act()"
    );
    sql.run(&act).await;
    let before = Cursor::new(1, 25_000);
    log.truncate(&grain, before).await.err().unwrap();
    let below = log
        .read_from(&grain, Cursor::new(1, 1), Budget::UNBOUNDED)
        .await;
    let kind = below.err().unwrap().kind();
    assert_eq!(kind, ErrorKind::Truncated { floor: before });
    let left = format!("SELECT count(*) FROM {schema}.entry");
    assert_eq!(sql.number(&left).await, 25_000);
    // What is left is removed by the next, and not read meanwhile: from ZERO, what stands first is the base.
    sql.run(&format!("DROP TRIGGER act ON {schema}.entry"))
        .await;
    let truncation = log.truncate(&grain, before).await.unwrap();
    assert_eq!((truncation.removed, truncation.floor), (24_999, before));
    assert_eq!(sql.number(&left).await, 1);
    assert_eq!(log.truncate(&grain, before).await.unwrap().removed, 0);
}
