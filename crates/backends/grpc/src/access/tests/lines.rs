//! What a line may be, and what is said of one that may not.

use super::*;

/// The vector of FIPS 180-2 for `abc`.
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn read(text: &str) -> Result<Grant, LineFault> {
    match Table::parse(text.as_bytes()) {
        Ok(table) => Ok((*table.grants()[0]).clone()),
        Err((line, fault)) => {
            assert_eq!(line, 1);
            Err(fault)
        }
    }
}

fn without_column(fault: LineFault) -> LineFault {
    use LineFault as F;
    let column = 0;
    match fault {
        F::NotJson { .. } => F::NotJson { column },
        F::UnknownField { .. } => F::UnknownField { column },
        F::RepeatedField { .. } => F::RepeatedField { column },
        F::WrongForm { .. } => F::WrongForm { column },
        other => other,
    }
}

/// A line with some fields behind name and hash.
fn with(fields: &str) -> String {
    format!(r#"{{"name":"n","sha256":"{HASH}",{fields}}}"#)
}

#[test]
fn comments_and_blank_lines_are_passed_over_and_counted() {
    let good = with(r#""rights":["read"]"#);
    let text = format!("# first\r\n\r\n   \n\t{good} \r\n #{{\n{{");
    assert_eq!(
        Table::parse(text.as_bytes()).map(|_| ()),
        Err((6, LineFault::NotJson { column: 1 }))
    );
    let text = text.trim_end_matches('{');
    assert_eq!(
        Table::parse(text.as_bytes()).ok().unwrap().grants().len(),
        1
    );
    assert!(Table::parse(b"").ok().unwrap().grants().is_empty());
}

#[test]
fn fields_stand_in_any_order_and_rights_may_be_named_twice() {
    let text = format!(
        r#" {{ "expires_unix": 5, "rights": ["claim", "read", "claim"],
            "sha256": "{}", "scope": [{{"key_prefix": "\u0000", "type": "a"}}], "name": "x y" }}"#,
        HASH.to_uppercase()
    );
    let grant = read(&text.replace('\n', " ")).unwrap();
    assert_eq!(grant.name(), "x y");
    assert_eq!(grant.rights(), Rights::of([Right::Read, Right::Claim]));
    assert_eq!(grant.scope(), [Filter::grain_type("a").key_prefix("\0")]);
    assert_eq!(grant.expires(), Some(UNIX_EPOCH + Duration::from_secs(5)));
}

#[test]
fn a_column_is_that_of_the_file() {
    for text in [r#"{"x":1}"#, r#"   {"x":1}  "#] {
        let column = text.find(':').unwrap();
        assert_eq!(read(text), Err(LineFault::UnknownField { column }));
    }
}

