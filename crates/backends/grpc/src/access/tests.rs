//! Of the whole: a file, and who is admitted by it.

mod lines;
mod mutations;
mod said;

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use gleaner_core::{Filter, GrainId};
use tempfile::TempDir;

use super::*;

/// A folder with a file of tokens.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(lines: &[String]) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write(lines);
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn write(&self, lines: &[String]) {
        fs::write(self.path(), lines.join("\n")).unwrap();
    }

    fn open(&self) -> Access {
        Access::file(self.path()).unwrap()
    }
}

fn reads() -> Rights {
    Rights::of([Right::Read])
}

fn line(secret: &Secret, name: &str) -> String {
    secret.line(name, reads(), &[], None).unwrap()
}

fn admitted<'a>(access: &Access, secret: impl Into<Option<&'a Secret>>) -> Result<String, Refused> {
    let grant = access.admit(secret.into().map(Secret::expose))?;
    Ok(grant.name().to_owned())
}

#[test]
fn each_secret_is_admitted_as_its_own_name_and_no_other_is() {
    let secrets: Vec<Secret> = (0..20).map(|_| Secret::draw().unwrap()).collect();
    let lines = (0..)
        .zip(&secrets)
        .map(|(n, secret)| line(secret, &format!("number {n}")));
    let place = Place::new(&lines.collect::<Vec<_>>());
    let access = place.open();
    assert!(!access.is_open_to_all());
    for (number, secret) in secrets.iter().enumerate() {
        assert_eq!(admitted(&access, secret), Ok(format!("number {number}")));
    }
    let known = secrets[0].expose();
    for other in [
        Secret::draw().unwrap().expose(),
        &known[1..],
        &known[..known.len() - 1],
        &(known.to_owned() + " "),
        &known.to_uppercase(),
        &TokenHash::of(known.as_bytes()).hex(),
        "number 0",
        "\0",
    ] {
        assert_eq!(
            access.admit(Some(other)),
            Err(Refused::Unknown),
            "{other:?}"
        );
    }
    assert_eq!(access.admit(None), Err(Refused::NoToken));
    assert_eq!(access.admit(Some("")), Err(Refused::NoToken));
}

#[test]
fn rights_and_scope_are_those_of_the_line() {
    let secret = Secret::draw().unwrap();
    let scope = [
        Filter::grain_type("aircraft").key_prefix("N1"),
        Filter::grain_type("airport"),
        Filter::all().key_prefix("test-"),
    ];
    let rights = Rights::of([Right::Append, Right::Claim]);
    let text = secret.line("writer", rights, &scope, None).unwrap();
    let grant = Place::new(&[text])
        .open()
        .admit(Some(secret.expose()))
        .unwrap();
    assert_eq!(grant.scope(), scope);
    assert_eq!(grant.rights(), rights);
    for right in Right::ALL {
        let given = matches!(right, Right::Append | Right::Claim);
        assert_eq!(grant.may(right), given, "{right}");
    }
    for (grain_type, key, within) in [
        ("aircraft", "N1", true),
        ("aircraft", "N14228", true),
        ("aircraft", "N2", false),
        ("aircraft", "n1", false),
        ("airport", "N2", true),
        ("airports", "N1", false),
        ("ship", "test-1", true),
        ("ship", "N1", false),
    ] {
        let grain = GrainId::new(grain_type, key).unwrap();
        assert_eq!(grant.includes(&grain), within, "{grain}");
    }
    for (filter, covered) in [
        (Filter::all(), false),
        (Filter::grain_type("aircraft"), false),
        (Filter::grain_type("aircraft").key_prefix("N"), false),
        (Filter::grain_type("aircraft").key_prefix("N1"), true),
        (Filter::grain_type("aircraft").key_prefix("N14"), true),
        (Filter::grain_type("aircraft").key_prefix("test-"), true),
        (Filter::grain_type("airport").slices(0..10), true),
        (Filter::grain_type("ship").slices(0..10), false),
    ] {
        assert_eq!(grant.covers(&filter), covered, "{filter}");
    }
}

