//! Each right is for its own calls.

use std::time::Duration;

use gleaner_core::{
    Budget, ChangeFeed, Claim, Cursor, Epoch, Error, ErrorKind, Filter, ReplicationLog, Writer,
};
use gleaner_grpc::GrpcLog;
use gleaner_grpc::access::Right;

use super::{Holder, Place, full, heard, id};

/// Every call of a log, and which right it takes.
async fn every_call(log: &GrpcLog) -> Vec<(Right, &'static str, Result<(), Error>)> {
    let grain = id("aircraft", "N2");
    let planes = Filter::grain_type("aircraft");
    let one = std::slice::from_ref(&grain);
    let claim = Claim {
        grain: grain.clone(),
        epoch: Epoch::new(9),
        writer: Writer::new(9),
    };
    let budget = Budget::new(9, 9_999);
    let mut done = vec![
        (Right::Read, "heads", log.heads(one).await.map(drop)),
        (
            Right::Read,
            "list_heads",
            log.list_heads(&planes, None, 9).await.map(drop),
        ),
        (
            Right::Read,
            "read_from",
            log.read_from(&grain, Cursor::ZERO, budget).await.map(drop),
        ),
        (
            Right::Read,
            "catch_up",
            log.catch_up(&[(grain.clone(), Cursor::ZERO)], budget)
                .await
                .map(drop),
        ),
        (Right::Read, "start", log.start(&planes).await.map(drop)),
        (
            Right::Append,
            "append",
            log.append(full(&grain, 3, "third")).await.map(drop),
        ),
        (
            Right::Truncate,
            "truncate",
            log.truncate(&grain, Cursor::new(1, 2)).await.map(drop),
        ),
    ];
    let claimed = log.claim(&[claim]).await;
    let claimed = claimed.and_then(|mut answers| answers.remove(0)).map(drop);
    done.push((Right::Claim, "claim", claimed));
    done
}

#[tokio::test]
async fn a_token_is_good_for_the_calls_of_its_rights_and_for_no_others() {
    for right in Right::ALL {
        let holder = Holder::of("holder", [right]);
        let place = Place::with(&[&holder]).await;
        let before = place.content().await;
        let log = place.log_of(&holder);
        for (needed, call, done) in every_call(&log).await {
            if needed == right {
                assert!(done.is_ok(), "{right} is for {call}: {done:?}");
                continue;
            }
            let error = done.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Permanent,
                "{right}, {call}: {error}"
            );
            assert!(error.to_string().contains("lacks the right"), "{error}");
            let said = place.said.count(&format!("call=\"{call}\""));
            assert_eq!(said, 1, "{right}: {call} was refused and not said");
        }
        if right == Right::Read || right == Right::Claim {
            assert_eq!(place.content().await, before);
        }
        // A claim that was refused has fenced nobody: the writer goes on.
        if right != Right::Claim && right != Right::Append {
            let grain = id("aircraft", "N2");
            place.log.append(full(&grain, 3, "third")).await.unwrap();
        }
        place.kept_its_secrets();
    }
}

#[tokio::test]
async fn who_may_not_read_is_told_nothing_by_the_feed() {
    let writer = Holder::of("writer", [Right::Append, Right::Claim]);
    let reader = Holder::of("reader", [Right::Read]);
    let place = Place::with(&[&writer, &reader]).await;
    let planes = Filter::grain_type("aircraft");
    let since = place.log_of(&reader).start(&planes).await.unwrap();
    place
        .log
        .append(full(&id("aircraft", "N2"), 3, "third"))
        .await
        .unwrap();

    let log = place.log_of(&writer);
    let error = log.changes(&since, &planes, 9).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    // Its stream is refused, and what is listened to stays silent.
    let waiting = log.wait(&since, Duration::from_millis(300));
    let pushed = tokio::time::timeout(Duration::from_millis(300), log.pushed(&planes));
    let (pushed, ()) = tokio::join!(pushed, waiting);
    assert!(pushed.is_err());
    assert!(place.said.count("call=\"watch\"") > 0);

    // The same for one who may.
    let pushed = heard(&place.log_of(&reader), &since, &planes).await;
    assert_eq!(&pushed.runs[0].entries[0].payload()[..], b"third");
    place.kept_its_secrets();
}
