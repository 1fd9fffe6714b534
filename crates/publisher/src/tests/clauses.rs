//! P1 to P7, each as a check that holds, and that fails for a publisher with a planted fault.

use std::time::Duration;

use bytes::Bytes;
use gleaner_core::{Claim, Cursor, Epoch, Fence, Kind, ReplicationLog, Writer};
use std::sync::Arc;

use super::log::Act;
use super::traces::Traces;
use super::{Check, Sum, ensure, folded, id, rig, started, within};
use crate::fault::Fault;
use crate::{DeltaOptions, PublishError};

/// A test that a check holds, and that it notices each planted fault.
macro_rules! clause {
    ($(#[$attribute:meta])* async fn $name:ident() { $check:ident notices [$($fault:ident),*] }) => {
        $(#[$attribute])*
        async fn $name() {
            let outcome = within($check(None)).await.and_then(|it| it);
            assert_eq!(outcome, Ok(()));
            for fault in [$(Fault::$fault),*] {
                let outcome = within($check(Some(fault))).await.and_then(|it| it);
                assert!(outcome.is_err(), "{fault:?} went unnoticed");
            }
        }
    };
}

clause! {
    #[tokio::test(start_paused = true)]
    async fn p1_numbers_rise_as_states_are_taken_and_none_is_used_twice() {
        p1 notices [ReuseNumber]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p2_only_an_unsent_state_directly_before_a_base_is_dropped() {
        p2 notices [DropAnyway]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p2_a_state_under_way_is_not_dropped() {
        p2_under_way notices [DropInFlight]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p3_the_identical_bytes_until_a_definite_answer() {
        p3 notices [FreshBytes]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p3_a_unit_of_several_goes_on_behind_what_landed() {
        p3_units notices [FreshBytes]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p4_fenced_stops_and_gives_back() {
        p4 notices [KeepUnsent, GoOnFenced]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p5_a_lost_tail_and_fence_bring_the_newest_state_again() {
        p5 notices [GiveUpOnConflict]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p5_deltas_behind_a_lost_tail_become_the_whole_state() {
        p5_deltas notices [GiveUpOnConflict]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p6_deltas_begin_with_the_whole_state_and_give_it_again() {
        p6 notices [NeverWhole]
    }
}
clause! {
    #[tokio::test(start_paused = true)]
    async fn p7_dropping_publish_gives_up_only_the_answer() {
        p7 notices [DropAbandoned]
    }
}

async fn p1(fault: Option<Fault>) -> Check {
    let rig = rig(fault, |builder| builder);
    let grain = rig.grain("a").await;
    rig.log.shut();
    let mut given = Vec::new();
    for n in 1..=4 {
        given.push(grain.enqueue_bytes(format!("{n}")).await.unwrap());
        // The first is under way before the second is taken; the third and fourth meet the second.
        rig.log.seen(1).await;
    }
    let wanted: Vec<_> = (1..=4).map(|n| Cursor::new(1, n)).collect();
    ensure!(given == wanted, "numbers given: {given:?}");
    rig.log.open();
    within(grain.flush()).await?.unwrap();
    let fifth = within(grain.publish_bytes("5")).await?.unwrap();
    ensure!(fifth == Cursor::new(1, 5), "then {fifth}");
    let entries = rig.log.entries(&id("a"));
    ensure!(rig.log.numbers(&id("a")) == [1, 4, 5], "{entries:?}");
    for entry in &entries {
        let said = entry.sequence().get().to_string();
        ensure!(*entry.payload() == said, "{entry:?} carries another state");
    }
    rig.finish().await
}

async fn p2(fault: Option<Fault>) -> Check {
    let rig = rig(fault, |builder| builder);
    let options = DeltaOptions::new(Arc::new(Sum), "0");
    let grain = rig.publisher.delta_grain(id("a"), options).await.unwrap();
    rig.log.shut();
    grain.enqueue_bytes("10").await.unwrap();
    rig.log.seen(1).await;
    grain.enqueue_delta("1").await.unwrap();
    grain.enqueue_delta("2").await.unwrap();
    grain.enqueue_bytes("20").await.unwrap();
    grain.enqueue_bytes("30").await.unwrap();
    grain.enqueue_delta("3").await.unwrap();
    grain.enqueue_bytes("40").await.unwrap();
    grain.enqueue_delete().await.unwrap();
    let mut dropped = started(grain.publish_bytes("50")).await;
    grain.enqueue_bytes("60").await.unwrap();
    rig.log.open();
    // A state that gave way answers with its own number, once the one in its place is durable.
    let cursor = within(&mut dropped).await?;
    ensure!(
        matches!(cursor, Ok(at) if at == Cursor::new(1, 9)),
        "{cursor:?}"
    );
    ensure!(
        rig.log.numbers(&id("a")) == [1, 2, 3, 5, 6, 8, 10],
        "{:?}",
        rig.log.entries(&id("a"))
    );
    let state = folded(&rig.log.entries(&id("a")));
    ensure!(state == Some(Bytes::from("60")), "{state:?}");
    rig.finish().await
}

async fn p2_under_way(fault: Option<Fault>) -> Check {
    let rig = rig(fault, |builder| builder);
    let grain = rig.grain("a").await;
    rig.log.shut();
    grain.enqueue_bytes("1").await.unwrap();
    rig.log.seen(1).await;
    grain.enqueue_bytes("2").await.unwrap();
    rig.log.open();
    let flushed = within(grain.flush()).await?;
    ensure!(flushed.is_ok(), "{flushed:?}");
    ensure!(
        rig.log.numbers(&id("a")) == [1, 2],
        "{:?}",
        rig.log.entries(&id("a"))
    );
    rig.finish().await
}

async fn p3(fault: Option<Fault>) -> Check {
    for act in [
        Act::UnknownBefore,
        Act::UnknownAfter,
        Act::Hang,
        Act::HangAfter,
        Act::Late,
        Act::Panic,
        Act::GrainPart(0, true),
        Act::Transient,
    ] {
        let rig = rig(fault, |builder| builder);
        let grain = rig.grain("a").await;
        rig.log.script(&[act, act, Act::Pass]);
        rig.log.shut();
        let first = started(grain.publish_bytes("1")).await;
        let newer = started(grain.publish_bytes("2")).await;
        rig.log.open();
        let first = within(first).await?;
        ensure!(first.is_ok(), "{act:?}: {first:?}");
        let newer = within(newer).await?;
        ensure!(newer.is_ok(), "{act:?}: {newer:?}");
        ensure!(
            rig.log.numbers(&id("a")) == [1, 2],
            "{act:?}: {:?}",
            rig.log.entries(&id("a"))
        );
        let attempts = rig.log.state.lock().attempts[&id("a")].len();
        ensure!(attempts == 4, "{act:?}: {attempts} attempts");
        rig.finish().await?;
    }
    Ok(())
}

async fn p3_units(fault: Option<Fault>) -> Check {
    for act in [
        Act::UnknownPart(2),
        Act::GrainPart(1, true),
        Act::GrainPart(2, false),
        Act::HangAfter,
    ] {
        let rig = rig(fault, |builder| builder.coalesce(false));
        let grain = rig.grain("a").await;
        rig.log.script(&[Act::Pass, act, act]);
        rig.log.shut();
        for n in 1..=6 {
            grain.enqueue_bytes(format!("{n}")).await.unwrap();
            rig.log.seen(1).await;
        }
        rig.log.open();
        // The unit of 2 to 6 is in doubt by now; what comes behind it must not join it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        grain.enqueue_bytes("7").await.unwrap();
        within(grain.flush()).await?.unwrap();
        ensure!(
            rig.log.numbers(&id("a")) == [1, 2, 3, 4, 5, 6, 7],
            "{act:?}: {:?}",
            rig.log.entries(&id("a"))
        );
        rig.finish().await?;
    }
    Ok(())
}

async fn p4(fault: Option<Fault>) -> Check {
    let rig = rig(fault, |builder| builder);
    let (doubtful, sure) = (rig.grain("doubtful").await, rig.grain("sure").await);
    let mut waiting = Vec::new();
    rig.log.script(&[Act::UnknownBefore]);
    rig.log.shut();
    waiting.push(started(doubtful.publish_bytes("under way")).await);
    waiting.push(started(doubtful.publish_bytes("behind")).await);
    let other = Fence {
        epoch: Epoch::new(7),
        writer: Writer::new(7),
    };
    let claim = |key: &str| Claim {
        grain: id(key),
        epoch: other.epoch,
        writer: other.writer,
    };
    let claims = [claim("doubtful"), claim("sure")];
    for answer in rig.log.claim(&claims).await.unwrap() {
        answer.unwrap();
    }
    rig.log.open();
    let back = [Bytes::from("behind")];
    for waiting in waiting {
        match within(waiting).await? {
            Err(PublishError::Fenced {
                fence,
                unsent,
                unknown,
            }) => {
                ensure!(fence == other, "{fence:?}");
                ensure!(*unknown == [Cursor::new(1, 1)], "{unknown:?}");
                let states: Vec<_> = unsent.iter().map(|unsent| unsent.payload.clone()).collect();
                ensure!(states == back, "{unsent:?}");
                ensure!(unsent[0].cursor == Some(Cursor::new(1, 2)), "{unsent:?}");
            }
            other => return Err(format!("{other:?}")),
        }
    }
    // A first attempt that is answered was surely not written: nothing is unknown.
    match within(sure.publish_bytes("refused")).await? {
        Err(PublishError::Fenced {
            unsent, unknown, ..
        }) => ensure!(
            unknown.is_empty() && unsent.len() == 1,
            "{unsent:?} {unknown:?}"
        ),
        other => return Err(format!("{other:?}")),
    }
    // Later calls are refused likewise, and the log hears no more of it.
    let before = rig.log.state.lock().appends;
    let later = within(doubtful.publish_bytes("later")).await?;
    ensure!(
        matches!(&later, Err(PublishError::Fenced { fence, unsent, .. })
            if *fence == other && unsent[0].payload == "later" && unsent[0].cursor.is_none()),
        "{later:?}"
    );
    ensure!(doubtful.flush().await.is_err(), "a fenced grain flushed");
    ensure!(
        doubtful.status().stopped.is_some(),
        "{:?}",
        doubtful.status()
    );
    let appends = rig.log.state.lock().appends - before;
    ensure!(appends == 0, "{appends} appends after the fence");
    ensure!(
        rig.log.entries(&id("doubtful")).is_empty(),
        "something was written"
    );
    rig.clean()
}

/// A publisher of epoch 2 whose log falls back into epoch 1, claims included: its next number leaps,
/// which an unclaimed epoch may not, until it has claimed again.
async fn p5(fault: Option<Fault>) -> Check {
    let (traces, _guard) = Traces::catch();
    let rig = rig(fault, |builder| builder);
    let first = rig.grain("b").await;
    within(first.publish_bytes("1")).await?.unwrap();
    let before = rig.log.state.lock().grains[&id("b")].fence;
    drop(first);
    let grain = rig.grain("b").await;
    ensure!(grain.epoch() == Epoch::new(2), "{:?}", grain.epoch());
    for n in 2..=4 {
        within(grain.publish_bytes(format!("{n}"))).await?.unwrap();
    }
    rig.log.lose(&id("b"), Cursor::new(1, 1), before);
    let cursor = within(grain.publish_bytes("5"))
        .await?
        .map_err(|error| error.to_string())?;
    ensure!(cursor == Cursor::new(2, 5), "{cursor}");
    ensure!(
        rig.log.numbers(&id("b")) == [1, 5],
        "{:?}",
        rig.log.entries(&id("b"))
    );
    let lines = traces.at(tracing::Level::ERROR);
    ensure!(lines.len() == 1, "{lines:?}");
    rig.finish().await
}

async fn p5_deltas(fault: Option<Fault>) -> Check {
    let (traces, _guard) = Traces::catch();
    let rig = rig(fault, |builder| builder);
    let options = DeltaOptions::new(Arc::new(Sum), "100");
    let grain = rig.publisher.delta_grain(id("a"), options).await.unwrap();
    for _ in 0..5 {
        within(grain.publish_delta("1")).await?.unwrap();
    }
    rig.log.lose(&id("a"), Cursor::new(1, 3), None);
    let cursor = within(grain.publish_delta("1"))
        .await?
        .map_err(|error| error.to_string())?;
    ensure!(cursor == Cursor::new(1, 6), "{cursor}");
    let entries = rig.log.entries(&id("a"));
    // 6 was sent as a Delta and did not fit: its number is gone, and the state stands under the next.
    ensure!(rig.log.numbers(&id("a")) == [1, 2, 3, 7], "{entries:?}");
    ensure!(entries[3].kind() == Kind::FullState, "{entries:?}");
    ensure!(folded(&entries) == Some(Bytes::from("106")), "{entries:?}");
    let lines = traces.at(tracing::Level::ERROR);
    ensure!(lines.len() == 1, "{lines:?}");
    within(grain.publish_delta("1")).await?.unwrap();
    ensure!(
        folded(&rig.log.entries(&id("a"))) == Some(Bytes::from("107")),
        "what follows does not fit"
    );
    rig.finish().await
}

async fn p6(fault: Option<Fault>) -> Check {
    let rig = rig(fault, |builder| builder);
    let options = DeltaOptions::new(Arc::new(Sum), "0").full_every(3);
    let open = || rig.publisher.delta_grain(id("a"), options.clone());
    let grain = open().await.unwrap();
    for n in 1..=9_u64 {
        let cursor = within(grain.publish_delta("1")).await?.unwrap();
        ensure!(cursor == Cursor::new(1, n), "{cursor}");
    }
    let kinds = || -> String {
        let entries = rig.log.entries(&id("a"));
        entries
            .iter()
            .map(|entry| match entry.kind() {
                Kind::FullState => 'F',
                Kind::Delta => 'D',
                Kind::Tombstone => 'T',
            })
            .collect()
    };
    ensure!(kinds() == "FDDDFDDDF", "{}", kinds());
    ensure!(
        folded(&rig.log.entries(&id("a"))) == Some(Bytes::from("9")),
        "{}",
        kinds()
    );
    // A delta that makes no sense uses no number and changes nothing.
    let refused = within(grain.publish_delta("x")).await?;
    ensure!(matches!(refused, Err(PublishError::Fold(_))), "{refused:?}");
    within(grain.delete()).await?.unwrap();
    let dead = within(grain.publish_delta("1")).await?;
    ensure!(matches!(dead, Err(PublishError::Fold(_))), "{dead:?}");
    within(grain.publish_bytes("50")).await?.unwrap();
    // An entry that the log refuses for good: the next is whole again.
    rig.log.state.lock().refused = Some((b"7", false));
    let refused = within(grain.publish_delta("7")).await?;
    ensure!(matches!(refused, Err(PublishError::Log(_))), "{refused:?}");
    within(grain.publish_delta("1")).await?.unwrap();
    ensure!(kinds() == "FDDDFDDDFTFF", "{}", kinds());
    ensure!(
        folded(&rig.log.entries(&id("a"))) == Some(Bytes::from("58")),
        "the refused delta is in the state"
    );
    ensure!(grain.flush().await.is_err(), "a failure was not reported");
    drop(grain);
    // A new epoch begins whole.
    let grain = open().await.unwrap();
    within(grain.publish_delta("1")).await?.unwrap();
    ensure!(kinds() == "FDDDFDDDFTFFF", "{}", kinds());
    rig.finish().await
}

async fn p7(fault: Option<Fault>) -> Check {
    let rig = rig(fault, |builder| builder);
    let grain = rig.grain("a").await;
    rig.log.shut();
    let under_way = started(grain.publish_bytes("1")).await;
    let unsent = started(grain.publish_bytes("2")).await;
    drop((under_way, unsent));
    rig.log.open();
    within(grain.flush()).await?.unwrap();
    ensure!(
        rig.log.numbers(&id("a")) == [1, 2],
        "{:?}",
        rig.log.entries(&id("a"))
    );
    // Nor does dropping the handle, nor a timeout.
    rig.log.shut();
    let timed_out = tokio::time::timeout(Duration::from_secs(1), grain.publish_bytes("3")).await;
    ensure!(timed_out.is_err(), "a shut log answered");
    drop(grain);
    rig.log.open();
    within(rig.publisher.flush()).await?.unwrap();
    ensure!(
        rig.log.numbers(&id("a")) == [1, 2, 3],
        "{:?}",
        rig.log.entries(&id("a"))
    );
    rig.finish().await
}
