//! Random events over a model log and store.

use gleaner_actor::{Event, Health};
use gleaner_core::Cursor;
use proptest::prelude::*;

use crate::model::{End, Flaw, Sent, World};

#[derive(Debug, Clone)]
enum Move {
    Append {
        whole: bool,
        new_epoch: bool,
        flaw: Flaw,
        sent: Sent,
    },
    /// What the log held before is sent late.
    PushLate {
        from: usize,
        entries: usize,
        torn: bool,
    },
    Name,
    LoseTail(usize),
    Truncate,
    SwapLog(bool),
    GoOn(End),
    Timer,
    PollNow,
    Pause,
    Resume,
    /// Of the entry that is bad, or of another.
    Skip(bool),
    Seek {
        right: bool,
        to: u64,
    },
    Rebase(bool),
    /// An answer to nothing that is in flight.
    Stray(u8),
}

fn any_flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        8 => Just(Flaw::None),
        1 => Just(Flaw::Fold),
        1 => Just(Flaw::Schema),
    ]
}

fn any_sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        Just(Sent::Not),
        Just(Sent::First),
        Just(Sent::Last),
        Just(Sent::Alone)
    ]
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![
        12 => Just(End::Well),
        1 => Just(End::Fails),
        1 => Just(End::Lost),
        1 => Just(End::Deferred),
        1 => Just(End::Unreadable),
    ]
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (prop::bool::weighted(0.3), prop::bool::weighted(0.1), any_flaw(), any_sent())
            .prop_map(|(whole, new_epoch, flaw, sent)| Move::Append { whole, new_epoch, flaw, sent }),
        3 => (0_usize..20, 1_usize..5, any::<bool>())
            .prop_map(|(from, entries, torn)| Move::PushLate { from, entries, torn }),
        2 => Just(Move::Name),
        1 => (1_usize..4).prop_map(Move::LoseTail),
        1 => Just(Move::Truncate),
        1 => prop::bool::weighted(0.3).prop_map(Move::SwapLog),
        24 => any_end().prop_map(Move::GoOn),
        2 => Just(Move::Timer),
        1 => Just(Move::PollNow),
        1 => Just(Move::Pause),
        2 => Just(Move::Resume),
        2 => any::<bool>().prop_map(Move::Skip),
        1 => (any::<bool>(), 1_u64..12).prop_map(|(right, to)| Move::Seek { right, to }),
        1 => any::<bool>().prop_map(Move::Rebase),
        2 => any::<u8>().prop_map(Move::Stray),
    ]
}

fn make(world: &mut World, what: &Move) {
    let seen = |right: bool, world: &World| {
        if right {
            world.replica().cursor
        } else {
            Cursor::new(9, 9)
        }
    };
    match what {
        Move::Append {
            whole,
            new_epoch,
            flaw,
            sent,
        } => {
            world.busy_steps = 0;
            world.append(*whole, *new_epoch, *flaw, *sent);
        }
        Move::PushLate {
            from,
            entries,
            torn,
        } => {
            world.busy_steps = 0;
            world.push_late(*from, *entries, *torn);
        }
        Move::Name => {
            world.busy_steps = 0;
            world.name();
        }
        Move::LoseTail(entries) => {
            world.busy_steps = 0;
            world.lose_tail(*entries);
        }
        Move::Truncate => world.truncate(),
        Move::SwapLog(foreign) => {
            world.busy_steps = 0;
            world.swap_log(*foreign);
        }
        Move::GoOn(end) => world.go_on(*end),
        Move::Timer => world.ring(),
        Move::PollNow => world.tell_from_outside(&Event::PollNow),
        Move::Pause => world.tell_from_outside(&Event::Pause),
        Move::Resume => world.tell_from_outside(&Event::Resume),
        Move::Skip(right) => {
            let bad = world.actor.quarantined().filter(|_| *right);
            world.skips += usize::from(bad.is_some());
            let expected = bad.unwrap_or(Cursor::new(9, 9));
            world.tell_from_outside(&Event::Skip { expected });
        }
        Move::Seek { right, to } => {
            let expected = seen(*right, world);
            let to = Cursor::new(1, *to);
            world.tell_from_outside(&Event::Seek { expected, to });
        }
        Move::Rebase(right) => {
            let expected = seen(*right, world);
            world.tell_from_outside(&Event::Rebase { expected });
        }
        Move::Stray(which) => stray(world, *which),
    }
}

