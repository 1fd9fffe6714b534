//! Opening grains: epochs, first numbers, and openings that meet.

use std::time::Duration;

use gleaner_core::{Claim, Cursor, Epoch, ReplicationLog, Writer};

use super::log::Act;
use super::{id, rig, within};
use crate::{PublishError, Publisher};

#[tokio::test(start_paused = true)]
async fn an_opening_claims_above_the_fence_and_goes_on_behind_the_head() {
    let rig = rig(None, |builder| builder);
    let a = rig.grain("a").await;
    assert_eq!(a.epoch(), Epoch::new(1));
    assert_eq!(a.acked(), Cursor::ZERO);
    a.publish_bytes("1").await.unwrap();
    a.publish_bytes("2").await.unwrap();
    // A claim without an entry: only the fence tells of it.
    let claim = Claim {
        grain: id("a"),
        epoch: Epoch::new(9),
        writer: Writer::new(9),
    };
    rig.log
        .claim(&[claim])
        .await
        .unwrap()
        .pop()
        .unwrap()
        .unwrap();
    let second = Publisher::builder(rig.log.clone()).spawn();
    let b = second.grain("t", "a").await.unwrap();
    assert_eq!((b.epoch(), b.acked()), (Epoch::new(10), Cursor::new(1, 2)));
    assert_eq!(b.publish_bytes("3").await.unwrap(), Cursor::new(10, 3));
    assert!(matches!(
        a.publish_bytes("x").await,
        Err(PublishError::Fenced { .. })
    ));
    // Opened again after it was fenced, it takes the grain back.
    let again = rig.grain("a").await;
    assert_eq!(again.epoch(), Epoch::new(11));
    assert_eq!(again.publish_bytes("4").await.unwrap(), Cursor::new(11, 4));
    assert_eq!(rig.log.numbers(&id("a")), [1, 2, 3, 4]);
    rig.clean().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_opening_is_a_second_handle() {
    let rig = rig(None, |builder| builder);
    let publisher = &rig.publisher;
    // At once, in one list twice, and later: one claim.
    let (one, two, many) = tokio::join!(
        publisher.grain("t", "a"),
        publisher.grain("t", "a"),
        publisher.grains(vec![id("a"), id("a")]),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(many.iter().all(Result::is_ok));
    assert_eq!(rig.log.state.lock().claims, 1);
    assert_eq!(one.publish_bytes("1").await.unwrap(), Cursor::new(1, 1));
    assert_eq!(two.publish_bytes("2").await.unwrap(), Cursor::new(1, 2));
    drop((one, two, many));
    // Forgotten, it is claimed anew, with a writer of its own.
    let anew = rig.grain("a").await;
    assert_eq!(anew.epoch(), Epoch::new(2));
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_claim_is_made_again_alike() {
    let rig = rig(None, |builder| builder);
    rig.log.state.lock().claim_script.extend([
        Act::UnknownBefore,
        Act::Transient,
        Act::UnknownAfter,
        Act::UnknownAfter,
    ]);
    let a = within(rig.grain("a")).await.unwrap();
    assert_eq!(a.epoch(), Epoch::new(1));
    assert_eq!(rig.log.state.lock().claims, 5);
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_opening_lets_the_next_one_in() {
    let rig = rig(None, |builder| builder);
    rig.log.state.lock().down = true;
    for _ in 0..3 {
        let opening = rig.publisher.grain("t", "a");
        assert!(
            tokio::time::timeout(Duration::from_secs(5), opening)
                .await
                .is_err()
        );
    }
    rig.log.state.lock().down = false;
    let a = within(rig.grain("a")).await.unwrap();
    assert_eq!(a.publish_bytes("1").await.unwrap().sequence.get(), 1);
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_no_grain_is_refused() {
    let rig = rig(None, |builder| builder);
    let refused = rig.publisher.grain("t", "").await;
    assert!(
        matches!(refused, Err(PublishError::Grain(_))),
        "{refused:?}"
    );
}
