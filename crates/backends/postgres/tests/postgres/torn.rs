//! Rows that the server itself cannot read, and whom they harm.

use gleaner_core::{
    Advance, Budget, Caught, Cursor, Draft, Entry, ErrorKind, Filter, GrainId, LogId, ReplicaStore,
    ReplicationLog, Writer,
};
use gleaner_postgres::{PostgresLog, PostgresReplicaStore};
use gleaner_servers::Postgres;

use crate::damage::{KEYS, filled, grain, is_of};
use crate::server::{Sql, is_installed, until};

/// A payload that lies beside its row, and is told from others by each of its bytes.
fn large(key: &str, sequence: u64, byte: u8) -> Entry {
    let cursor = Cursor::new(1, sequence);
    Draft::full(grain(key), cursor, Writer::new(9), vec![byte; 5000]).seal()
}

/// Takes away what lies beside a table's rows and begins with a byte, as if its pages were lost.
async fn tear(admin: &Sql, table: &str, column: &str, byte: u8) {
    let beside = format!(
        "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = '{table}'::regclass"
    );
    let beside = admin.word(&beside).await.unwrap();
    let lost = format!("SELECT count(*) FROM {beside} WHERE get_byte(chunk_data, 0) = {byte}");
    assert!(admin.number(&lost).await > 0);
    let kind = format!("UPDATE pg_class SET relkind = 'r' WHERE oid = '{beside}'::regclass");
    admin.run(&kind).await;
    admin
        .run(&format!(
            "DELETE FROM {beside} WHERE get_byte(chunk_data, 0) = {byte}"
        ))
        .await;
    admin.run(&kind.replace("'r'", "'t'")).await;
    // What is deleted there is found all the same until it is swept out.
    until("the pages are lost", async || {
        admin.run(&format!("VACUUM {table}")).await;
        let all = format!("SELECT count(md5({column}))::text FROM {table}");
        admin.word(&all).await == Err("XX001".to_owned())
    })
    .await;
    assert_eq!(admin.number(&lost).await, 0);
}

async fn of_the_admin(server: &Postgres, database: &str) -> Sql {
    let url = server.admin_url();
    let (place, _) = url.rsplit_once('/').unwrap();
    Sql::connect(&format!("{place}/{database}")).await
}

#[tokio::test]
async fn what_the_server_cannot_read_harms_its_grain_alone() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let url = server.create_database("torn");
    let admin = of_the_admin(server, "torn").await;
    let log = PostgresLog::open(&url).await.unwrap();
    let keys: Vec<String> = (0..40).map(|key| format!("{key:02}")).collect();
    // A whole entry, one that is torn or not, and one behind.
    let is_hit = |at: usize| [0, 17, 18, 39].contains(&at);
    for (at, key) in keys.iter().enumerate() {
        let base = large(key, 1, b'a');
        let cursor = Cursor::new(1, 2);
        let byte = if is_hit(at) { b'h' } else { b'b' };
        let delta = Draft::delta(
            grain(key),
            cursor,
            Writer::new(9),
            base.digest(),
            vec![byte; 5000],
        );
        let delta = delta.seal();
        let cursor = Cursor::new(1, 3);
        let last = Draft::delta(grain(key), cursor, Writer::new(9), delta.digest(), "c").seal();
        log.append_batch(&[base, delta, last]).await.unwrap();
    }
    tear(&admin, "gleaner.entry", "payload", b'h').await;
    for budget in [
        Budget::UNBOUNDED,
        Budget::new(1, usize::MAX),
        Budget::new(7, usize::MAX),
        Budget::new(100, 1),
        Budget::new(100, 12_000),
    ] {
        let mut wants: Vec<(GrainId, Cursor)> =
            keys.iter().map(|key| (grain(key), Cursor::ZERO)).collect();
        let (mut failed, mut reached) = (Vec::new(), vec![Cursor::ZERO; keys.len()]);
        while !wants.is_empty() {
            let answer = log.catch_up(&wants, budget).await.unwrap();
            let (mut entries, mut bytes, mut next) = (0, 0, Vec::new());
            for ((id, at), caught) in wants.into_iter().zip(answer.grains) {
                let number: usize = id.grain_key().parse().unwrap();
                match caught {
                    Caught::Failed(error) => {
                        is_of(id.grain_key(), &error, "torn");
                        failed.push(number);
                    }
                    Caught::Deferred => next.push((id, at)),
                    Caught::Run(run) => {
                        entries += run.entries.len();
                        bytes += run
                            .entries
                            .iter()
                            .map(|it| it.payload().len())
                            .sum::<usize>();
                        let cursor = run.entries.last().unwrap().cursor();
                        assert!(cursor > at);
                        reached[number] = cursor;
                        if !run.complete {
                            next.push((id, cursor));
                        }
                    }
                }
            }
            assert!(
                next.is_empty() || entries > 0,
                "{budget:?}: nobody is served"
            );
            assert!(entries <= 1 || entries <= budget.entries() && bytes <= budget.bytes());
            wants = next;
        }
        failed.sort_unstable();
        assert_eq!(failed, [0, 17, 18, 39], "{budget:?}");
        for (at, cursor) in reached.into_iter().enumerate() {
            let end = if is_hit(at) { 1 } else { 3 };
            assert_eq!(cursor, Cursor::new(1, end), "{budget:?}: grain {at}");
        }
    }
    // A page ends before it, and one that begins with it says so.
    let hit = grain("17");
    let page = log
        .read_from(&hit, Cursor::ZERO, Budget::UNBOUNDED)
        .await
        .unwrap();
    assert_eq!((page.entries.len(), page.more), (1, true));
    let one = log
        .read_from(&hit, Cursor::ZERO, Budget::new(1, usize::MAX))
        .await
        .unwrap();
    assert_eq!((one.entries.len(), one.more), (1, true));
    let next = log
        .read_from(&hit, Cursor::new(1, 1), Budget::UNBOUNDED)
        .await;
    is_of("17", &next.err().unwrap(), "a page that begins with it");
}

