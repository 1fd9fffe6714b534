//! Clause C6 and what else a read is promised.

use gleaner_consumer::{Health, ReadError, ReadOptions};
use gleaner_core::{Cursor, GrainId};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn c6_at_least_asks_both_parts_of_the_cursor() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 7, "seven").await;
    let follower = rig.following(&id).await;
    let reader = follower.raw_reader();
    for (epoch, sequence) in [(1, 7), (1, 6)] {
        let wanted = ReadOptions::at_least(Cursor::new(epoch, sequence));
        assert!(reader.get(&id, wanted).is_ok(), "{epoch}:{sequence}");
    }
    for (epoch, sequence) in [(1, 8), (2, 7), (2, 1), (2, 9)] {
        let wanted = ReadOptions::at_least(Cursor::new(epoch, sequence));
        let refused = reader.get(&id, wanted);
        assert!(
            matches!(refused, Err(ReadError::NotYet { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn c6_a_higher_epoch_with_a_lower_sequence_is_lost() {
    let rig = Rig::new();
    let id = grain("a");
    rig.append(full(&id, Cursor::new(2, 6), "six")).await;
    let follower = rig.following(&id).await;
    let wanted = Cursor::new(1, 7);
    let refused = follower
        .raw_reader()
        .get(&id, ReadOptions::at_least(wanted));
    assert!(
        matches!(refused, Err(ReadError::Lost { wanted: w, cursor })
            if w == wanted && cursor == Cursor::new(2, 6)),
        "{refused:?}"
    );
    // Waiting does not bring it back, so that nobody waits for it.
    let options = ReadOptions::at_least(wanted).wait(secs(3600));
    let began = tokio::time::Instant::now();
    let refused = follower.raw_reader().get_when(&id, options).await;
    assert!(
        matches!(refused, Err(ReadError::Lost { .. })),
        "{refused:?}"
    );
    assert!(began.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn c6_a_tombstoned_grain_answers_absent_with_its_age() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.append(tombstone(&id, Cursor::new(1, 2))).await;
    let follower = rig.following(&id).await;
    pass(secs(4)).await;
    let answer = follower.raw_reader().get(&id, ReadOptions::default());
    assert!(
        matches!(answer, Err(ReadError::Absent { cursor, age: Some(age) })
            if cursor == Cursor::new(1, 2) && age <= INTERVAL),
        "{answer:?}"
    );
    // Absence too is held to what was asked.
    let options = ReadOptions::at_least(Cursor::new(1, 3));
    let answer = follower.raw_reader().get(&id, options);
    assert!(
        matches!(answer, Err(ReadError::NotYet { .. })),
        "{answer:?}"
    );
    rig.log.changes.fail(usize::MAX);
    pass(secs(30)).await;
    let answer = follower
        .raw_reader()
        .get(&id, ReadOptions::max_age(secs(5)));
    assert!(
        matches!(answer, Err(ReadError::TooStale { .. })),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn max_age_admits_up_to_it_and_refuses_beyond() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    rig.log.changes.fail(usize::MAX);
    pass(secs(10)).await;
    let reader = follower.raw_reader();
    let age = reader
        .get(&id, ReadOptions::default())
        .unwrap()
        .age
        .unwrap();
    assert!(reader.get(&id, ReadOptions::max_age(age)).is_ok());
    let refused = reader.get(&id, ReadOptions::max_age(age - millis(1)));
    assert!(
        matches!(refused, Err(ReadError::TooStale { age: Some(a), max_age })
            if a == age && max_age == age - millis(1)),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn get_when_reads_ones_own_write() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let reader = follower.raw_reader();
    let options = ReadOptions::at_least(Cursor::new(1, 2)).wait(secs(5));
    let (reads, wanted) = (reader.clone(), id.clone());
    let waiting = tokio::spawn(async move { reads.get_when(&wanted, options).await });
    settle().await;
    assert!(!waiting.is_finished());
    rig.full(&id, 2, "two").await;
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(
        (&answer.state[..], answer.cursor),
        (&b"two"[..], Cursor::new(1, 2))
    );
    assert_eq!(answer.health, Health::Live);
}

#[tokio::test(start_paused = true)]
async fn get_when_waits_for_a_grain_that_is_not_followed_yet() {
    let rig = Rig::new();
    let id = grain("late");
    let follower = rig.following_all().await;
    let reader = follower.raw_reader();
    let refused = reader.get(&id, ReadOptions::default());
    assert!(
        matches!(refused, Err(ReadError::NotFollowed)),
        "{refused:?}"
    );
    let options = ReadOptions::at_least(Cursor::new(1, 1)).wait(secs(60));
    let (reads, wanted) = (reader.clone(), id.clone());
    let waiting = tokio::spawn(async move { reads.get_when(&wanted, options).await });
    settle().await;
    let began = tokio::time::Instant::now();
    rig.full(&id, 1, "one").await;
    assert_eq!(&waiting.await.unwrap().unwrap().state[..], b"one");
    assert!(began.elapsed() < secs(2));
}

#[tokio::test(start_paused = true)]
async fn get_when_says_at_the_deadline_what_stood_in_the_way() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let reader = follower.raw_reader();
    let began = tokio::time::Instant::now();
    let options = ReadOptions::at_least(Cursor::new(1, 2)).wait(secs(3));
    let refused = reader.get_when(&id, options).await;
    let Err(ReadError::Deadline { waited, last }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(waited, secs(3));
    assert_eq!(began.elapsed(), secs(3));
    assert!(matches!(*last, ReadError::NotYet { cursor: Some(at), .. } if at == Cursor::new(1, 1)));
    let options = ReadOptions::default().wait(secs(3));
    let refused = reader.get_when(&grain("unknown"), options).await;
    let Err(ReadError::Deadline { last, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(*last, ReadError::NotFollowed));
}

#[tokio::test(start_paused = true)]
async fn get_when_waits_for_a_page_to_make_an_answer_young_enough() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    rig.log.changes.fail(4);
    pass(secs(2)).await;
    let options = ReadOptions::max_age(millis(500)).wait(secs(60));
    let answer = follower.raw_reader().get_when(&id, options).await.unwrap();
    assert!(answer.age.unwrap() <= millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_handle_survives_an_unfollow_and_a_new_follow() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let handle = follower.raw_reader().handle(&id).unwrap();
    assert_eq!(&handle.get(ANY).unwrap().state[..], b"one");
    follower.unfollow(&id).await.unwrap();
    assert!(matches!(handle.get(ANY), Err(ReadError::NotFollowed)));
    rig.full(&id, 2, "two").await;
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    let answer = handle.get(ANY).unwrap();
    assert_eq!(&answer.state[..], b"two");
    assert!(answer.age.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_handle_may_be_taken_before_there_is_a_state() {
    let rig = Rig::new();
    let id = grain("a");
    let follower = rig.following(&id).await;
    let handle = follower.raw_reader().handle(&id).unwrap();
    let early = handle.get(ANY);
    assert!(
        matches!(early, Err(ReadError::NotYet { cursor: None, .. })),
        "{early:?}"
    );
    rig.full(&id, 1, "one").await;
    settle().await;
    assert_eq!(&handle.get(ANY).unwrap().state[..], b"one");
    let unknown = follower.raw_reader().handle(&grain("unknown"));
    assert!(matches!(unknown, Err(ReadError::NotFollowed)));
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_decoded_is_an_error_of_that_read() {
    let rig = Rig::new();
    let (bad, good) = (grain("bad"), GrainId::new("t", "good").unwrap());
    rig.full(&bad, 1, "\u{ff}not a length").await;
    let seven = gleaner_core::Codec::encode(&gleaner_core::Bincode::<1024>, &"seven".to_owned());
    let seven = String::from_utf8(seven.unwrap().to_vec()).unwrap();
    rig.full(&good, 1, &seven).await;
    let follower = rig.following_all().await;
    let reader = follower.reader::<String>();
    let refused = reader.get(&bad, ANY);
    assert!(
        matches!(refused, Err(ReadError::Decode { cursor, .. }) if cursor == Cursor::new(1, 1)),
        "{refused:?}"
    );
    assert_eq!(reader.get(&good, ANY).unwrap().state, "seven");
    assert_eq!(health(&follower, &bad), Health::Live);
}

/// With a store whose replicas are not in memory.
fn elsewhere() -> Rig {
    let mut rig = Rig::new();
    let mut store = RigStore::new(std::sync::Arc::new(
        gleaner_memory::MemoryReplicaStore::new(),
    ));
    store.resident = false;
    rig.store = std::sync::Arc::new(store);
    rig
}

#[tokio::test(start_paused = true)]
async fn a_store_elsewhere_is_read_by_get_when() {
    let rig = elsewhere();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let reader = follower.raw_reader();
    assert!(matches!(reader.get(&id, ANY), Err(ReadError::NotResident)));
    assert_eq!(&reader.get_when(&id, ANY).await.unwrap().state[..], b"one");
    let handle = reader.handle(&id).unwrap();
    assert_eq!(&handle.get_when(ANY).await.unwrap().state[..], b"one");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_lengthen_a_wait() {
    let rig = elsewhere();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    rig.store.get.hold();
    let began = tokio::time::Instant::now();
    let refused = follower.raw_reader().get_when(&id, ANY.wait(secs(2))).await;
    assert_eq!(began.elapsed(), secs(2));
    assert!(
        matches!(&refused, Err(ReadError::Deadline { last, .. }) if matches!(**last, ReadError::Store(_))),
        "{refused:?}"
    );
    rig.store.get.release();
    let seen = follower.raw_reader().get_when(&id, ANY.wait(secs(2))).await;
    assert_eq!(&seen.unwrap().state[..], b"one");
}

#[tokio::test(start_paused = true)]
async fn readers_outlive_their_follower_and_only_grow_older() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let reader = follower.raw_reader();
    follower.shutdown().await;
    drop(follower);
    rig.full(&id, 2, "two").await;
    pass(secs(100)).await;
    let answer = reader.get(&id, ANY).unwrap();
    assert_eq!(&answer.state[..], b"one");
    assert!(answer.age.unwrap() >= secs(100));
}
