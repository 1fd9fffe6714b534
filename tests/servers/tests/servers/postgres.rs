//! PostgreSQL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gleaner_servers::{Postgres, or_skip};

use crate::leftovers::family_of;
use crate::wait::{restart_on_a_taken_port, until};

/// What a role sees through a URL, asked by the psql of whoever runs the tests.
fn through(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["-X", "-A", "-t", "-q", "-w", "-c", sql, url])
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn first_process(server: &Postgres) -> u32 {
    let file = fs::read_to_string(server.folder().join("postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

#[test]
fn an_ordinary_role_owns_its_database_and_needs_its_password() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let who = "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user";
    assert_eq!(through(&server.url(), who).unwrap(), "gleaner|f");
    assert_eq!(through(&server.admin_url(), who).unwrap(), "postgres|t");
    assert_eq!(server.sql("SHOW password_encryption"), "scram-sha-256");
    assert_eq!(server.sql("SHOW fsync"), "on");
    let shared_memory = server.folder().join("pg_dynshmem");
    assert!(files(&shared_memory) > 0, "it is where it will be removed");

    through(&server.url(), "CREATE TABLE owned (n int)").unwrap();
    let wrong = server.url().replace('@', "x@");
    let refused = through(&wrong, "SELECT 1").unwrap_err();
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );

    let other = server.create_database("another");
    assert!(
        other.ends_with(&format!(":{}/another", server.port())),
        "{other}"
    );
    through(&other, "CREATE TABLE owned (n int)").unwrap();
    assert_eq!(
        through(&other, "SELECT current_database()").unwrap(),
        "another"
    );
}

#[test]
fn all_tests_share_one() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let again = Postgres::shared().unwrap();
    assert_eq!(again.port(), server.port());
}

#[test]
fn killed_shut_down_and_restarted_it_keeps_port_and_data() {
    let settings = Postgres::builder()
        .setting("max_connections", "17")
        .setting("cluster_name", "it's");
    let Some(mut server) = or_skip(settings.start()) else {
        return;
    };
    assert_eq!(server.sql("SHOW max_connections"), "17");
    assert_eq!(server.sql("SHOW cluster_name"), "it's");
    let url = server.url();
    through(&url, "CREATE TABLE kept (n int)").unwrap();
    through(&url, "INSERT INTO kept VALUES (1)").unwrap();

    let family = family_of(first_process(&server));
    assert!(family.len() > 3, "{family:?}");
    server.kill();
    assert!(!server.is_running());
    let note = server.folder().join("postmaster.pid");
    assert!(note.exists(), "it had no time to remove it");
    assert_eq!(family.iter().filter(|process| process.lives()).count(), 0);
    through(&url, "SELECT 1").unwrap_err();

    restart_on_a_taken_port(&mut server);
    assert_eq!(server.url(), url);
    through(&url, "INSERT INTO kept VALUES (2)").unwrap();

    server.shut_down();
    assert!(!server.is_running());
    through(&url, "SELECT 1").unwrap_err();
    assert!(!note.exists(), "it ended in good order");
    server.restart();
    assert_eq!(
        through(&url, "SELECT n FROM kept ORDER BY n").unwrap(),
        "1\n2"
    );
}

#[test]
fn paused_it_answers_nobody_and_then_goes_on() {
    let Some(mut server) = or_skip(Postgres::start()) else {
        return;
    };
    let family = family_of(first_process(&server));
    server.pause();
    // What was on its way into the kernel may still be.
    until("all are stopped", || {
        family
            .iter()
            .all(|process| process.is_stopped() || !process.lives())
    });
    let mut asking = Command::new("psql")
        .args(["-X", "-A", "-t", "-w", "-c", "SELECT 1", &server.url()])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(asking.try_wait().unwrap().is_none());
    assert!(server.is_running());
    server.resume();
    assert!(asking.wait().unwrap().success(), "it was waiting");
    assert!(family.iter().all(|process| !process.is_stopped()));

    server.pause();
    server.shut_down();
    assert!(!server.is_running());
}

#[test]
fn a_standby_streams_and_is_promoted() {
    let Some(mut primary) = or_skip(Postgres::start()) else {
        return;
    };
    primary.sql("CREATE TABLE seen (n int); INSERT INTO seen VALUES (1)");
    let mut standby = primary.standby().unwrap();
    assert_ne!(standby.port(), primary.port());
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
    primary.sql("INSERT INTO seen VALUES (2)");
    until("it streams", || {
        standby.sql("SELECT count(*) FROM seen") == "2"
    });

    primary.kill();
    primary.restart();
    primary.sql("INSERT INTO seen VALUES (3)");
    until("it found the primary again", || {
        standby.sql("SELECT count(*) FROM seen") == "3"
    });
    let system = "SELECT system_identifier FROM pg_control_system()";
    assert_eq!(standby.sql(system), primary.sql(system));

    primary.kill();
    standby.promote();
    standby.sql("INSERT INTO seen VALUES (4)");
    let segment = standby.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    assert!(
        segment.starts_with("00000002"),
        "a timeline of its own: {segment}"
    );
    assert_eq!(
        through(&standby.url(), "SELECT 5").unwrap(),
        "5",
        "the same roles"
    );
    standby.kill();
    standby.restart();
    assert_eq!(standby.sql("SELECT max(n) FROM seen"), "4");
}

#[test]
fn an_older_copy_is_put_back_and_a_folder_of_the_tests_own_left_empty() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let small = place.path().join("a 'small' disk");
    fs::create_dir(&small).unwrap();
    let Some(mut server) = or_skip(Postgres::builder().folder(&small).start()) else {
        return;
    };
    assert_eq!(server.folder().parent().unwrap(), small);
    assert_eq!(files(&small), 1, "its log is elsewhere");

    let aside = tempfile::tempdir().unwrap();
    server.sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");
    server.shut_down();
    server.copy_data(aside.path());
    server.restart();
    server.sql("INSERT INTO kept VALUES (2)");
    server.kill();
    server.restore_data(aside.path());
    server.restart();
    assert_eq!(server.sql("SELECT n FROM kept"), "1");

    drop(server);
    assert_eq!(files(&small), 0);
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_failing_statement_panics_with_what_the_server_said() {
    let Some(server) = or_skip(Postgres::shared()) else {
        return;
    };
    let failed = std::panic::catch_unwind(|| server.sql("SELECT 1; SELECT 1 / 0")).unwrap_err();
    let message = failed.downcast_ref::<String>().unwrap();
    assert!(message.contains("division by zero"), "{message}");
}
