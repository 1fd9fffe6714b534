//! Refused entries, outages and logs that make no sense: said once, never a hot loop.

use std::time::Duration;

use tokio::time::sleep;
use tracing::Level;

use super::log::Act;
use super::traces::Traces;
use super::{id, rig, started, within};
use crate::PublishError;

#[tokio::test(start_paused = true)]
async fn a_refused_entry_fails_its_own_callers_and_the_rest_goes_on() {
    for whole_batch in [false, true] {
        let rig = rig(None, |builder| builder.coalesce(false));
        let (a, b) = (rig.grain("a").await, rig.grain("b").await);
        rig.log.state.lock().refused = Some((b"bad", whole_batch));
        rig.log.shut();
        let before = started(a.publish_bytes("before")).await;
        let good = started(a.publish_bytes("good")).await;
        let bad = started(a.publish_bytes("bad")).await;
        let behind = started(a.publish_bytes("behind")).await;
        let other = started(b.publish_bytes("other")).await;
        rig.log.open();
        assert!(within(before).await.unwrap().is_ok());
        assert!(within(good).await.unwrap().is_ok());
        let refused = within(bad).await.unwrap();
        assert!(matches!(refused, Err(PublishError::Log(_))), "{refused:?}");
        assert!(within(behind).await.unwrap().is_ok());
        assert!(within(other).await.unwrap().is_ok());
        assert_eq!(rig.log.numbers(&id("a")), [1, 2, 4]);
        // Reported once.
        assert!(matches!(a.flush().await, Err(PublishError::Log(_))));
        rig.finish().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_line_and_so_is_its_end() {
    let (traces, _guard) = Traces::catch();
    let rig = rig(None, |builder| builder);
    let (a, b) = (rig.grain("a").await, rig.grain("b").await);
    rig.log.state.lock().down = true;
    let before = rig.log.state.lock().appends;
    a.enqueue_bytes("1").await.unwrap();
    for n in 0..600 {
        b.enqueue_bytes(n.to_string()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    let appends = rig.log.state.lock().appends - before;
    // 100 ms doubled to 30 s, with jitter: some 10 to get there, then 20 to 40.
    assert!(
        (20..=60).contains(&appends),
        "{appends} appends in ten minutes"
    );
    rig.log.state.lock().down = false;
    rig.finish().await.unwrap();
    assert_eq!(
        traces.at(Level::WARN).len(),
        1,
        "{:?}",
        traces.at(Level::WARN)
    );
    assert_eq!(
        traces.at(Level::INFO).len(),
        1,
        "{:?}",
        traces.at(Level::INFO)
    );
    assert!(traces.at(Level::ERROR).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_grain_in_trouble_holds_up_no_other() {
    let (traces, _guard) = Traces::catch();
    let rig = rig(None, |builder| builder);
    let (a, b) = (rig.grain("a").await, rig.grain("b").await);
    rig.log.script(&[Act::GrainPart(0, true); 5]);
    let waits = started(a.publish_bytes("1")).await;
    rig.log.seen(5).await;
    b.publish_bytes("1").await.unwrap();
    within(waits).await.unwrap().unwrap();
    assert_eq!(
        traces.at(Level::WARN).len(),
        1,
        "{:?}",
        traces.at(Level::WARN)
    );
    assert_eq!(
        traces.at(Level::INFO).len(),
        1,
        "{:?}",
        traces.at(Level::INFO)
    );
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_log_that_conflicts_whatever_is_sent_stops_the_grain_and_never_spins() {
    let rig = rig(None, |builder| builder);
    let a = rig.grain("a").await;
    rig.log.state.lock().stubborn = true;
    let before = rig.log.state.lock().appends;
    let stopped = within(a.publish_bytes("kept")).await.unwrap();
    let appends = rig.log.state.lock().appends - before;
    assert!(appends <= 10, "{appends} appends");
    let error = stopped.unwrap_err();
    assert!(matches!(error, PublishError::Stopped { .. }), "{error:?}");
    assert_eq!(error.into_states(), ["kept"]);
    rig.clean().unwrap();
}
