use super::*;

fn refused(url: &str) -> String {
    match Place::of(url) {
        Ok(place) => panic!("{url} was taken as {place:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_url_says_where_and_how() {
    let place = Place::of("postgres://gleaner:hush@db.example:6543/app?schema=Fleet%22s").unwrap();
    assert_eq!(&*place.name, "db.example:6543/app (Fleet\"s)");
    assert_eq!(place.schema, "\"Fleet\"\"s\"");
    assert!(!place.pooler && matches!(place.tls, Tls::Plain));
    let place =
        Place::of("postgresql://gleaner@one,two:7/app?pooler=true&connect_timeout=1").unwrap();
    assert_eq!(&*place.name, "one:5432,two:7/app (gleaner)");
    assert!(place.pooler);
    // The first that is the primary.
    let attributes = place.config.get_target_session_attrs();
    assert_eq!(
        attributes,
        tokio_postgres::config::TargetSessionAttrs::ReadWrite
    );
}

#[test]
fn bad_urls_are_named_and_no_secret_is_repeated() {
    for (url, why) in [
        ("postgres:hush", "postgres://"),
        ("postgres://gleaner:hush@db.example:x/app", "not a URL"),
        ("postgres://gleaner:hush@/app", "a host"),
        ("postgres://db.example/app?password=hush", "a user"),
        ("postgres://gleaner:hush@db/app?hush=hush2", "not a URL"),
        ("postgres://gleaner:hush@db/app?schema=", "follows schema="),
        (
            "postgres://gleaner:hush@db/app?schema=pg_x",
            "the server's own",
        ),
        (
            "postgres://gleaner:hush@db/app?pooler=hush",
            "true or false",
        ),
        (
            "postgres://gleaner:hush@db/app?sslmode=require",
            "sslrootcert",
        ),
        (
            "postgres://gleaner:hush@db/app?sslmode=verify-full",
            "sslrootcert",
        ),
        ("postgres://gleaner:hush@db/app?sslmode=hush", "not a URL"),
        (
            "postgres://gleaner:hush@db/app?sslrootcert=/nowhere/ca.pem",
            "/nowhere/ca.pem",
        ),
        (
            "postgres://gleaner@db/app?password-file=/nowhere/pw",
            "/nowhere/pw",
        ),
    ] {
        let said = refused(url);
        assert!(said.contains(why), "{said} says {why:?}");
        assert!(!said.contains("hush"), "{said} repeats a secret");
    }
    let place = Place::of("postgres://gleaner:hush@db/app").unwrap();
    assert!(!format!("{place:?} {:?}", place.config).contains("hush"));
}
