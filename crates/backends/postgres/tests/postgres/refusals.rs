//! Servers, settings and tables that are refused, and what is said of them.

use gleaner_core::{
    Budget, ChangeFeed, Cursor, Draft, ErrorKind, Filter, GrainId, ReplicaStore, ReplicationLog,
    Writer,
};
use gleaner_postgres::{PostgresLog, PostgresReplicaStore};
use gleaner_servers::{Postgres, or_skip};

use crate::server::{Sql, fresh, is_installed, schema_of};

fn entry(sequence: u64) -> gleaner_core::Entry {
    let grain = GrainId::new("t", "x").unwrap();
    Draft::full(grain, Cursor::new(1, sequence), Writer::new(7), "state").seal()
}

async fn refused(url: &str) -> gleaner_core::Error {
    let error = PostgresLog::open(url).await.err().unwrap();
    let said = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{said}");
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(!said.contains(password), "{said}");
    assert!(!format!("{error:?}").contains(password));
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_would_lose_what_it_acknowledged_is_refused() {
    let unsafe_one = Postgres::builder().setting("fsync", "off").start();
    let Some(mut server) = or_skip(unsafe_one) else {
        return;
    };
    let said = refused(&server.url()).await.to_string();
    assert!(said.contains("fsync = off"), "{said}");
    server.sql("ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = off");
    server.shut_down();
    server.restart();
    let said = refused(&server.url()).await.to_string();
    assert!(said.contains("full_page_writes = off"), "{said}");
    // The same server, set right meanwhile, is taken; an asynchronous commit is set right by the session.
    server.sql("ALTER SYSTEM SET synchronous_commit = off");
    server.sql("ALTER SYSTEM SET full_page_writes = on");
    server.shut_down();
    server.restart();
    let log = PostgresLog::open(&server.url()).await.unwrap();
    log.append(entry(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_commit_is_set_right_or_refused() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let url = server.create_database("asynchronous");
    server.sql("ALTER DATABASE asynchronous SET synchronous_commit = off");
    let log = PostgresLog::open(&url).await.unwrap();
    // What the server itself sees of an append in the middle of its transaction.
    let sql = Sql::connect(&url).await;
    sql.run(
        "CREATE TABLE public.seen (setting text);
         CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO public.seen VALUES (current_setting(''synchronous_commit'')); RETURN NEW; END';
         CREATE TRIGGER see AFTER INSERT ON gleaner.entry FOR EACH ROW EXECUTE FUNCTION public.see()",
    )
    .await;
    // The long way, and the straight one.
    log.append(entry(1)).await.unwrap();
    log.append(entry(2)).await.unwrap();
    let right = "SELECT count(*) FROM public.seen WHERE setting = 'on'";
    assert_eq!(sql.number(right).await, 2);
    // Behind a pooler there is no session to set it for.
    let said = refused(&format!("{url}?pooler=true")).await.to_string();
    assert!(said.contains("synchronous_commit = off"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_be_written_is_no_place_for_a_log() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let url = server.create_database("read_only");
    server.sql("ALTER DATABASE read_only SET default_transaction_read_only = on");
    let host = format!("127.0.0.1:{}", server.port());
    let twice = url.replace(&host, &format!("{host},{host}"));
    for url in [&url, &twice, &format!("{url}?pooler=true")] {
        let said = refused(url).await.to_string();
        assert!(
            said.contains("default_transaction_read_only = on"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_is_told_so() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    server.sql("CREATE ROLE guest LOGIN PASSWORD 'hushhush'");
    let guest = format!(
        "postgres://guest:hushhush@127.0.0.1:{}/gleaner",
        server.port()
    );
    let said = refused(&guest).await.to_string();
    assert!(said.contains("permission denied"), "{said}");
    let wrong = guest.replace("hushhush", "guesswork");
    let said = refused(&wrong).await.to_string();
    assert!(said.contains("password authentication failed"), "{said}");
    let forgotten = guest.replace(":hushhush", "");
    assert_ne!(forgotten, guest);
    let error = PostgresLog::open(&forgotten).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    assert!(error.to_string().contains("password missing"), "{error}");
    let error = PostgresReplicaStore::open(&forgotten, None)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    let url = server.url();
    let (place, _) = url.rsplit_once('/').unwrap();
    let nowhere = format!("{place}/nowhere");
    let said = refused(&nowhere).await.to_string();
    assert!(said.contains("does not exist"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_newer_version_are_left_alone() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let schema = schema_of(&url);
    let log = PostgresLog::open(&url).await.unwrap();
    let head = log.append(entry(1)).await.unwrap();
    let since = log.start(&Filter::all()).await.unwrap();
    let sql = Sql::connect(&url).await;
    let newer = format!("UPDATE {schema}.layout SET version = version + 1 WHERE name = 'log'");
    sql.run(&newer).await;
    let said = refused(&url).await.to_string();
    assert!(said.contains("version 2"), "{said}");
    // One that was open already finds it out at each call.
    let grain = GrainId::new("t", "x").unwrap();
    let claim = gleaner_core::Claim {
        grain: grain.clone(),
        epoch: gleaner_core::Epoch::new(9),
        writer: Writer::new(9),
    };
    let permanent = |error: Option<gleaner_core::Error>| {
        let error = error.expect("it was done all the same");
        assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    };
    permanent(log.append(entry(2)).await.err());
    permanent(log.claim(&[claim]).await.err());
    permanent(log.truncate(&grain, head.cursor).await.err());
    permanent(log.identity().await.err());
    // Grains that are not there tell no less.
    for grain in [grain.clone(), GrainId::new("t", "absent").unwrap()] {
        permanent(log.heads(std::slice::from_ref(&grain)).await.err());
        let read = log.read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED);
        permanent(read.await.err());
        let wants = [(grain, Cursor::ZERO)];
        permanent(log.catch_up(&wants, Budget::UNBOUNDED).await.err());
    }
    permanent(log.catch_up(&[], Budget::UNBOUNDED).await.err());
    for filter in [
        Filter::all(),
        Filter::grain_type("t"),
        Filter::grain_type("absent"),
    ] {
        permanent(log.list_heads(&filter, None, 10).await.err());
        permanent(log.start(&filter).await.err());
        permanent(log.changes(&since, &filter, 10).await.err());
    }
    sql.run(&newer.replace("version + 1", "version - 1")).await;
    assert_eq!(log.heads(&[grain]).await.unwrap(), [Some(head)]);
}

/// A pooler may lead a session that was looked at to another server, by and by. Here the server itself begins to
/// say that it is a standby: names are looked up as the database says, since nothing is set for a session.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_become_a_standby_behind_a_pooler_is_not_read() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let url = server.create_database("lagging");
    let sql = Sql::connect(&url).await;
    sql.run(
        "CREATE SCHEMA odd; CREATE TABLE odd.standby ();
         CREATE FUNCTION odd.pg_is_in_recovery() RETURNS bool LANGUAGE sql STABLE AS \
         'SELECT EXISTS (SELECT FROM odd.standby)'",
    )
    .await;
    server.sql("ALTER DATABASE lagging SET search_path = odd, pg_catalog");
    let log = PostgresLog::builder(&url).unwrap().pooler(true);
    let log = log.open().await.unwrap();
    let store = PostgresReplicaStore::builder(&url).unwrap().pooler(true);
    let store = store.open().await.unwrap();
    let head = log.append(entry(1)).await.unwrap();
    let since = log.start(&Filter::all()).await.unwrap();
    let id = gleaner_core::LogId::new("log");
    store.bind(&id, None).await.unwrap();
    sql.run("INSERT INTO odd.standby DEFAULT VALUES").await;
    let refused = |what: &str, error: Option<gleaner_core::Error>| {
        let error = error.unwrap_or_else(|| panic!("{what} was answered"));
        assert_eq!(error.kind(), ErrorKind::Transient, "{what}: {error}");
        assert!(error.to_string().contains("standby"), "{what}: {error}");
    };
    for key in ["x", "absent"] {
        let grain = GrainId::new("t", key).unwrap();
        let grains = std::slice::from_ref(&grain);
        refused("heads", log.heads(grains).await.err());
        let read = log.read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED);
        refused("read_from", read.await.err());
        let wants = [(grain.clone(), Cursor::ZERO)];
        let caught = log.catch_up(&wants, Budget::UNBOUNDED).await;
        refused("catch_up", caught.err());
        refused("get", store.get(&grain).await.err());
        refused("cursor", store.cursor(grains).await.err());
    }
    for filter in [Filter::all(), Filter::grain_type("absent")] {
        let listed = log.list_heads(&filter, None, 10).await;
        refused("list_heads", listed.err());
        refused("start", log.start(&filter).await.err());
        refused("changes", log.changes(&since, &filter, 10).await.err());
        refused("list", store.list(&filter, None, 10).await.err());
    }
    refused("identity", log.identity().await.err());
    refused("bind", store.bind(&id, None).await.err());
    // It is promoted.
    sql.run("DELETE FROM odd.standby").await;
    let grain = GrainId::new("t", "x").unwrap();
    assert_eq!(log.heads(&[grain]).await.unwrap(), [Some(head)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_to_be_made_is_not_made() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let absent = PostgresLog::builder(&url)
        .unwrap()
        .create(false)
        .open()
        .await;
    let said = absent.err().unwrap();
    assert_eq!(said.kind(), ErrorKind::Permanent);
    let made = format!(
        "SELECT count(*) FROM pg_namespace WHERE nspname = '{}'",
        schema_of(&url).trim_matches('"').replace("\"\"", "\"")
    );
    assert_eq!(Sql::connect(&url).await.number(&made).await, 0);
    PostgresLog::open(&url).await.unwrap();
    PostgresLog::builder(&url)
        .unwrap()
        .create(false)
        .open()
        .await
        .unwrap();
}
