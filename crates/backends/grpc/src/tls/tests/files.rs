//! Files that no TLS can be had with, and what is said of them.

use super::*;

#[test]
fn a_leader_s_files_must_be_what_they_are_said_to_be() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.issue("leader", &authority, When::Now);
    let (certificate, key) = authority.issue("leader.test", When::Now);
    let error = |certificate: &str, key: &str| {
        place.write("leader.pem", certificate);
        place.write("leader.key", key);
        place.server().open().unwrap_err()
    };
    let cases = [
        (error("", &key), "has no certificate"),
        (error(&key, &key), "has no certificate"),
        (error(&certificate, ""), "has no private key"),
        (error(&certificate, &certificate), "has no private key"),
        (error(&certificate[..certificate.len() / 2], &key), "PEM"),
        (error(&certificate, &key[..key.len() / 2]), "PEM"),
        // A line that the library would repeat, with the beginning of the key in it.
        (
            error(&certificate, &key.replacen("KEY-----\n", "KEY", 1)),
            "PEM",
        ),
        (
            error(&certificate, &key.replace("PRIVATE", "ENCRYPTED PRIVATE")),
            "has no private key",
        ),
        (
            error(&certificate, &authority.issue("leader.test", When::Now).1),
            "is not that of",
        ),
    ];
    let body: Vec<&str> = key.lines().filter(|line| !line.contains("---")).collect();
    for (number, (error, said)) in cases.into_iter().enumerate() {
        let text = error.to_string();
        assert!(
            text.contains(said) && text.contains("leader."),
            "{number}: {text}"
        );
        // Nothing of the key, the causes included.
        let text = format!("{text} {error:?}");
        assert!(
            !body.iter().any(|line| text.contains(line)),
            "{number}: {text}"
        );
    }
    fs::remove_file(place.path("leader.key")).unwrap();
    let error = place.server().open().unwrap_err();
    assert!(matches!(error, TlsError::Unreadable { .. }), "{error:?}");

    // The certificate's DER is nonsense.
    place.write("leader.key", &key);
    place.write(
        "leader.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let error = place.server().open().unwrap_err();
    assert!(
        matches!(error, TlsError::BadCertificate { .. }),
        "{error:?}"
    );
}

#[test]
fn authorities_must_be_certificates() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.issue("leader", &authority, When::Now);
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, said) in [
        (String::new(), "has no certificate"),
        ("# none".to_owned(), "has no certificate"),
        (authority.pem() + nonsense, "no authority's"),
        (authority.pem().replace('\n', "\n!"), "PEM"),
    ] {
        place.write("clients.pem", &pem);
        place.write("leaders.pem", &pem);
        let strict = place.server().client_authority(place.path("clients.pem"));
        for text in [
            strict.open().unwrap_err().to_string(),
            place.client().open().unwrap_err().to_string(),
        ] {
            assert!(text.contains(said) && text.contains("s.pem"), "{text}");
        }
    }
}

#[test]
fn a_client_says_whom_it_believes_and_names_both_of_its_files() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.trust("leaders", &[&authority]);
    place.issue("client", &authority, When::Now);
    let error = ClientTlsConfig::new().open().unwrap_err();
    assert!(matches!(error, TlsError::NoAuthority), "{error:?}");
    for half in [
        place.client().certificate(place.path("client.pem")),
        place.client().key(place.path("client.key")),
    ] {
        let error = half.open().unwrap_err();
        assert!(matches!(error, TlsError::HalfIdentity), "{error:?}");
    }
    let swapped = place.client();
    let swapped = swapped
        .certificate(place.path("client.key"))
        .key(place.path("client.pem"));
    let error = swapped.open().unwrap_err();
    assert!(matches!(error, TlsError::NoCertificate { .. }), "{error:?}");
}

#[test]
fn names_are_hosts_or_addresses() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.trust("leaders", &[&authority]);
    let client = place.client().open().unwrap();
    for (host, same) in [
        ("leader.test", "leader.test"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
    ] {
        assert_eq!(client.server_name(host).unwrap().to_str(), same);
    }
    for host in ["", "a b", "leader.test:80", "[::1", "\u{e9}.test"] {
        let error = client.server_name(host).unwrap_err();
        assert!(matches!(error, TlsError::BadName { .. }), "{error:?}");
        assert!(place.client().server_name(host).open().is_err());
    }
    let named = place.client().server_name("other.test").open().unwrap();
    assert_eq!(
        named.server_name("10.0.0.1").unwrap().to_str(),
        "other.test"
    );
    assert!(!format!("{named:?}").contains("BEGIN"));
}
