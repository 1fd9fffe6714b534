//! Tokens that are taken back or replaced while they are in use.

use std::time::Duration;

use gleaner_core::{ChangeFeed, Filter, ReplicationLog};
use gleaner_grpc::access::{Right, Secret};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Streaming};

use super::{Holder, LONG, Place, admit, full, heard, id, replace};
use crate::raw::proto;
use crate::words;

/// Longer than the file is not looked at.
const NOTICED: Duration = Duration::from_millis(1_200);

async fn watch(place: &Place, holder: &Holder, filter: &Filter) -> Streaming<proto::WatchPage> {
    let request = proto::WatchRequest {
        filter: Some(words::filter(filter)),
        since: Some(place.position(filter).await),
        max_payload: 999,
    };
    let mut client = place.raw_of(holder).await;
    client.watch(request).await.unwrap().into_inner()
}

/// Holders as a file has them first and then, and how a watch of the first one ends: whether anything
/// moves meanwhile or not.
async fn ends(before: &[&Holder], after: &[&Holder], moves: bool, code: Code) {
    let grain = id("aircraft", "N2");
    let planes = Filter::grain_type("aircraft");
    let place = Place::with(before).await;
    let mut stream = watch(&place, before[0], &planes).await;
    place.log.append(full(&grain, 3, "open")).await.unwrap();
    let page = timeout(LONG, stream.message()).await.unwrap();
    assert!(page.unwrap().is_some());

    admit(&place.path("tokens"), after);
    sleep(NOTICED).await;
    if moves {
        place.log.append(full(&grain, 4, "secret")).await.unwrap();
    }
    // Nothing more comes.
    let ended = timeout(LONG, stream.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), code);
    place.kept_its_secrets();
}

#[tokio::test]
async fn a_watch_ends_when_its_token_is_taken_back() {
    let holder = Holder::of("reader", [Right::Read]);
    let other = Holder::of("other", [Right::Read]);
    ends(&[&holder, &other], &[&other], true, Code::Unauthenticated).await;
}

#[tokio::test]
async fn a_watch_of_what_rests_ends_when_its_token_is_taken_back() {
    let holder = Holder::of("reader", [Right::Read]);
    ends(&[&holder], &[], false, Code::Unauthenticated).await;
}

#[tokio::test]
async fn a_watch_ends_when_its_token_may_not_read_any_more() {
    let holder = Holder::of("reader", [Right::Read]);
    let mut less = Holder::of("reader", [Right::Append]);
    less.secret = holder.secret.clone();
    ends(&[&holder], &[&less], true, Code::PermissionDenied).await;
}

#[tokio::test]
async fn a_watch_ends_when_its_token_is_for_other_grains() {
    let holder = Holder::of("reader", [Right::Read]);
    let mut other = Holder::of("reader", [Right::Read]).within([Filter::grain_type("ship")]);
    other.secret = holder.secret.clone();
    ends(&[&holder], &[&other], true, Code::PermissionDenied).await;
}

#[tokio::test]
async fn a_log_goes_on_with_the_new_secret_of_its_file() {
    let mut old = Holder::of("old", [Right::Read, Right::Append]);
    let new = Holder::of("new", [Right::Read, Right::Append]);
    let mut place = Place::with(&[&old]).await;
    place.knows(&new.secret);
    let (tokens, secret) = (place.path("tokens"), place.path("secret"));
    replace(&secret, old.secret.expose());
    let log = place.config().token_file(&secret).open().unwrap();
    let grain = id("aircraft", "N2");
    let planes = Filter::grain_type("aircraft");
    log.append(full(&grain, 3, "third")).await.unwrap();
    let since = log.start(&planes).await.unwrap();

    // Both are good for a while, as it is done without haste: nothing fails at any time.
    admit(&tokens, &[&old, &new]);
    replace(&secret, new.secret.expose());
    sleep(NOTICED).await;
    admit(&tokens, &[&new]);
    sleep(NOTICED).await;
    log.append(full(&grain, 4, "fourth")).await.unwrap();
    let page = log.changes(&since, &planes, 9).await.unwrap();
    assert_eq!(page.moved.len(), 1);
    let mut with_old = place.raw_of(&old).await;
    let answer = with_old.heads(proto::HeadsRequest::default()).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);

    // In the wrong order, and late: refused for a while, and then it goes on.
    old.secret = Secret::draw().unwrap();
    place.knows(&old.secret);
    admit(&tokens, &[&old]);
    sleep(NOTICED).await;
    assert!(log.append(full(&grain, 5, "fifth")).await.is_err());
    replace(&secret, old.secret.expose());
    let began = Instant::now();
    while let Err(error) = log.append(full(&grain, 5, "fifth")).await {
        assert!(began.elapsed() < LONG, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
    // So does what it listens to.
    let pushed = heard(&log, &page.next, &planes).await;
    assert_eq!(&pushed.runs[0].entries[0].payload()[..], b"fifth");
    place.kept_its_secrets();
}
