//! The hand-over of slots under every order of those who take them, empty them and let them go.

use std::sync::Arc;

use gleaner_core::{
    Cursor, Digest, Filter, Generation, GrainId, LogId, Replica, Schema, Stamp, UnixMillis,
};
use loom::thread;

use super::Slots;

fn grain() -> GrainId {
    GrainId::new("aircraft", "N14228").unwrap()
}

fn replica(sequence: u64) -> Replica {
    let stamp = Stamp {
        cursor: Cursor::new(1, sequence),
        digest: Digest::new(sequence),
        generation: Generation::default(),
        log: LogId::new("log"),
        schema: Schema::default(),
        written_at: UnixMillis::default(),
    };
    Replica::new(stamp, Some(&sequence.to_le_bytes()))
}

/// Every order with at most so many switches away from a thread that could have gone on.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

/// As the store applies to a grain, one above what it finds; and as it removes.
fn apply(slots: &Slots) {
    let grain = grain();
    let slot = slots.place(&grain).unwrap();
    let writing = slot.write();
    let at = writing.current().map_or(0, |it| it.cursor().sequence.get());
    writing.put(Some(replica(at + 1)));
}

fn remove(slots: &Slots) {
    if let Some(slot) = slots.find(&grain()) {
        slot.write().put(None);
    }
}

fn shown(replica: Option<Replica>) -> Option<u64> {
    let replica = replica?;
    let sequence = replica.cursor().sequence.get();
    // Of one moment: state and cursor are those of one `put`.
    assert_eq!(replica.state(), Some(&sequence.to_le_bytes()[..]));
    Some(sequence)
}

#[test]
fn s4_a_handle_taken_while_a_replica_is_removed_sees_what_comes_after() {
    model(|| {
        let slots = Arc::new(Slots::default());
        apply(&slots);
        let remover = {
            let slots = slots.clone();
            thread::spawn(move || remove(&slots))
        };
        let handle = slots.handle(&grain()).unwrap();
        assert!(matches!(shown(handle.load()), None | Some(1)));
        remover.join().unwrap();
        assert_eq!(shown(handle.load()), None);
        apply(&slots);
        assert_eq!(shown(handle.load()), Some(1), "the handle is cut off");
        assert_eq!(shown(slots.load(&grain())), Some(1));
    });
}

#[test]
fn s1_two_that_apply_to_a_new_grain_apply_to_one_slot() {
    model(|| {
        let slots = Arc::new(Slots::default());
        let other = {
            let slots = slots.clone();
            thread::spawn(move || apply(&slots))
        };
        // A look and a handle that come and go tidy up behind themselves, and nobody else's.
        drop(slots.handle(&grain()));
        apply(&slots);
        other.join().unwrap();
        assert_eq!(shown(slots.load(&grain())), Some(2), "one apply is lost");
        assert_eq!(slots.ids(&Filter::all(), None, 9).0, [grain()]);
        assert_eq!(slots.len(), 1);
    });
}

#[test]
fn the_order_lists_what_the_map_holds_whoever_comes_and_goes() {
    model(|| {
        let slots = Arc::new(Slots::default());
        apply(&slots);
        let remover = {
            let slots = slots.clone();
            thread::spawn(move || remove(&slots))
        };
        apply(&slots);
        remover.join().unwrap();
        // `len` compares the two.
        let held = slots.len();
        assert!(held == 1 || shown(slots.load(&grain())).is_none());
        assert_eq!(slots.ids(&Filter::all(), None, 9).0.len(), held);
    });
}

#[test]
fn whoever_is_the_last_to_let_an_empty_slot_go_leaves_none_behind() {
    model(|| {
        let slots = Arc::new(Slots::default());
        apply(&slots);
        let handle = slots.handle(&grain()).unwrap();
        let remover = {
            let slots = slots.clone();
            thread::spawn(move || remove(&slots))
        };
        drop(handle);
        remover.join().unwrap();
        assert_eq!(slots.len(), 0, "an empty slot stays");
    });
}
