//! Settings that a server, a database or a role comes with, and what the log's own transactions run with.

use gleaner_core::{Claim, Cursor, Draft, Entry, Epoch, GrainId, ReplicationLog, Writer};
use gleaner_postgres::PostgresLog;
use gleaner_servers::{Postgres, or_skip};

use crate::server::{Sql, is_installed, until};

fn grain() -> GrainId {
    GrainId::new("t", "x").unwrap()
}

fn entry(sequence: u64) -> Entry {
    Draft::full(grain(), Cursor::new(1, sequence), Writer::new(7), "state").seal()
}

fn claim() -> [Claim; 1] {
    [Claim {
        grain: grain(),
        epoch: Epoch::new(1),
        writer: Writer::new(7),
    }]
}

/// Has the server write down what each of the log's writes runs with: `setting` within it, and what the
/// server's files say to that session.
async fn watched(url: &str, setting: &str) -> Sql {
    let sql = Sql::connect(url).await;
    sql.run(&format!(
        "CREATE TABLE public.seen (pid int, is_entry bool, setting text, filed text);
         CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO public.seen SELECT pg_backend_pid(), TG_TABLE_NAME = ''entry'', \
         current_setting(''{setting}''), \
         (SELECT reset_val FROM pg_settings WHERE name = ''{setting}''); RETURN NULL; END';
         CREATE TRIGGER see AFTER INSERT ON gleaner.entry \
         FOR EACH ROW EXECUTE FUNCTION public.see();
         CREATE TRIGGER see AFTER INSERT OR UPDATE ON gleaner.grain \
         FOR EACH ROW EXECUTE FUNCTION public.see()"
    ))
    .await;
    sql
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_makes_no_commit_asynchronous() {
    let Some(server) = or_skip(Postgres::start()) else {
        return;
    };
    // A session of its own for a transaction each is the most that a pooler may do; one for all, the least.
    for (database, query) in [("direct", ""), ("pooled", "?pooler=true")] {
        let url = server.create_database(database);
        let log = PostgresLog::open(&format!("{url}{query}")).await.unwrap();
        let sql = watched(&url, "synchronous_commit").await;
        log.append(entry(1)).await.unwrap();
        log.claim(&claim()).await.unwrap();
        server.sql("ALTER SYSTEM SET synchronous_commit = off; SELECT pg_reload_conf()");
        // Until it has reached both sessions: one appends, straight and the long way, one claims and truncates.
        let mut sequence = 1;
        let reached = "SELECT count(*) FROM (SELECT pid FROM public.seen WHERE filed = 'off' \
                       GROUP BY pid HAVING count(*) > 10) s";
        until("the reload has reached all sessions", async || {
            log.append(entry(sequence + 1)).await.unwrap();
            let run = [entry(sequence + 2), entry(sequence + 3)];
            log.append_batch(&run).await.unwrap();
            log.claim(&claim()).await.unwrap()[0].as_ref().unwrap();
            log.truncate(&grain(), Cursor::new(1, sequence))
                .await
                .unwrap();
            sequence += 3;
            sql.number(reached).await == 2
        })
        .await;
        let asynchronous = "SELECT count(*) FROM public.seen WHERE setting = 'off'";
        assert_eq!(sql.number(asynchronous).await, 0, "{database}");
        server.sql("ALTER SYSTEM RESET synchronous_commit; SELECT pg_reload_conf()");
        let off = "SELECT count(*) FROM pg_settings \
                   WHERE name = 'synchronous_commit' AND setting = 'off'";
        until("the next begins as this one did", async || {
            Sql::connect(&url).await.number(off).await == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stronger_commit_stays() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let url = server.create_database("stronger");
    server.sql("ALTER DATABASE stronger SET synchronous_commit = remote_apply");
    for query in ["", "?pooler=true"] {
        let log = PostgresLog::open(&format!("{url}{query}")).await.unwrap();
        let sql = watched(&url, "synchronous_commit").await;
        log.append(entry(1)).await.unwrap();
        log.claim(&claim()).await.unwrap();
        log.append(entry(2)).await.unwrap();
        let others = "SELECT count(*) FROM public.seen WHERE setting <> 'remote_apply'";
        assert_eq!(sql.number(others).await, 0);
        let seen = "SELECT count(*) FROM public.seen WHERE is_entry";
        assert_eq!(sql.number(seen).await, 2);
        sql.run("DROP TABLE public.seen; DROP FUNCTION public.see() CASCADE")
            .await;
        sql.run("DROP SCHEMA gleaner CASCADE").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_isolation_is_not_taken_over() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    for isolation in ["serializable", "repeatable read"] {
        let database = isolation.replace(' ', "_");
        let url = server.create_database(&database);
        server.sql(&format!(
            "ALTER ROLE gleaner IN DATABASE {database} SET default_transaction_isolation = '{isolation}'"
        ));
        let log = PostgresLog::open(&url).await.unwrap();
        let sql = watched(&url, "transaction_isolation").await;
        log.append(entry(1)).await.unwrap();
        log.claim(&claim()).await.unwrap();
        log.append(entry(2)).await.unwrap();
        let seen = "SELECT count(*) FROM public.seen WHERE setting = 'read committed'";
        let all = "SELECT count(*) FROM public.seen";
        assert_eq!(sql.number(seen).await, sql.number(all).await, "{isolation}");
        assert!(sql.number(seen).await >= 4);
        // Behind a pooler there is no session to set it for.
        let pooled = PostgresLog::open(&format!("{url}?pooler=true")).await;
        let said = pooled.err().unwrap();
        assert_eq!(said.kind(), gleaner_core::ErrorKind::Permanent, "{said}");
        let why = format!("default_transaction_isolation = {isolation}");
        assert!(said.to_string().contains(&why), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_bounded_on_the_server_behind_a_pooler_too() {
    if !is_installed() {
        return;
    }
    let url = Postgres::shared().unwrap().create_database("bounded");
    let log = PostgresLog::open(&format!("{url}?pooler=true"))
        .await
        .unwrap();
    let sql = watched(&url, "statement_timeout").await;
    // The long way.
    log.append(entry(1)).await.unwrap();
    let bounded = "SELECT count(*) FROM public.seen WHERE setting = '30s' AND is_entry";
    assert_eq!(sql.number(bounded).await, 1);
}
