//! `gleaner serve`, and every other command through it.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use crate::program::{Ended, LOG, Place, Running, objects};

/// A leader, and where it listens.
struct Served {
    running: Running,
    listen: String,
}

impl Served {
    /// Serves the log of a place on a free port.
    fn start(place: &Place, more: &[&str]) -> Self {
        Self::start_on(place, "127.0.0.1:0", more)
    }

    fn start_on(place: &Place, listen: &str, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--log", LOG, "--listen", listen, "--json"];
        arguments.extend(more);
        let mut running = place.start(&arguments);
        let told = running.object();
        assert_eq!(told["serving"], LOG);
        let listen = told["listen"].as_str().unwrap().to_owned();
        Self { running, listen }
    }

    /// Its unencrypted URL, and more in the query.
    fn url(&self, more: &str) -> String {
        format!("grpc://{}?insecure=true{more}", self.listen)
    }

    #[cfg(unix)]
    fn end(self, signal: &str) -> Ended {
        self.running.signal(signal);
        self.running.end()
    }
}

/// Makes a token: its line in `tokens`, its secret in a file of its name.
fn token(place: &Place, name: &str, more: &[&str]) -> String {
    let mut arguments = vec![
        "token",
        "new",
        "--json",
        "--name",
        name,
        "--token-file",
        "tokens",
    ];
    arguments.extend(more);
    let secret = place.good(&arguments, "").object()["secret"].clone();
    let secret = secret.as_str().unwrap().to_owned();
    write_secret(place, name, &secret);
    secret
}

/// A file for its owner alone: others are said.
fn write_secret(place: &Place, name: &str, secret: &str) {
    std::fs::write(place.path(name), secret).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(place.path(name), own).unwrap();
    }
}

fn append(place: &Place, url: &str, name: &str, key: &str) {
    let arguments = ["append", "--log", url, "--type", name, "--key", key];
    place.good(&arguments, format!("state of {key}"));
}

#[test]
#[cfg(unix)]
fn every_command_works_through_a_leader() {
    let place = Place::new();
    let served = Served::start(&place, &["--insecure"]);
    let url = served.url("");
    append(&place, &url, "a", "1");
    let lines = r#"{"type":"a","key":"1","state":"new"}
{"type":"a","key":"1","kind":"delta","state":"more"}
{"type":"a","key":"2","kind":"full","state":"two"}
"#;
    let told = place.good(&["append", "--log", &url, "--lines", "--json"], lines);
    assert_eq!(told.objects()[1]["cursor"], "2:3");
    let heads = |log: &str| place.good(&["heads", "--log", log], "").stdout;
    assert_eq!(heads(&url), heads(LOG));
    let show = |log: &str| {
        place
            .good(&["show", "--log", log, "a", "1", "--json"], "")
            .stdout
    };
    assert_eq!(show(&url), show(LOG));
    let truncated = place.good(&["truncate", "--log", &url, "a", "1", "--json"], "");
    assert_eq!(truncated.object()["floor"], "2:2");
    let once = place.good(
        &[
            "follow", "--log", &url, "--once", "--json", "--grain", "a", "2",
        ],
        "",
    );
    assert_eq!(once.object()["state"], "two");
    // In a store of its own, on and on.
    let mut follower = place.start(&[
        "follow",
        "--log",
        &url,
        "--type",
        "a",
        "--key-prefix",
        "2",
        "--json",
        "--store",
        "sqlite:replicas.db",
    ]);
    follower.until(|object| object["cursor"] == "1:1");
    append(&place, &url, "a", "2");
    follower.until(|object| object["cursor"] == "2:2");
    let ended = served.end("TERM");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    follower.signal("INT");
    assert_eq!(follower.end().status.code(), Some(0));
}

