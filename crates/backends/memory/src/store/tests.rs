use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use bytes::Bytes;
use gleaner_core::{Cursor, Draft, Entry, FoldError, StopReason, Writer};

use super::*;

const W: Writer = Writer::new(7);

fn grain(key: &str) -> GrainId {
    GrainId::new("t", key).unwrap()
}

fn log() -> LogId {
    LogId::new("log one")
}

fn full(key: &str, sequence: u64) -> Entry {
    let payload = format!("{key}@{sequence}");
    Draft::full(grain(key), Cursor::new(1, sequence), W, payload).seal()
}

async fn bound() -> MemoryReplicaStore {
    let store = MemoryReplicaStore::new();
    assert_eq!(store.bind(&log(), None).await.unwrap(), Binding::Bound);
    store
}

async fn mark(store: &MemoryReplicaStore, key: &str) -> Mark {
    store.cursor(&[grain(key)]).await.unwrap().remove(0)
}

async fn apply(store: &MemoryReplicaStore, entry: Entry) -> Outcome {
    let run = Advance {
        grain: entry.grain().clone(),
        generation: mark(store, entry.grain().grain_key()).await.generation,
        entries: vec![entry],
    };
    store.apply(&log(), vec![run]).await.unwrap().remove(0)
}

async fn remove(store: &MemoryReplicaStore, key: &str) -> bool {
    let expected = Expected::from(&mark(store, key).await);
    store.remove(&grain(key), expected).await.unwrap()
}

#[tokio::test]
async fn a_handle_taken_before_the_first_state_sees_it() {
    let store = bound().await;
    let handle = store.handle(&grain("a")).unwrap();
    assert!(handle.load().is_none());
    assert!(store.peek(&grain("a")).is_none());
    apply(&store, full("a", 1)).await;
    assert_eq!(handle.load().unwrap().cursor(), Cursor::new(1, 1));
}

#[tokio::test]
async fn a_handle_outlives_removal_and_sees_what_is_applied_after() {
    let store = bound().await;
    apply(&store, full("a", 1)).await;
    let handle = store.handle(&grain("a")).unwrap();
    let held = handle.load().unwrap();
    assert!(remove(&store, "a").await);
    assert!(handle.load().is_none());
    apply(&store, full("a", 2)).await;
    assert_eq!(handle.load().unwrap().cursor(), Cursor::new(1, 2));
    assert_eq!(store.prune(&[grain("a"), grain("b")]).await.unwrap(), 1);
    assert!(handle.load().is_none());
    // What a reader holds stays whole (S4).
    assert_eq!(held.state(), Some(&b"a@1"[..]));
}

#[tokio::test]
async fn empty_slots_go_with_their_last_holder() {
    let store = bound().await;
    let slots = Arc::clone(&store.shared.slots);
    let one = store.handle(&grain("a")).unwrap();
    let two = store.handle(&grain("a")).unwrap();
    assert_eq!(slots.len(), 1);
    drop(one);
    assert_eq!(slots.len(), 1);
    drop(two);
    assert_eq!(slots.len(), 0);
    apply(&store, full("a", 1)).await;
    drop(store.handle(&grain("a")));
    assert_eq!(slots.len(), 1);
    assert!(remove(&store, "a").await);
    assert_eq!(slots.len(), 0);
    let stopped = store
        .apply(
            &LogId::new("another"),
            vec![Advance {
                grain: grain("b"),
                generation: Generation::default(),
                entries: vec![full("b", 1)],
            }],
        )
        .await
        .unwrap();
    assert_eq!(
        stopped[0].stop.as_ref().unwrap().why,
        StopReason::ForeignLog
    );
    assert_eq!(slots.len(), 0);
}

