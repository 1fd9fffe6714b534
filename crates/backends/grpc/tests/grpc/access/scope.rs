//! A token is for some grains, and tells nothing of the others: not whether they are there.

use std::collections::BTreeSet;

use gleaner_core::{ErrorKind, Filter, GrainId, ReplicationLog};
use gleaner_grpc::access::Right;
use tonic::Code;

use super::{Holder, Place, full, id};
use crate::calls;
use crate::raw::proto;
use crate::words;

/// The names that a message gives.
fn names(wire: Option<&proto::Grains>) -> BTreeSet<(String, String)> {
    let Some(wire) = wire else {
        return BTreeSet::new();
    };
    let mut keys = &wire.keys[..];
    let names = wire.types.iter().zip(&wire.key_lengths);
    let names = names.map(|(place, length)| {
        let (key, rest) = keys.split_at(usize::try_from(*length).unwrap());
        keys = rest;
        let name = &wire.new_types[usize::try_from(*place).unwrap()];
        (name.clone(), String::from_utf8(key.to_vec()).unwrap())
    });
    names.collect()
}

/// A holder, a grain and a filter in its scope, grains outside that are there and that are not, and
/// filters that reach outside.
struct Case {
    holder: Holder,
    inside: (GrainId, Filter),
    there: GrainId,
    not_there: GrainId,
    beyond: Vec<Filter>,
}

fn cases() -> Vec<Case> {
    let planes = Filter::grain_type("aircraft");
    let some = || Filter::grain_type("aircraft").key_prefix("N1");
    vec![
        // One type.
        Case {
            holder: Holder::of("planes", Right::ALL).within([planes.clone()]),
            inside: (id("aircraft", "N2"), planes.clone()),
            there: id("ship", "mary"),
            not_there: id("ship", "jane"),
            beyond: vec![
                Filter::all(),
                Filter::grain_type("ship"),
                Filter::all().key_prefix("N"),
            ],
        },
        // A type and a beginning.
        Case {
            holder: Holder::of("some", Right::ALL).within([some()]),
            inside: (id("aircraft", "N14228"), some()),
            there: id("aircraft", "N2"),
            not_there: id("aircraft", "N3"),
            beyond: vec![
                Filter::all(),
                planes,
                Filter::grain_type("aircraft").key_prefix("N"),
                Filter::all().key_prefix("N1"),
            ],
        },
        // The same beginning in another type, and nothing else.
        Case {
            holder: Holder::of("n1", Right::ALL).within([some()]),
            inside: (id("aircraft", "N14228"), some()),
            there: id("ship", "N1"),
            not_there: id("ship", "N10"),
            beyond: vec![Filter::grain_type("ship").key_prefix("N1")],
        },
    ]
}

#[tokio::test]
async fn a_grain_outside_is_refused_alike_whether_it_is_there_or_not() {
    for case in cases() {
        let place = Place::with(&[&case.holder]).await;
        let before = place.content().await;
        let mut client = place.raw_of(&case.holder).await;
        let there = calls::about(&mut client, std::slice::from_ref(&case.there)).await;
        let not_there = calls::about(&mut client, std::slice::from_ref(&case.not_there)).await;
        // Code, message and details.
        assert_eq!(there, not_there);
        // Beside one that is inside, too: nothing is done to either.
        let inside = case.inside.0.clone();
        let beside = calls::about(&mut client, &[inside.clone(), case.there.clone()]).await;
        let alike = calls::about(&mut client, &[inside, case.not_there.clone()]).await;
        assert_eq!(beside, alike);
        for (call, said) in there.iter().chain(&beside) {
            let (code, message, details) = said.as_ref().unwrap_err();
            assert_eq!(*code, Code::PermissionDenied, "{call}");
            assert!(message.contains("outside the token's scope"), "{message}");
            assert!(details.is_empty(), "{call}");
            for name in [case.there.grain_key(), case.not_there.grain_key()] {
                assert!(!message.contains(name), "{call}: {message}");
            }
            assert_eq!(place.said.count(&format!("call=\"{call}\"")), 4, "{call}");
        }
        assert_eq!(place.content().await, before);
        // The log at the other end.
        let log = place.log_of(&case.holder);
        let errors = [
            log.heads(std::slice::from_ref(&case.there)).await.map(drop),
            log.append(full(&case.there, 3, "third")).await.map(drop),
        ];
        for error in errors {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Permanent);
        }
        assert_eq!(place.content().await, before);
        place.kept_its_secrets();
    }
}