#[test]
fn without_a_scope_it_is_every_grain() {
    let secret = Secret::draw().unwrap();
    let access = Place::new(&[line(&secret, "reader")]).open();
    let grant = access.admit(Some(secret.expose())).unwrap();
    assert!(grant.scope().is_empty());
    assert!(grant.covers(&Filter::all()));
    assert!(grant.includes(&GrainId::new("any", "thing").unwrap()));
}

#[test]
fn open_to_all_asks_nobody() {
    let access = Access::open_to_all();
    assert!(access.is_open_to_all());
    for bearer in [None, Some(""), Some("anything")] {
        let grant = access.admit(bearer).unwrap();
        assert_eq!(grant.rights(), Rights::all());
        assert!(grant.covers(&Filter::all()));
        assert_eq!(access.still(&grant).as_ref(), Ok(&grant));
    }
    assert!(!access.reload().unwrap());
}

#[test]
fn a_token_is_refused_from_its_last_second_on() {
    let secret = Secret::draw().unwrap();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let half = Duration::from_millis(500);
    let text = secret
        .line("old", reads(), &[], Some(at(999) + half))
        .unwrap();
    assert!(text.contains(r#""expires_unix":1000"#), "{text}");
    let place = Place::new(&[text]);
    let access = place.open();
    let name = Arc::from("old");
    assert_eq!(admitted(&access, &secret), Err(Refused::Expired { name }));
    // It is told to its holder alone.
    let other = Secret::draw().unwrap();
    assert_eq!(admitted(&access, &other), Err(Refused::Unknown));

    let table = Table::read(&place.path()).unwrap();
    let grant = table.grants().first();
    assert_eq!(grant.unwrap().expires(), Some(at(1000)));
    assert!(valid(grant, at(1000) - half).is_ok());
    assert!(valid(grant, at(1000)).is_err());
}

#[test]
fn an_open_stream_learns_what_has_become_of_its_token() {
    let [kept, narrowed, removed, late] = [(); 4].map(|()| Secret::draw().unwrap());
    let scope = [Filter::grain_type("aircraft")];
    let place = Place::new(&[
        line(&kept, "kept"),
        line(&narrowed, "narrowed"),
        line(&removed, "removed"),
        line(&late, "late"),
    ]);
    let access = place.open();
    let [of_kept, of_narrowed, of_removed, of_late] = [&kept, &narrowed, &removed, &late]
        .map(|secret| access.admit(Some(secret.expose())).unwrap());
    place.write(&[
        // Under a removed one's name: another secret has nothing of it.
        line(&Secret::draw().unwrap(), "removed"),
        late.line("late", reads(), &[], Some(UNIX_EPOCH)).unwrap(),
        narrowed.line("narrowed", reads(), &scope, None).unwrap(),
        line(&kept, "kept"),
    ]);
    assert!(access.reload().unwrap());
    assert_eq!(access.still(&of_kept).as_ref(), Ok(&of_kept));
    let now = access.still(&of_narrowed).unwrap();
    assert_ne!(now, of_narrowed);
    assert_eq!(now.scope(), scope);
    assert_eq!(access.still(&now).as_ref(), Ok(&now));
    assert_eq!(access.still(&of_removed), Err(Refused::Unknown));
    assert!(matches!(
        access.still(&of_late),
        Err(Refused::Expired { .. })
    ));
    assert!(!access.reload().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_in_force_a_second_later_unasked() {
    let [former, latter] = [(); 2].map(|()| Secret::draw().unwrap());
    let place = Place::new(&[line(&former, "former")]);
    let access = place.open();
    let grant = access.admit(Some(former.expose())).unwrap();
    place.write(&[line(&latter, "latter")]);
    assert!(admitted(&access, &former).is_ok());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(access.still(&grant), Err(Refused::Unknown));
    assert_eq!(admitted(&access, &former), Err(Refused::Unknown));
    assert!(admitted(&access, &latter).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_leaves_the_former_tokens_in_force() {
    let [former, latter] = [(); 2].map(|()| Secret::draw().unwrap());
    let place = Place::new(&[line(&former, "former")]);
    let access = place.open();
    let is_former = || {
        assert!(admitted(&access, &former).is_ok());
        assert_eq!(admitted(&access, &latter), Err(Refused::Unknown));
    };
    place.write(&[line(&latter, "latter"), "{}".to_owned()]);
    tokio::time::advance(Duration::from_secs(1)).await;
    is_former();
    let error = access.reload().unwrap_err();
    assert!(
        matches!(error, AccessError::Line { line: 2, .. }),
        "{error}"
    );
    is_former();
    fs::remove_file(place.path()).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    is_former();
    let error = access.reload().unwrap_err();
    assert!(matches!(error, AccessError::Unreadable { .. }), "{error}");
    is_former();

    // Emptied on purpose: nobody.
    place.write(&[]);
    assert!(access.reload().unwrap());
    assert_eq!(admitted(&access, &former), Err(Refused::Unknown));
}

#[test]
fn a_file_that_cannot_be_used_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    for path in [&gone, folder.path(), Path::new("/dev/zero"), Path::new("")] {
        let error = Access::file(path).unwrap_err();
        assert!(matches!(error, AccessError::Unreadable { .. }), "{error}");
    }
}

#[test]
fn secrets_and_hashes_are_in_no_text() {
    let secret = Secret::draw().unwrap();
    let place = Place::new(&[line(&secret, "reader")]);
    let access = place.open();
    let grant = access.admit(Some(secret.expose())).unwrap();
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    let hash = TokenHash::of(secret.expose().as_bytes()).hex();
    let bytes = format!("{:?}", secret.hash());
    for text in [format!("{access:?}"), format!("{grant:?} {grant:#?}")] {
        assert!(text.contains("tokens") || text.contains("reader"), "{text}");
        for hidden in [secret.expose(), &hash, &bytes] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

#[test]
fn drawn_secrets_differ_and_are_known_for_what_they_are() {
    let one = Secret::draw().unwrap();
    let (prefix, digits) = one.expose().split_at("gleaner_".len());
    assert_eq!(prefix, "gleaner_");
    assert_eq!(digits.len(), 64);
    assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_ne!(one.expose(), Secret::draw().unwrap().expose());
    assert_eq!(one.hash(), *TokenHash::of(one.expose().as_bytes()).bytes());
}

#[test]
fn a_secret_is_one_word_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    assert!(matches!(
        Secret::from_file(&path),
        Err(SecretError::Unreadable { .. })
    ));
    for (bytes, word) in [
        (&b"gleaner_00\n"[..], Some("gleaner_00")),
        (b" \tword\r\n\n", Some("word")),
        (b"", None),
        (b" \n", None),
        (b"two words", None),
        (b"two\nlines", None),
        (b"na\xc3\xafve", None),
        (b"\xff", None),
        (b"a\0b", None),
    ] {
        fs::write(&path, bytes).unwrap();
        match (Secret::from_file(&path), word) {
            (Ok(secret), Some(word)) => assert_eq!(secret.expose(), word),
            (Err(SecretError::Empty { .. }), None) => assert!(bytes.trim_ascii().is_empty()),
            (Err(SecretError::NotOneWord { .. }), None) => {}
            (other, _) => panic!("{bytes:?} was read as {other:?}"),
        }
    }
}

#[test]
fn rights_have_names() {
    for right in Right::ALL {
        assert_eq!(right.name().parse(), Ok(right));
        assert_eq!(Rights::of([right]).iter().collect::<Vec<_>>(), [right]);
    }
    assert_eq!("Read".parse::<Right>(), Err(UnknownRight));
    assert!(Rights::default().is_empty() && !Rights::all().is_empty());
    assert_eq!(
        format!("{:?}", Rights::all()),
        "Rights(read, append, claim, truncate)"
    );
}