#[tokio::test]
async fn no_payload_is_copied_once_it_is_applied() {
    let store = bound().await;
    apply(&store, full("a", 1)).await;
    let handle = store.handle(&grain("a")).unwrap();
    let mut listed = store.list(&Filter::all(), None, 1).await.unwrap();
    let replicas = [
        store.peek(&grain("a")).unwrap(),
        store.get(&grain("a")).await.unwrap().unwrap(),
        handle.load().unwrap(),
        listed.replicas.remove(0).1,
    ];
    let at = replicas[0].state().unwrap().as_ptr();
    for replica in replicas {
        assert_eq!(replica.state().unwrap().as_ptr(), at);
        assert_eq!(replica.into_state().unwrap().as_ptr(), at);
    }
}

/// The README's count of what a grain costs.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_grain_costs_what_the_readme_says() {
    assert_eq!(size_of::<crate::places::Slot>(), 16);
    assert_eq!(size_of::<(GrainId, u64)>(), 16);
    assert_eq!(size_of::<GrainId>(), 8);
}

#[tokio::test]
async fn an_unbound_store_takes_nothing() {
    let store = MemoryReplicaStore::new();
    let outcome = apply(&store, full("a", 1)).await;
    assert_eq!(outcome.stop.unwrap().why, StopReason::ForeignLog);
    assert!(store.peek(&grain("a")).is_none());
}

#[tokio::test]
async fn a_late_apply_cannot_bring_a_removed_replica_back() {
    let store = bound().await;
    let before = mark(&store, "a").await.generation;
    apply(&store, full("a", 1)).await;
    assert!(remove(&store, "a").await);
    assert!(mark(&store, "a").await.generation > before);
    let late = Advance {
        grain: grain("a"),
        generation: before,
        entries: vec![full("a", 2)],
    };
    let outcome = store.apply(&log(), vec![late]).await.unwrap().remove(0);
    assert_eq!(outcome.stop.unwrap().why, StopReason::Moved);
    assert!(store.peek(&grain("a")).is_none());
}

#[tokio::test]
async fn pages_are_in_order_and_pass_over_empty_slots() {
    let store = bound().await;
    let held: Vec<_> = (0..50)
        .map(|n| store.handle(&grain(&format!("empty {n:02}"))))
        .collect();
    for key in ["z", "b", "a", "m"] {
        apply(&store, full(key, 1)).await;
    }
    for limit in [0, 1, 2, 3, 4, 5, usize::MAX] {
        let mut seen = Vec::new();
        let mut after: Option<GrainId> = None;
        loop {
            let page = store
                .list(&Filter::grain_type("t"), after.as_ref(), limit)
                .await
                .unwrap();
            assert!(page.replicas.len() <= limit.max(1));
            seen.extend(
                page.replicas
                    .iter()
                    .map(|(grain, _)| grain.grain_key().to_owned()),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "m", "z"], "limit {limit}");
    }
    let none = store.list(&Filter::grain_type("u"), None, 9).await.unwrap();
    assert!(none.replicas.is_empty() && none.next.is_none());
    drop(held);
}

#[tokio::test]
async fn a_filter_that_few_pass_is_listed_in_bounded_pages() {
    let store = bound().await;
    for key in 0..crate::SCAN + 10 {
        apply(&store, full(&format!("a{key}"), 1)).await;
    }
    apply(&store, full("b", 1)).await;
    let first = store
        .list(&Filter::all().key_prefix("b"), None, 9)
        .await
        .unwrap();
    assert!(first.replicas.is_empty());
    let second = store
        .list(&Filter::all().key_prefix("b"), first.next.as_ref(), 9)
        .await
        .unwrap();
    assert_eq!((second.replicas.len(), second.next), (1, None));
    // With the type, a range.
    let ours = Filter::grain_type("t").key_prefix("b");
    let page = store.list(&ours, None, 9).await.unwrap();
    assert_eq!((page.replicas.len(), page.next), (1, None));
}

/// Appends its payload; waits for leave where it is told to.
struct Slow {
    entered: parking_lot::Mutex<mpsc::Sender<()>>,
    leave: parking_lot::Mutex<mpsc::Receiver<()>>,
}