/// An answer that nothing waits for: given only while nothing is in flight.
fn stray(world: &mut World, which: u8) {
    if world.actor.is_busy() {
        return;
    }
    let event = match which % 5 {
        0 => Event::LoadFailed,
        1 => Event::Deferred,
        2 => Event::ReadFailed,
        3 => Event::Unreadable(Cursor::new(1, 1)),
        _ => Event::ApplyFailed,
    };
    let before = format!("{:?}", world.actor);
    world.tell(&event);
    assert_eq!(format!("{:?}", world.actor), before);
}

/// How many operations may follow each other without a wait while nothing happens: load, poll, a page
/// of two entries at a time, a misfit's reread and rebase, a doubt's load and poll.
fn most_steps(world: &World) -> usize {
    16 + 2 * world.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn it_ends_as_the_truth_is(
        fed in any::<bool>(),
        seed in any::<u32>(),
        before in 0_usize..4,
        moves in prop::collection::vec(any_move(), 0..120),
    ) {
        let mut world = World::new(fed, seed);
        for _ in 0..before {
            world.append(false, false, Flaw::None, Sent::Not);
        }
        world.start();
        for what in &moves {
            make(&mut world, what);
            prop_assert!(world.busy_steps <= most_steps(&world), "hot loop after {what:?}");
        }
        // Nothing fails any more and nothing is written; a grain that rests without a timer has
        // nothing to do. A doubt is looked at for two and a half minutes, of a poll a second at most.
        world.tell_from_outside(&Event::Resume);
        world.name();
        let mut waits = 0;
        for _ in 0..2000 {
            let calm = world.actor.is_in_step() || (!world.actor.is_busy() && waits > 300);
            if calm || !world.has_something_to_do() {
                break;
            }
            waits += usize::from(!world.actor.is_busy());
            world.go_on(End::Well);
            prop_assert!(world.busy_steps <= most_steps(&world), "hot loop");
        }
        prop_assert!(!world.actor.is_busy(), "never came to rest");
        let truth = world.truth();
        let health = world.actor.health();
        let given_up = world.skips > 0
            && health == Health::Quarantined
            && world.head().map(|head| head.base) <= world.actor.quarantined();
        prop_assert!(health == truth || given_up, "{health:?}, and it is {truth:?}");
        prop_assert_eq!(world.actor.is_in_step(), health == Health::Live);
        if health == Health::Live {
            let head = world.head().map_or(Cursor::ZERO, |head| head.cursor);
            prop_assert_eq!(world.replica().cursor, head, "rests behind what was named");
        }
    }

    /// T1: whatever is under way, a stop ends after the operation in flight and begins no other.
    #[test]
    fn a_stop_begins_nothing(
        fed in any::<bool>(),
        moves in prop::collection::vec(any_move(), 0..60),
        end in any_end(),
    ) {
        let mut world = World::new(fed, 1);
        world.start();
        for what in &moves {
            make(&mut world, what);
        }
        let busy = world.actor.is_busy();
        world.tell_from_outside(&Event::Stop);
        prop_assert_eq!(world.over, !busy);
        if busy {
            world.go_on(end);
        }
        prop_assert!(world.over && !world.actor.is_busy());
        for what in &moves {
            if !matches!(what, Move::GoOn(_)) {
                make(&mut world, what);
            }
            prop_assert!(!world.actor.is_busy());
        }
    }
}