#[tokio::test]
async fn a_state_that_the_server_cannot_read_is_told_with_its_name() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let url = server.create_database("torn_states");
    let store = PostgresReplicaStore::open(&url, None).await.unwrap();
    let id = LogId::new("log");
    store.bind(&id, None).await.unwrap();
    let grains = KEYS.map(grain);
    let marks = store.cursor(&grains).await.unwrap();
    let bytes = [b'a', b'h', b'b'];
    let states = KEYS.iter().zip(marks).zip(bytes);
    let runs = states.map(|((key, mark), byte)| Advance {
        grain: grain(key),
        generation: mark.generation,
        entries: vec![large(key, 1, byte)],
    });
    store.apply(&id, runs.collect()).await.unwrap();
    let marks = store.cursor(&grains).await.unwrap();
    let admin = of_the_admin(server, "torn_states").await;
    tear(&admin, "gleaner.replica", "state", b'h').await;
    is_of("hit", &store.get(&grains[1]).await.err().unwrap(), "get");
    let listed = store.list(&Filter::all(), None, 10).await;
    assert_eq!(listed.err().unwrap().kind(), ErrorKind::Permanent);
    // Where it stands is known, and a whole state puts it right.
    assert_eq!(store.cursor(&grains).await.unwrap(), marks);
    let whole = Advance {
        grain: grains[1].clone(),
        generation: marks[1].generation,
        entries: vec![large("hit", 2, b'c')],
    };
    let outcome = store.apply(&id, vec![whole]).await.unwrap().remove(0);
    assert_eq!((outcome.applied, outcome.stop), (1, None));
    let replica = store.get(&grains[1]).await.unwrap().unwrap();
    assert_eq!(replica.state(), Some(&[b'c'; 5000][..]));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_at_all_is_no_grains_trouble() {
    if !is_installed() {
        return;
    }
    let (log, sql, schema) = filled(&KEYS).await;
    // What the server says of a page that it cannot read, said of the table of entries and of the log's own.
    for own in [false, true] {
        let table = if own { "log" } else { "entry" };
        let wants = KEYS.map(|key| (grain(key), Cursor::ZERO));
        sql.run(&format!(
            "CREATE FUNCTION {schema}.torn() RETURNS bool LANGUAGE plpgsql COST 1 AS \
             'BEGIN RAISE EXCEPTION ''torn'' USING ERRCODE = ''XX001''; END';
             ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY;
             ALTER TABLE {schema}.{table} FORCE ROW LEVEL SECURITY;
             CREATE POLICY torn ON {schema}.{table} USING ({schema}.torn())"
        ))
        .await;
        let answer = log.catch_up(&wants, Budget::UNBOUNDED).await;
        if own {
            let error = answer.err().unwrap();
            assert_eq!((error.kind(), error.grain()), (ErrorKind::Permanent, None));
        } else {
            for (key, caught) in KEYS.iter().zip(answer.unwrap().grains) {
                let Caught::Failed(error) = caught else {
                    panic!("{caught:?}");
                };
                is_of(key, &error, "torn");
            }
        }
        sql.run(&format!(
            "ALTER TABLE {schema}.{table} NO FORCE ROW LEVEL SECURITY;
             DROP POLICY torn ON {schema}.{table}; DROP FUNCTION {schema}.torn()"
        ))
        .await;
    }
}