impl Fold for Slow {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        if delta.payload().as_ref() == b"slow" {
            self.entered.lock().send(()).unwrap();
            self.leave.lock().recv().unwrap();
        }
        Ok([state, delta.payload()].concat().into())
    }
}

#[test]
fn a_slow_fold_delays_neither_readers_nor_neighbours() {
    let (entered, has_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel();
    let store = MemoryReplicaStore::new().with_fold(Arc::new(Slow {
        entered: parking_lot::Mutex::new(entered),
        leave: parking_lot::Mutex::new(may_leave),
    }));
    let first = full("a", 1);
    let slow = Draft::delta(grain("a"), Cursor::new(1, 2), W, first.digest(), "slow").seal();
    block_on(async {
        store.bind(&log(), None).await.unwrap();
        apply(&store, first).await;
    });
    let other = store.clone();
    let thread = std::thread::spawn(move || block_on(async { apply(&other, slow).await }));
    has_entered.recv().unwrap();
    // While the fold runs: the former state whole, and every other grain goes on (all shards of the
    // map are touched by this many).
    block_on(async {
        for n in 0..500 {
            let outcome = apply(&store, full(&n.to_string(), 1)).await;
            assert_eq!(outcome.applied, 1);
        }
        let seen = store.get(&grain("a")).await.unwrap().unwrap();
        assert_eq!(seen.cursor(), Cursor::new(1, 1));
    });
    leave.send(()).unwrap();
    assert_eq!(thread.join().unwrap().applied, 1);
    let seen = store.peek(&grain("a")).unwrap();
    assert_eq!(seen.state(), Some(&b"a@1slow"[..]));
}

/// Appliers, removers, handles and readers at once: no torn replica, no removed one brought back, and
/// a handle that is held throughout agrees with the map at the end.
#[test]
fn appliers_removers_and_handles_at_once() {
    const LAST: u64 = 2_000;
    let store = MemoryReplicaStore::new();
    block_on(store.bind(&log(), None)).unwrap();
    let held = store.handle(&grain("a")).unwrap();
    let over = AtomicBool::new(false);
    let removals = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                block_on(async {
                    for sequence in 1..=LAST {
                        apply(&store, full("a", sequence)).await;
                    }
                });
            });
        }
        let remover = scope.spawn(|| {
            block_on(async {
                let mut removals = 0_u64;
                let mut above = Generation::default();
                while !over.load(Ordering::SeqCst) {
                    let mark = mark(&store, "a").await;
                    assert!(mark.generation >= above, "a generation fell");
                    if store
                        .remove(&grain("a"), Expected::from(&mark))
                        .await
                        .unwrap()
                    {
                        removals += 1;
                        above = mark.generation.next();
                    }
                }
                removals
            })
        });
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let fresh = store.handle(&grain("a")).unwrap();
                for replica in [fresh.load(), held.load()].into_iter().flatten() {
                    let wanted = format!("a@{}", replica.cursor().sequence);
                    assert_eq!(replica.state(), Some(wanted.as_bytes()));
                }
            }
        });
        let appliers = scope.spawn(|| {
            block_on(async {
                // Until something has been removed under the appliers' hands.
                let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
                let raised = || store.shared.absent.load(Ordering::SeqCst) > 0;
                while !raised() && std::time::Instant::now() < deadline {
                    apply(&store, full("a", LAST)).await;
                    std::thread::yield_now();
                }
                over.store(true, Ordering::SeqCst);
            });
        });
        appliers.join().unwrap();
        remover.join().unwrap()
    });
    assert!(removals > 0);
    block_on(apply(&store, full("a", LAST + 1)));
    let seen = held.load().unwrap();
    assert_eq!(seen.cursor().sequence.get(), LAST + 1);
    assert!(seen.is_same(&store.peek(&grain("a")).unwrap()));
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
