//! Both sides at a PostgreSQL server of the test's own.

use gleaner_servers::{Postgres, or_skip};

use crate::aggregate::{expected, january};
use crate::pair::dumps_january_in;
use crate::program::Place;

/// A URL as users are told to write it, and the password, which is in a file of its own.
fn url_and_secret(place: &Place, server: &Postgres, schema: &str) -> (String, String) {
    let url = server.url();
    let (before, behind) = url.split_once('@').unwrap();
    let (user, secret) = before.rsplit_once(':').unwrap();
    let file = place.write("password", format!("{secret}\n"));
    let url = format!(
        "{user}@{behind}?schema={schema}&password-file={}",
        file.display()
    );
    (url, secret.to_owned())
}

#[test]
fn a_month_through_a_database_gives_the_same_dump() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let place = Place::new();
    let (url, secret) = url_and_secret(&place, server, "pair");
    let ended = dumps_january_in(&place, &["--log", &url]);
    assert!(!format!("{ended:?}").contains(&secret), "{ended:#?}");
    // What is in it is somebody's history, and not a file to delete.
    let again = place.refused(&["--log", &url], "already holds aircraft");
    let fresh = place.refused(&["--log", &url, "--fresh"], "sqlite:PATH only");
    for ended in [again, fresh] {
        assert!(
            !format!("{ended:?}").contains("password-file"),
            "{ended:#?}"
        );
    }
}

#[test]
fn sides_alone_meet_in_a_database() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let place = Place::new();
    // The password in the URL, where it is seen by whoever lists processes, and by nobody else.
    let url = format!("{}?schema=sides", server.url());
    let input = january().to_str().unwrap().to_owned();
    let mut secondary = place.start(&["secondary", "--log", &url, "--dump", "dump.csv", "--watch"]);
    let primary = place.good(&["primary", "--input", &input, "--log", &url]);
    // In step with a part of the month, perhaps: only one that began after the primary is sure of all.
    secondary.until_said("converged=true");
    let late = place.good(&["secondary", "--log", &url, "--dump", "late.csv"]);
    assert_eq!(place.text("late.csv"), expected(&january()));
    let secret = url.split_once('@').unwrap().0.rsplit_once(':').unwrap().1;
    for ended in [primary, late] {
        assert!(!format!("{ended:?}").contains(secret), "{ended:#?}");
    }
}
