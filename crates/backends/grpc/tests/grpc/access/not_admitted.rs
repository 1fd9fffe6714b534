//! No token, a wrong one, one that has expired.

use std::time::SystemTime;

use gleaner_core::{ErrorKind, Filter, ReplicationLog};
use gleaner_grpc::access::{Right, Secret};
use tonic::Code;

use super::{Holder, Place, full, id};
use crate::calls;

#[tokio::test]
async fn who_is_not_admitted_is_refused_by_every_call_alike() {
    let reader = Holder::of("reader", Right::ALL);
    let expired = Holder::of("expired", Right::ALL).until(SystemTime::UNIX_EPOCH);
    let guess = Secret::draw().unwrap();
    let mut place = Place::with(&[&reader, &expired]).await;
    place.knows(&guess);
    let before = place.content().await;
    let (planes, position) = (
        Filter::grain_type("aircraft"),
        place.position(&Filter::grain_type("aircraft")).await,
    );
    let of_guess = format!("Bearer {}", guess.expose());
    let of_another_scheme = format!("Basic {}", reader.secret.expose());
    for (shown, why) in [
        (None, "no token was presented"),
        (Some("Bearer "), "no token was presented"),
        (Some(of_another_scheme.as_str()), "no token was presented"),
        (Some(of_guess.as_str()), "the token is not known"),
        (Some(expired.bearer().as_str()), "has expired"),
    ] {
        let mut client = place.raw(shown).await;
        let heard = (place.said.count(why), place.leader.counts().refused);
        let there = calls::about(&mut client, &[id("aircraft", "N2")]).await;
        let not_there = calls::about(&mut client, &[id("aircraft", "N3")]).await;
        assert_eq!(there, not_there);
        let by_filter = calls::within(&mut client, &planes, &position).await;
        for (call, said) in there.iter().chain(&by_filter) {
            let (code, message, details) = said.as_ref().unwrap_err();
            assert_eq!(*code, Code::Unauthenticated, "{call}");
            assert!(message.contains(why), "{call}: {message}");
            assert!(details.is_empty(), "{call}");
        }
        let refused = there.len() + not_there.len() + by_filter.len();
        assert_eq!(refused, 16);
        // Each is counted and said.
        assert_eq!(place.said.count(why), heard.0 + refused);
        let counted = place.leader.counts().refused - heard.1;
        assert_eq!(counted, refused as u64);
    }
    assert_eq!(place.content().await, before);
    place.kept_its_secrets();
}

#[tokio::test]
async fn the_log_at_the_other_end_says_that_waiting_does_not_help() {
    let reader = Holder::of("reader", Right::ALL);
    let expired = Holder::of("expired", Right::ALL).until(SystemTime::UNIX_EPOCH);
    let guess = Secret::draw().unwrap();
    let mut place = Place::with(&[&reader, &expired]).await;
    place.knows(&guess);
    let before = place.content().await;
    for config in [
        place.config(),
        place.config().token(guess),
        place.config().token(expired.secret.clone()),
    ] {
        let shown = format!("{config:?}");
        let log = config.open().unwrap();
        let grain = id("aircraft", "N2");
        for error in [
            log.heads(std::slice::from_ref(&grain)).await.map(drop),
            log.append(full(&grain, 3, "third")).await.map(drop),
            log.identity().await.map(drop),
        ] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
            let text = format!("{shown} {log:?} {error} {error:?}");
            for secret in &place.secrets {
                assert!(!text.contains(secret));
            }
        }
    }
    assert_eq!(place.content().await, before);
    // One that is admitted is served all the while.
    assert_eq!(place.log_of(&reader).heads(&[]).await.unwrap(), []);
    place.kept_its_secrets();
}
