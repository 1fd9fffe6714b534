//! Logs and replicas in a PostgreSQL database, and what is shown of its URL.

use gleaner_servers::{Postgres, or_skip};

use crate::program::{Ended, Place};

/// A URL into a schema of the test's own with the password in it, the password, and the same URL with the
/// password in a file of the place.
fn urls(place: &Place, server: &Postgres, schema: &str) -> (String, String, String) {
    let url = format!("{}?schema={schema}", server.url());
    let (before, behind) = url.split_once('@').unwrap();
    let (user, secret) = before.rsplit_once(':').unwrap();
    std::fs::write(place.path("password"), secret).unwrap();
    let by_file = format!("{user}@{behind}&password-file=password");
    (url.clone(), secret.to_owned(), by_file)
}

#[track_caller]
fn keeps(secret: &str, ended: &Ended) {
    assert!(!format!("{ended:?}").contains(secret), "{ended:#?}");
}

#[test]
fn every_command_takes_a_database() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let place = Place::new();
    let (url, secret, by_file) = urls(&place, server, "commands");
    let append = ["append", "--log", &by_file, "--type", "t", "--key", "k"];
    let first = place.good(&append, "one");
    assert!(
        first.stdout.starts_with("t \"k\" at 1:1, full"),
        "{first:?}"
    );
    place.good(
        &["append", "--log", &url, "--lines"],
        "{\"type\":\"t\",\"key\":\"k\",\"state\":\"two\"}\n",
    );
    let heads = place.good(&["heads", "--log", &url, "--json"], "").object();
    assert_eq!(heads["cursor"], "2:2");
    let shown = place.good(&["show", "--log", &by_file, "t", "k", "--json"], "");
    assert_eq!(shown.object()["state"], "two");
    let cut = place.good(&["truncate", "--log", &url, "t", "k"], "");
    assert!(cut.stdout.contains("1 entry removed"), "{cut:?}");
    let mut follow = vec!["follow", "--log", &by_file, "--all", "--once", "--json"];
    follow.extend(["--store", &url]);
    let followed = place.good(&follow, "");
    assert_eq!(followed.object()["state"], "two");
    for ended in [&first, &shown, &cut, &followed] {
        keeps(&secret, ended);
    }
}

#[test]
fn a_leader_of_a_database_does_not_say_its_password() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let place = Place::new();
    let (url, secret, _) = urls(&place, server, "served");
    let serve = [
        "serve",
        "--log",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--insecure",
        "--json",
    ];
    let mut running = place.start(&serve);
    let told = running.object();
    let shown = format!("postgres://...@127.0.0.1:{}/gleaner?...", server.port());
    assert_eq!(told["serving"], shown);
    let leader = format!("grpc://{}?insecure=true", told["listen"].as_str().unwrap());
    place.good(
        &["append", "--log", &leader, "--type", "t", "--key", "k"],
        "one",
    );
    let heads = place.good(&["heads", "--log", &url], "");
    assert!(heads.stdout.starts_with("t \"k\" at 1:1"), "{heads:?}");
    running.signal("TERM");
    keeps(&secret, &running.end());
}

#[test]
fn a_command_that_looks_makes_no_tables() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let place = Place::new();
    let (url, _, _) = urls(&place, server, "mistyped");
    let said = place.bad(&["heads", "--log", &url], "", 1, "permanent");
    assert!(said.contains("there is no log"), "{said}");
    let database = server.create_database("looked_at");
    let there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'mistyped'";
    assert_eq!(server.sql(there), "0");
    place.bad(&["show", "--log", &database, "t", "k"], "", 1, "permanent");
}

#[test]
fn no_secret_of_a_url_is_repeated() {
    let place = Place::new();
    // Nobody listens at port 1.
    let away = "postgres://gleaner:hush@127.0.0.1:1/app";
    for (arguments, code) in [
        (vec!["heads", away], 2),
        (vec!["heads", "--lgo", away], 2),
        (vec!["heads", "postgres:gleaner:hush@h/app"], 2),
        (vec!["heads", "gleaner:hush@h/app"], 2),
        (vec!["heads", "--lgo=gleaner:hush@h/app"], 2),
        (vec!["heads", "--log", "postgres://gleaner:hush@h:x/app"], 2),
        (
            vec!["heads", "--log", "postgres://u:hush@h/app?pooler=hush"],
            2,
        ),
        (
            vec![
                "follow",
                "--log",
                "memory:",
                "--all",
                "--store",
                "tape://u:hush@h",
            ],
            2,
        ),
        (
            vec![
                "append",
                "--log",
                "postgres://u@h?hush",
                "--type",
                "t",
                "--key",
                "k",
            ],
            2,
        ),
        (vec!["heads", "--log", "db?password=hush:x"], 2),
        (
            vec!["heads", "--log", "memory:", "--timeout=postgres://u:hush@h"],
            2,
        ),
        (vec!["heads", "--log", away, "--timeout", "200ms"], 5),
        (
            vec![
                "follow",
                "--log",
                away,
                "--all",
                "--once",
                "--timeout",
                "200ms",
            ],
            5,
        ),
    ] {
        for more in [&[][..], &["--json"]] {
            let arguments = [&arguments[..], more].concat();
            let ended = place.run(&arguments, "");
            keeps("hush", &ended);
            assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {ended:#?}");
            assert!(!ended.stderr.is_empty(), "{arguments:?}");
        }
    }
}