#[test]
fn a_wrong_line_is_told_by_its_fault() {
    use LineFault as F;
    let long = "k".repeat(GrainId::MAX_PART + 1);
    let name = |name: &str| format!(r#"{{"name":"{name}","sha256":"{HASH}","rights":["read"]}}"#);
    let hash = |hash: &str| format!(r#"{{"name":"n","sha256":"{hash}","rights":["read"]}}"#);
    let scope = |rules: &str| with(&format!(r#""rights":["read"],"scope":{rules}"#));
    for (text, fault) in [
        ("null".to_owned(), F::NotJson { column: 1 }),
        (
            format!(r#"["n","{HASH}",["read"]]"#),
            F::NotJson { column: 1 },
        ),
        (
            with(r#""rights":["read"]"#) + "{}",
            F::NotJson { column: 0 },
        ),
        ("{".to_owned(), F::NotJson { column: 1 }),
        ("{}".to_owned(), F::MissingField("name")),
        (r#"{"name":"n"}"#.to_owned(), F::MissingField("sha256")),
        (
            format!(r#"{{"name":"n","sha256":"{HASH}"}}"#),
            F::MissingField("rights"),
        ),
        (with(r#""right":["read"]"#), F::UnknownField { column: 0 }),
        (
            with(r#""rights":["read"],"Scope":[]"#),
            F::UnknownField { column: 0 },
        ),
        (
            with(r#""rights":[],"rights":["read"]"#),
            F::RepeatedField { column: 0 },
        ),
        (with(r#""rights":"read""#), F::WrongForm { column: 0 }),
        (with(r#""rights":[0]"#), F::WrongForm { column: 0 }),
        (
            with(r#""rights":["read"],"expires_unix":null"#),
            F::WrongForm { column: 0 },
        ),
        (
            with(r#""rights":["read"],"expires_unix":-1"#),
            F::WrongForm { column: 0 },
        ),
        (
            with(r#""rights":["read"],"expires_unix":18446744073709551615"#),
            F::BadTime,
        ),
        (name(""), F::BadName),
        (name(r"a\u0007"), F::BadName),
        (name(&"n".repeat(129)), F::BadName),
        (hash("abc"), F::BadHash),
        (hash(&"0".repeat(64)), F::BadHash),
        (
            hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            F::BadHash,
        ),
        (with(r#""rights":[]"#), F::NoRights),
        (with(r#""rights":["read","write"]"#), F::UnknownRight),
        (with(r#""rights":["Read"]"#), F::UnknownRight),
        (scope("[]"), F::EmptyScope),
        (scope("null"), F::WrongForm { column: 0 }),
        (scope("[{}]"), F::BadRule),
        (scope(r#"[{"type":"a"},{}]"#), F::BadRule),
        (scope(r#"[{"type":""}]"#), F::BadRule),
        (scope(r#"[{"type":"a","key_prefix":""}]"#), F::BadRule),
        (scope(r#"[{"type":null}]"#), F::WrongForm { column: 0 }),
        (scope(&format!(r#"[{{"type":"{long}"}}]"#)), F::BadRule),
        (
            scope(&format!(r#"[{{"key_prefix":"{long}"}}]"#)),
            F::BadRule,
        ),
        (
            scope(r#"[{"type":"a","slices":[1]}]"#),
            F::UnknownField { column: 0 },
        ),
    ] {
        let found = read(&text).unwrap_err();
        assert_eq!(without_column(found), without_column(fault), "{text}");
        let said = fault.to_string();
        assert!(!said.contains("ba78") && !said.contains("write"), "{said}");
    }
    let no_text = Table::parse(b"{\"name\":\"\xff\"}").map(|_| ());
    assert_eq!(no_text, Err((1, F::NotUtf8)));
}

#[test]
fn no_two_lines_have_the_same_name_or_hash() {
    let [one, other] = [(); 2].map(|()| Secret::draw().unwrap());
    for (lines, fault) in [
        (
            [line(&one, "same"), line(&other, "same")],
            LineFault::RepeatedName { first: 1 },
        ),
        (
            [line(&one, "a"), line(&one, "b")],
            LineFault::RepeatedHash { first: 1 },
        ),
    ] {
        let text = lines.join("\n\n");
        assert_eq!(Table::parse(text.as_bytes()).map(|_| ()), Err((3, fault)));
    }
}

#[test]
fn an_error_names_file_and_line_and_repeats_nothing() {
    let secret = "gleaner_0123456789abcdef";
    for bad in [
        format!(r#"{{"name":"n","sha256":"{secret}","rights":["read"]}}"#),
        format!(r#"{{"name":"n","sha256":["{secret}"]}}"#),
        format!(r#"{{"{secret}":1}}"#),
        with(&format!(r#""rights":["{secret}"]"#)),
        with(&format!(r#""rights":"{secret}""#)),
        with(&format!(r#""rights":["read"],"scope":[{{"{secret}":1}}]"#)),
        secret.to_owned(),
    ] {
        let place = Place::new(&["# one".to_owned(), bad.clone()]);
        let error = Access::file(place.path()).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains("line 2") && said.contains("tokens"), "{said}");
        for hidden in [secret, HASH] {
            assert!(!said.contains(hidden), "{said}");
        }
    }
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let secret = Secret::draw().unwrap();
    let rule = || Filter::grain_type("a");
    let some = || vec![rule()];
    for (name, rights, scope, fault) in [
        ("", reads(), some(), LineFault::BadName),
        ("n", Rights::default(), some(), LineFault::NoRights),
        ("n", reads(), vec![Filter::all()], LineFault::BadRule),
        (
            "n",
            reads(),
            vec![rule(), rule().slices(0..9)],
            LineFault::BadRule,
        ),
        (
            "n",
            reads(),
            vec![Filter::grain_type("")],
            LineFault::BadRule,
        ),
    ] {
        assert_eq!(secret.line(name, rights, &scope, None), Err(fault));
    }
    let before = UNIX_EPOCH - Duration::from_secs(1);
    let line = secret.line("n", reads(), &some(), Some(before));
    assert_eq!(line, Err(LineFault::BadTime));

    let text = secret
        .line("n \"\u{e9}", Rights::all(), &some(), None)
        .unwrap();
    assert!(!text.contains('\n') && !text.contains(secret.expose()));
    let grant = read(&text).unwrap();
    assert_eq!(grant.name(), "n \"\u{e9}");
    assert_eq!(grant.rights(), Rights::all());
    assert_eq!(grant.scope(), some());
    assert_eq!(*grant.hash.bytes(), secret.hash());
}