#[tokio::test]
async fn a_filter_that_reaches_outside_is_refused_by_listing_feed_and_stream() {
    for case in cases() {
        let place = Place::with(&[&case.holder]).await;
        let mut client = place.raw_of(&case.holder).await;
        for filter in &case.beyond {
            let position = place.position(filter).await;
            for (call, said) in calls::within(&mut client, filter, &position).await {
                let (code, message, details) = said.unwrap_err();
                assert_eq!(code, Code::PermissionDenied, "{call} of {filter}");
                assert!(message.contains("outside the token's scope"), "{message}");
                assert!(details.is_empty(), "{call}");
            }
            let log = place.log_of(&case.holder);
            let error = log.list_heads(filter, None, 9).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Permanent);
        }
        let refused = place.said.count("outside the token's scope");
        assert!(refused >= 5 * case.beyond.len(), "{refused}");
        // And the one that does not is served.
        let (_, filter) = &case.inside;
        let position = place.position(filter).await;
        for (call, said) in calls::within(&mut client, filter, &position).await {
            assert_eq!(said, Ok(()), "{call} of {filter}");
        }
        place.kept_its_secrets();
    }
}

#[tokio::test]
async fn a_listing_names_nothing_outside_not_even_to_go_on_from() {
    let scope = Filter::all().key_prefix("N1");
    let holder = Holder::of("n1", [Right::Read]).within([scope.clone()]);
    let place = Place::with(&[&holder]).await;
    // Far more of others, before, between and behind, than one page passes over.
    let mut entries = Vec::new();
    for number in 0..14_000 {
        entries.push(full(&id("barge", &format!("M{number}")), 1, "x"));
    }
    for entries in entries.chunks(4_000) {
        place.log.append_batch(entries).await.unwrap();
    }
    let mut client = place.raw_of(&holder).await;
    let (mut listed, mut after, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let request = proto::ListHeadsRequest {
            filter: Some(words::filter(&scope)),
            after: after.clone(),
            limit: 1,
        };
        let page = client.list_heads(request).await.unwrap().into_inner();
        for name in names(page.next.as_ref()) {
            assert!(name.1.starts_with("N1"), "{name:?}");
        }
        listed.extend(names(page.grains.as_ref()));
        pages += 1;
        assert!(pages < 100, "a listing without an end");
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let name = |grain_type: &str, key: &str| (grain_type.to_owned(), key.to_owned());
    let wanted = [name("aircraft", "N14228"), name("ship", "N1")];
    assert_eq!(listed, BTreeSet::from(wanted));
    place.kept_its_secrets();
}

#[tokio::test]
async fn a_stream_and_the_feed_carry_nothing_from_outside() {
    for case in cases() {
        let place = Place::with(&[&case.holder]).await;
        let (inside, filter) = &case.inside;
        let since = place.position(filter).await;
        let mut client = place.raw_of(&case.holder).await;
        let mut stream = client
            .watch(proto::WatchRequest {
                filter: Some(words::filter(filter)),
                since: Some(since.clone()),
                max_payload: 999,
            })
            .await
            .unwrap()
            .into_inner();
        // What is outside moves first; then, for the stream to have something to say, what is inside.
        for sequence in 3..9 {
            place
                .log
                .append(full(&case.there, sequence, "of the other"))
                .await
                .unwrap();
            place
                .log
                .append(full(&case.not_there, sequence, "of the other"))
                .await
                .unwrap();
            place
                .log
                .append(full(inside, sequence, "own"))
                .await
                .unwrap();
            let page = tokio::time::timeout(super::LONG, stream.message()).await;
            let page = page.unwrap().unwrap().unwrap();
            let mut types = vec![inside.grain_type().to_owned()];
            if sequence > 3 {
                // Sent once a stream.
                types.clear();
            }
            let grains = page.grains.unwrap();
            assert_eq!(grains.new_types, types);
            assert_eq!(&grains.keys[..], inside.grain_key().as_bytes());
            assert_eq!(&page.entries.unwrap().payloads[..], b"own");
        }
        let request = proto::ChangesRequest {
            since: Some(since),
            filter: Some(words::filter(filter)),
            limit: 99,
        };
        let page = client.changes(request).await.unwrap().into_inner();
        let name = (
            inside.grain_type().to_owned(),
            inside.grain_key().to_owned(),
        );
        assert_eq!(names(page.grains.as_ref()), BTreeSet::from([name]));
        assert!(page.complete);
        place.kept_its_secrets();
    }
}