#[test]
#[cfg(unix)]
fn a_follower_waits_for_its_leader_and_goes_on_with_the_next() {
    let place = Place::new();
    place.append("a", "1", "one");
    let served = Served::start(&place, &["--insecure"]);
    let (url, listen) = (served.url(""), served.listen.clone());
    assert_eq!(served.end("INT").status.code(), Some(0));
    let mut follower = place.start(&[
        "follow",
        "--log",
        &url,
        "--all",
        "--json",
        "--poll-interval",
        "20ms",
    ]);
    let served = Served::start_on(&place, &listen, &["--insecure"]);
    follower.until(|object| object["cursor"] == "1:1");
    drop(served);
    place.append("a", "1", "two");
    let _served = Served::start_on(&place, &listen, &["--insecure"]);
    let next = follower.until(|object| object["cursor"] == "2:2");
    assert_eq!(next["health"], "live");
    follower.signal("INT");
    let ended = follower.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let warned = objects(&ended.stderr);
    assert!(
        warned.iter().all(|line| line["warning"].is_object()),
        "{ended:?}"
    );
}

#[test]
fn a_leader_that_cannot_be_reached_is_told() {
    let place = Place::new();
    // A port that was free, and that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("grpc://{listen}?insecure=true");
    let commands: [&[&str]; 3] = [
        &["heads", "--log", &url, "--timeout", "300ms"],
        &["show", "--log", &url, "--timeout", "300ms", "t", "k"],
        &["truncate", "--log", &url, "--timeout", "300ms", "t", "k"],
    ];
    for command in commands {
        place.unreachable(command);
    }
    // Long enough for an answer that it cannot be reached.
    let why = place.unreachable(&[
        "append",
        "--log",
        &url,
        "--type",
        "t",
        "--key",
        "k",
        "--timeout",
        "5s",
    ]);
    assert!(why.contains(&listen.to_string()), "{why}");
    let arguments = [
        "follow",
        "--log",
        &url,
        "--all",
        "--once",
        "--timeout",
        "300ms",
    ];
    let why = place.bad(&arguments, "", 5, "unknown");
    assert_eq!(why, "no answer within 300ms");
    let why = place.bad(&["heads", "--log", "grpc://127.0.0.1:1"], "", 2, "usage");
    assert!(why.contains("not encrypted"), "{why}");
}

#[test]
#[cfg(unix)]
fn a_token_does_what_it_is_for_and_nothing_else() {
    let place = Place::new();
    let all = ["--right", "read,append,claim,truncate"];
    let owner = token(&place, "owner", &all);
    let reader = token(&place, "reader", &["--right", "read", "--type", "a"]);
    let writer = token(
        &place,
        "writer",
        &["--right", "append,claim", "--type", "a"],
    );
    let served = Served::start(&place, &["--insecure", "--token-file", "tokens"]);
    let url = |name: &str| served.url(&format!("&token-file={name}"));
    append(&place, &url("owner"), "a", "1");
    append(&place, &url("owner"), "b", "1");
    // To write, nothing has to be read.
    append(&place, &url("writer"), "a", "1");
    let told = place.good(
        &[
            "follow",
            "--log",
            &url("reader"),
            "--type",
            "a",
            "--once",
            "--json",
        ],
        "",
    );
    assert_eq!(told.object()["cursor"], "2:2");
    let heads = place.good(
        &["heads", "--log", &url("reader"), "--json", "--type", "a"],
        "",
    );
    assert_eq!(heads.object()["key"], "1");
    std::fs::write(place.path("stranger"), "gleaner_guess").unwrap();
    let refused: [(&str, &[&str]); 9] = [
        ("reader", &["append", "--type", "a", "--key", "1"]),
        ("reader", &["truncate", "a", "1"]),
        ("reader", &["show", "b", "1"]),
        ("reader", &["follow", "--all", "--once"]),
        ("reader", &["follow", "--grain", "b", "1"]),
        ("writer", &["heads"]),
        ("writer", &["append", "--type", "b", "--key", "1"]),
        ("stranger", &["heads"]),
        ("stranger", &["follow", "--all"]),
    ];
    for (name, command) in refused {
        let url = url(name);
        let mut arguments = command.to_vec();
        arguments.splice(1..1, ["--log", &url]);
        let why = place.bad(&arguments, "x", 3, "denied");
        assert!(!why.contains("gleaner_"), "{why}");
    }
    let why = place.bad(&["heads", "--log", &served.url("")], "", 3, "denied");
    assert!(why.contains("no token"), "{why}");
    // One that is replaced at this moment comes back.
    let url = url("missing");
    place.unreachable(&["heads", "--log", &url, "--timeout", "300ms"]);
    // What was refused is said where it was refused, without a secret.
    let ended = served.end("INT");
    assert_eq!(ended.status.code(), Some(0));
    for name in ["reader", "writer"] {
        assert!(
            objects(&ended.stderr)
                .iter()
                .any(|line| line["warning"]["token"] == name),
            "{name}: {ended:?}"
        );
    }
    for secret in [owner, reader, writer, "gleaner_guess".to_owned()] {
        assert!(!ended.stderr.contains(&secret));
        assert!(!ended.stdout.contains(&secret));
    }
}

