//! What a log says of answers that break the protocol: that nothing is known by them.

use std::fmt::Debug;

use gleaner_core::{
    Budget, Caught, ChangeFeed, Claim, Cursor, Draft, Entry, Epoch, Error, ErrorKind, Filter,
    GrainId, ReplicationLog, Writer,
};
use gleaner_grpc::GrpcLog;

use super::World;
use super::lies::Lie;

fn log(world: &World) -> GrpcLog {
    let url = format!("grpc://{}", world.middle.address);
    GrpcLog::builder(url).insecure(true).open().unwrap()
}

/// Of the right kind, and it says why.
fn breaks<T: Debug>(said: Result<T, Error>, kind: ErrorKind, lie: Lie) {
    let error = said.expect_err(&format!("{lie:?} was believed"));
    assert_eq!(error.kind(), kind, "{lie:?}: {error}");
    assert!(error.to_string().contains("breaks the protocol"), "{error}");
}

#[tokio::test]
async fn an_answer_about_heads_or_the_feed_is_transient() {
    let world = World::new().await;
    let log = log(&world);
    let told = Filter::grain_type("told");
    let grains: Vec<GrainId> = world.states.keys().cloned().collect();
    let start = {
        // Before everything.
        let end = log.start(&told).await.unwrap();
        gleaner_core::Position::new(end.identity().clone(), told.clone(), vec![0])
    };
    let page = log.changes(&start, &told, 2).await.unwrap();
    assert!(!page.complete);
    let since = page.next;
    for lie in [Lie::Fewer, Lie::Empty, Lie::Impossible] {
        world.middle.lie(Some(("heads", lie)));
        breaks(log.heads(&grains).await, ErrorKind::Transient, lie);
    }
    for lie in [
        Lie::Reordered,
        Lie::Outside,
        Lie::Back,
        Lie::Fewer,
        Lie::Empty,
        Lie::Names,
        Lie::Lengths,
        Lie::Impossible,
    ] {
        world.middle.lie(Some(("list_heads", lie)));
        for after in [None, Some(&grains[0])] {
            let said = log.list_heads(&told, after, 9).await;
            breaks(said, ErrorKind::Transient, lie);
        }
    }
    for lie in [Lie::Empty, Lie::Lengths] {
        world.middle.lie(Some(("start", lie)));
        breaks(log.start(&told).await, ErrorKind::Transient, lie);
    }
    for lie in [
        Lie::Back,
        Lie::Endless,
        Lie::AnotherLog,
        Lie::Empty,
        Lie::Outside,
        Lie::Names,
        Lie::Lengths,
        Lie::Fewer,
        Lie::Impossible,
    ] {
        world.middle.lie(Some(("changes", lie)));
        breaks(
            log.changes(&since, &told, 9).await,
            ErrorKind::Transient,
            lie,
        );
    }
    world.middle.lie(Some(("describe", Lie::Empty)));
    breaks(log.identity().await, ErrorKind::Transient, Lie::Empty);
}

#[tokio::test]
async fn entries_that_do_not_hold_together_are_not_given_out() {
    let mut world = World::new().await;
    // Nine of a grain: the seventh is a whole state.
    for _ in 0..4 {
        world.goes_on().await;
    }
    assert_eq!(world.states.values().next().unwrap().len(), 9);
    let log = log(&world);
    let grain = world.states.keys().next().unwrap().clone();
    let budget = Budget::UNBOUNDED;
    for lie in [
        Lie::Digests,
        Lie::Payloads,
        Lie::Exchanged,
        Lie::Reordered,
        Lie::Impossible,
        Lie::Lengths,
        Lie::Names,
        Lie::Endless,
    ] {
        world.middle.lie(Some(("read_from", lie)));
        let said = log.read_from(&grain, Cursor::ZERO, budget).await;
        breaks(said, ErrorKind::Transient, lie);
        assert_eq!(world.middle.told(), 1, "{lie:?}");
    }
    // Three Deltas, of which one is missing.
    let after = Cursor::new(1, 3);
    let three = Budget::new(3, usize::MAX);
    world.middle.lie(Some(("read_from", Lie::Gap)));
    let said = log.read_from(&grain, after, three).await;
    breaks(said, ErrorKind::Transient, Lie::Gap);

    // A replica three behind the head.
    let wants = [(grain, Cursor::new(1, 6))];
    for lie in [
        Lie::Digests,
        Lie::Payloads,
        Lie::Exchanged,
        Lie::Reordered,
        Lie::Gap,
        Lie::HeadBelow,
        Lie::HeadElsewhere,
        Lie::Impossible,
        Lie::Fewer,
        Lie::Lengths,
        Lie::Names,
        Lie::Endless,
        Lie::Empty,
    ] {
        world.middle.lie(Some(("catch_up", lie)));
        match log.catch_up(&wants, budget).await {
            Ok(caught) => {
                let [Caught::Failed(error)] = &caught.grains[..] else {
                    panic!("{lie:?} was believed: {caught:?}");
                };
                assert_eq!(error.kind(), ErrorKind::Permanent, "{lie:?}");
                assert!(error.to_string().contains("breaks the protocol"), "{error}");
            }
            said => breaks(said, ErrorKind::Transient, lie),
        }
        assert_eq!(world.middle.told(), 1, "{lie:?}");
    }
    world.middle.lie(None);
    let caught = log.catch_up(&wants, budget).await.unwrap();
    let [Caught::Run(run)] = &caught.grains[..] else {
        panic!("{caught:?}");
    };
    assert_eq!((run.entries.len(), run.complete), (3, true));
}

#[tokio::test]
async fn an_answer_to_a_write_leaves_it_unknown_and_the_same_again_is_answered() {
    let world = World::new().await;
    let log = log(&world);
    let grain = GrainId::new("written", "one").unwrap();
    let mut sequence = 0;
    let mut next = || {
        sequence += 1;
        let cursor = Cursor::new(3, sequence);
        Draft::full(grain.clone(), cursor, Writer::new(9), "state").seal()
    };
    let append = |entry: Entry| log.append(entry);
    for lie in [
        Lie::Fewer,
        Lie::Lengths,
        Lie::Empty,
        Lie::Impossible,
        Lie::Never,
    ] {
        let entry = next();
        world.middle.lie(Some(("append", lie)));
        breaks(append(entry.clone()).await, ErrorKind::Unknown, lie);
        // It was written: the identical bytes are answered so.
        world.middle.lie(None);
        let head = append(entry.clone()).await.unwrap();
        assert_eq!((head.cursor, head.digest), (entry.cursor(), entry.digest()));
    }
    let claim = |grain: GrainId| Claim {
        grain,
        epoch: Epoch::new(5),
        writer: Writer::new(9),
    };
    for lie in [
        Lie::Fewer,
        Lie::Empty,
        Lie::Names,
        Lie::Failed,
        Lie::Impossible,
    ] {
        world.middle.lie(Some(("claim", lie)));
        let said = log.claim(&[claim(grain.clone())]).await;
        breaks(said, ErrorKind::Unknown, lie);
        world.middle.lie(None);
        let answers = log.claim(&[claim(grain.clone())]).await.unwrap();
        assert!(answers[0].as_ref().unwrap().is_some());
    }
}
