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
    let hosts: Vec<String> = place
        .ways
        .iter()
        .map(|way| format!("{:?}:{:?}", way.get_hosts(), way.get_ports()))
        .collect();
    assert_eq!(hosts, ["[Tcp(\"one\")]:[5432]", "[Tcp(\"two\")]:[7]"]);
}

#[test]
fn the_way_to_a_host_is_what_the_url_says_of_it() {
    let url = "postgres://gleaner:hush@one:6,%2Frun%2Ftwo:7/app?hostaddr=10.0.0.1,10.0.0.2\
               &options=-c%20geqo%3Doff&application_name=x&connect_timeout=1&tcp_user_timeout=2\
               &keepalives=0&keepalives_idle=3&keepalives_interval=4&keepalives_retries=5\
               &target_session_attrs=read-write&channel_binding=disable&load_balance_hosts=random\
               &sslnegotiation=postgres&sslmode=disable";
    let all = format!("{:?}", Place::of(url).unwrap().config);
    let ways = Place::of(url).unwrap().ways;
    for (way, (host, address, port)) in ways.iter().zip([
        ("Tcp(\"one\")", "10.0.0.1", 6),
        ("Unix(\"/run/two\")", "10.0.0.2", 7),
    ]) {
        let alone = all
            .replace("Tcp(\"one\"), Unix(\"/run/two\")", host)
            .replace("10.0.0.1, 10.0.0.2", address)
            .replace("[6, 7]", &format!("[{port}]"));
        assert_ne!(alone, all);
        assert_eq!(format!("{way:?}"), alone);
        assert_eq!(way.get_password(), Some(b"hush".as_slice()));
    }
    assert_eq!(ways.len(), 2);
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
        ("postgres://gleaner:hush@a,b/app?port=1", "many ports"),
        (
            "postgres://gleaner:hush@a,b/app?hostaddr=10.0.0.1",
            "many hostaddr",
        ),
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
