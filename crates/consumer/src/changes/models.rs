//! No wake-up is lost: under every order of pushes, looks and waits, the reader gets the newest of all
//! that moved, and the end. Loom reports a reader that waits for ever as a deadlock.

use std::collections::HashMap;
use std::sync::Arc;

use gleaner_core::{Cursor, GrainId};
use loom::future::block_on;
use loom::thread;

use super::{Backlog, ChangeStream};

fn grain(key: &str) -> GrainId {
    GrainId::new("aircraft", key).unwrap()
}

/// Every order with at most so many switches away from a thread that could have gone on: a wake-up that
/// is lost at all is lost with two.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

fn drain(mut stream: ChangeStream) -> Vec<(GrainId, Cursor)> {
    block_on(async {
        let mut taken = Vec::new();
        while let Some(item) = stream.next().await {
            taken.push(item);
        }
        taken
    })
}

/// No end comes to the rescue: each item is woken for by its own push.
#[test]
fn a_push_wakes_by_itself() {
    for reader_first in [true, false] {
        model(move || {
            let backlog = Arc::new(Backlog::default());
            let mut stream = ChangeStream::new(backlog.clone());
            let push = move || {
                for sequence in 1..=2 {
                    backlog.push(&grain("a"), Cursor::new(1, sequence));
                }
            };
            let mut take = move || {
                block_on(async {
                    let mut taken = stream.next().await;
                    while taken != Some((grain("a"), Cursor::new(1, 2))) {
                        taken = stream.next().await;
                    }
                });
            };
            if reader_first {
                let other = thread::spawn(push);
                take();
                other.join().unwrap();
            } else {
                let other = thread::spawn(take);
                push();
                other.join().unwrap();
            }
        });
    }
}

#[test]
fn a_stream_wakes_for_every_change_and_for_the_end() {
    model(|| {
        let backlog = Arc::new(Backlog::default());
        let stream = ChangeStream::new(backlog.clone());
        let driver = thread::spawn(move || {
            backlog.push(&grain("a"), Cursor::new(1, 1));
            backlog.push(&grain("b"), Cursor::new(1, 1));
            backlog.push(&grain("a"), Cursor::new(1, 2));
            backlog.close();
        });
        let taken = drain(stream);
        let newest: HashMap<_, _> = taken.iter().cloned().collect();
        assert_eq!(newest.get(&grain("a")), Some(&Cursor::new(1, 2)));
        assert_eq!(newest.get(&grain("b")), Some(&Cursor::new(1, 1)));
        // Each once, but for a grain that moved again after it was taken.
        assert!(taken.len() <= 3, "{taken:?}");
        driver.join().unwrap();
    });
}

/// The driver pushes while another thread closes, as when a follower is dropped.
#[test]
fn what_was_pushed_before_the_end_is_taken_whoever_closes() {
    model(|| {
        let backlog = Arc::new(Backlog::default());
        let stream = ChangeStream::new(backlog.clone());
        let reader = thread::spawn(move || drain(stream));
        let other = {
            let backlog = backlog.clone();
            thread::spawn(move || backlog.push(&grain("a"), Cursor::new(1, 1)))
        };
        other.join().unwrap();
        backlog.close();
        assert_eq!(reader.join().unwrap(), [(grain("a"), Cursor::new(1, 1))]);
    });
}
