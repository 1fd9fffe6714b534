//! Both sides at a leader that serves an SQLite file: nobody else opens it.

use std::sync::Arc;

use gleaner::Filter;
use gleaner::grpc::Leader;
use gleaner::grpc::access::{Access, Right, Rights, Secret};
use gleaner::sqlite::SqliteLog;

use crate::aggregate::{expected, january};
use crate::program::Place;

#[test]
fn a_month_through_a_leader_gives_the_same_dump() {
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let secret = Secret::draw().unwrap();
    let rights = Rights::of([Right::Read, Right::Append, Right::Claim, Right::Truncate]);
    let planes = [Filter::grain_type("aircraft")];
    let tokens = place.write(
        "tokens",
        secret.line("both", rights, &planes, None).unwrap(),
    );
    place.write("token", secret.expose());
    let leader = runtime.block_on(async {
        let log = SqliteLog::open(place.path("log.db")).await.unwrap();
        Leader::builder(Arc::new(log))
            .access(Access::file(tokens).unwrap())
            .insecure(true)
            .bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap()
    });
    let url = format!(
        "grpc://{}?insecure=true&token-file=token",
        leader.local_addr()
    );
    let input = january().to_str().unwrap().to_owned();
    place.good(&["primary", "--input", &input, "--log", &url]);
    let store = place.sqlite("replicas.db");
    place.good(&[
        "secondary",
        "--log",
        &url,
        "--store",
        &store,
        "--dump",
        "dump.csv",
    ]);
    assert_eq!(place.text("dump.csv"), expected(&january()));
    runtime.block_on(leader.shutdown());
}