#[test]
fn insecure_is_said_or_refused() {
    let place = Place::new();
    token(&place, "reader", &["--right", "read"]);
    let serve = |more: &[&'static str]| {
        let mut arguments = vec!["serve", "--log", "memory:", "--listen", "127.0.0.1:0"];
        arguments.extend(more);
        arguments
    };
    let why = place.bad(&serve(&[]), "", 2, "usage");
    assert!(why.contains("no TLS"), "{why}");
    let why = place.bad(&serve(&["--token-file", "tokens"]), "", 2, "usage");
    assert!(why.contains("no TLS"), "{why}");
    let authority = Authority::new("one");
    authority.issue(&place, "server", "localhost");
    let tls = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let why = place.bad(&serve(&tls), "", 2, "usage");
    assert!(why.contains("no tokens"), "{why}");
    for (wrong, why) in [
        (vec!["--tls-cert", "server.pem"], "--tls-key"),
        (vec!["--client-ca", "ca.pem"], "--tls-cert"),
        (
            vec!["--tls-cert", "server.key", "--tls-key", "server.key"],
            "server.key",
        ),
        (vec!["--insecure", "--token-file", "nowhere"], "nowhere"),
    ] {
        let said = place.bad(&serve(&wrong), "", 2, "usage");
        assert!(said.contains(why), "{said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let why = place.bad(
        &[
            "serve",
            "--log",
            "memory:",
            "--listen",
            &address,
            "--insecure",
        ],
        "",
        1,
        "io",
    );
    assert!(why.contains(&address), "{why}");
    let why = place.bad(
        &[
            "serve",
            "--log",
            "memory:",
            "--listen",
            "here",
            "--insecure",
        ],
        "",
        2,
        "usage",
    );
    assert!(why.contains("'here'"), "{why}");
}

#[test]
#[cfg(unix)]
fn tls_on_both_sides() {
    let place = Place::new();
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    std::fs::write(place.path("ca.pem"), one.0.pem()).unwrap();
    std::fs::write(place.path("other-ca.pem"), other.0.pem()).unwrap();
    one.issue(&place, "server", "localhost");
    one.issue(&place, "client", "client");
    other.issue(&place, "stranger", "client");
    token(&place, "owner", &["--right", "read,append,claim"]);
    let served = Served::start(
        &place,
        &[
            "--tls-cert",
            "server.pem",
            "--tls-key",
            "server.key",
            "--client-ca",
            "ca.pem",
            "--token-file",
            "tokens",
        ],
    );
    let port = served.listen.rsplit_once(':').unwrap().1;
    let url = |ca: &str, certificate: &str| {
        let base = format!("grpcs://localhost:{port}?token-file=owner&ca={ca}.pem");
        match certificate {
            "" => base,
            name => format!("{base}&cert={name}.pem&key={name}.key"),
        }
    };
    append(&place, &url("ca", "client"), "a", "1");
    let told = place.good(
        &[
            "follow",
            "--log",
            &url("ca", "client"),
            "--all",
            "--once",
            "--json",
        ],
        "",
    );
    assert_eq!(told.object()["state"], "state of 1");
    for (ca, certificate) in [("other-ca", "client"), ("ca", ""), ("ca", "stranger")] {
        let url = url(ca, certificate);
        place.unreachable(&["heads", "--log", &url, "--timeout", "300ms"]);
    }
    let ended = served.end("TERM");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// Who issues the certificates of a test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes `file.pem` and `file.key` for a name.
    fn issue(&self, place: &Place, file: &str, name: &str) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(4000, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(place.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        write_secret(place, &format!("{file}.key"), &key.serialize_pem());
    }
}
