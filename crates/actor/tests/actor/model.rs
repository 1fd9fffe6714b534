//! A tiny log and store without payloads, and the driver of one actor over them.

use gleaner_actor::{
    Action, Answer, Applied, Event, GrainActor, Health, Jitter, Moment, Origin, Place, Push, Step,
};
use gleaner_core::{Cursor, Digest, Expected, Generation, Head, Kind, StopReason, run_after};

use crate::script::{exact, fold_failed};

/// What an entry of the model does to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Its fold fails.
    Fold,
    /// It stops the run for good, whatever its kind.
    Schema,
}

/// What the log sends unasked of an entry that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Not,
    /// Before the entry is named.
    First,
    /// After it was named.
    Last,
    /// And it is named only later.
    Alone,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    cursor: Cursor,
    digest: Digest,
    prev: Option<Digest>,
    flaw: Flaw,
}

/// How an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Well,
    /// It fails, and did nothing.
    Fails,
    /// It fails towards the caller, and was done.
    Lost,
    /// The log puts the grain off.
    Deferred,
    /// The log cannot read the grain.
    Unreadable,
}

/// Most entries of one answer, so that a backlog takes several.
const PAGE: usize = 2;

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct World {
    pub(crate) actor: GrainActor,
    /// What an actor is woken with.
    waking: (Jitter, bool),
    log: Vec<Entry>,
    /// What the log held since it last lost something: what may still be sent late.
    held: Vec<Entry>,
    /// The head is yet to be named.
    unnamed: bool,
    /// The last head that was named since the log last lost something.
    named: Cursor,
    next_digest: u64,
    epoch: u64,
    replica: Place,
    /// The log is another than the store is bound to.
    pub(crate) foreign: bool,
    /// The head that a listing gave before the first load.
    listed: Option<Head>,
    loaded: bool,
    started: bool,
    pending: Option<Action>,
    /// The run that is to be applied, and how it came.
    run: Vec<Entry>,
    origin: Option<Origin>,
    timer: Option<Moment>,
    now: Moment,
    /// Operations begun since the last wait or outside event.
    pub(crate) busy_steps: usize,
    pub(crate) skips: usize,
    pub(crate) over: bool,
}

impl World {
    pub(crate) fn new(fed: bool, seed: u32) -> Self {
        Self {
            actor: GrainActor::new(exact(), Jitter::new(seed), fed),
            waking: (Jitter::new(seed), fed),
            log: Vec::new(),
            held: Vec::new(),
            unnamed: false,
            named: Cursor::ZERO,
            next_digest: 1,
            epoch: 1,
            replica: Place::default(),
            foreign: false,
            listed: None,
            loaded: false,
            started: false,
            pending: None,
            run: Vec::new(),
            origin: None,
            timer: None,
            now: Moment::START,
            busy_steps: 0,
            skips: 0,
            over: false,
        }
    }

    pub(crate) fn start(&mut self) {
        self.listed = self.head();
        self.started = true;
        self.tell(&Event::Start);
    }

    pub(crate) fn replica(&self) -> Place {
        self.replica
    }

    pub(crate) fn len(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn head(&self) -> Option<Head> {
        let last = self.log.last()?;
        let base = self.log.iter().rev().find(|entry| entry.prev.is_none())?;
        Some(Head {
            cursor: last.cursor,
            digest: last.digest,
            kind: if last.prev.is_none() {
                Kind::FullState
            } else {
                Kind::Delta
            },
            base: base.cursor,
        })
    }

    // What happens to the log; a feed names or doubts truthfully, and without one polls find out.

    pub(crate) fn append(&mut self, whole: bool, new_epoch: bool, flaw: Flaw, sent: Sent) {
        let before = self.log.last().copied();
        let whole = whole || new_epoch || before.is_none();
        self.epoch += u64::from(new_epoch);
        let sequence = before.map_or(0, |entry| entry.cursor.sequence.get()) + 1;
        let entry = Entry {
            cursor: Cursor::new(self.epoch, sequence),
            digest: Digest::new(self.next_digest),
            prev: before.map(|entry| entry.digest).filter(|_| !whole),
            flaw,
        };
        self.log.push(entry);
        self.held.push(entry);
        self.next_digest += 1;
        self.unnamed = true;
        if matches!(sent, Sent::First | Sent::Alone) {
            self.push(vec![entry]);
        }
        if sent != Sent::Alone {
            self.name();
        }
        if sent == Sent::Last {
            self.push(vec![entry]);
        }
    }

    /// The feed names the head, if it has not.
    pub(crate) fn name(&mut self) {
        if std::mem::take(&mut self.unnamed)
            && let Some(head) = self.head()
        {
            self.named = head.cursor;
            self.tell(&Event::Named(head));
        }
    }

    /// The log sends, late and perhaps once more, some of what it held; perhaps without what is in between.
    pub(crate) fn push_late(&mut self, from: usize, entries: usize, torn: bool) {
        let from = from % self.held.len().max(1);
        let mut run: Vec<Entry> = self.held.iter().skip(from).take(entries).copied().collect();
        if torn && run.len() > 2 {
            run.remove(1);
        }
        self.push(run);
    }

    fn push(&mut self, run: Vec<Entry>) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        let push = Push {
            first: first.cursor,
            prev: first.prev,
            last: last.cursor,
            foreign: self.foreign,
        };
        let busy = self.pending.is_some();
        self.tell(&Event::Pushed(push));
        if !busy && matches!(self.pending, Some(Action::Apply { .. })) {
            self.run = run;
            self.origin = Some(Origin::Push(push));
        }
    }

    pub(crate) fn lose_tail(&mut self, entries: usize) {
        let left = self.log.len().saturating_sub(entries);
        self.log.truncate(left);
        // What was held before is of another history, and is not told after this.
        self.held.clone_from(&self.log);
        self.named = Cursor::ZERO;
        self.tell(&Event::Doubted);
    }

    pub(crate) fn truncate(&mut self) {
        if let Some(head) = self.head() {
            self.log.retain(|entry| entry.cursor >= head.base);
        }
    }

    pub(crate) fn swap_log(&mut self, foreign: bool) {
        self.foreign = foreign;
        self.tell(&Event::Doubted);
    }

    // The driver.

    /// Puts an actor that rests to sleep and wakes it: it is what it was, its jitter aside.
    fn sleep(&mut self) {
        let Some(rest) = self.actor.rest() else {
            return;
        };
        let head = self.head().filter(|head| rest.is_at(head));
        let (jitter, fed) = self.waking;
        let woken = rest.wake(exact(), jitter, fed);
        let told = |actor: &GrainActor| {
            let text = format!("{actor:?}");
            let (before, rest) = text.split_once("jitter: Jitter(")?;
            let (_, after) = rest.split_once(',')?;
            Some(format!("{before}{after}"))
        };
        assert!(told(&woken).is_some());
        assert_eq!(told(&woken), told(&self.actor));
        self.actor = woken;
        if let Some(head) = head {
            let step = self.actor.clone().on(self.now, &Event::Named(head));
            assert_eq!(step.action, Action::Nothing);
        }
    }

    /// Gives the actor an event and checks what it makes of it.
    pub(crate) fn tell(&mut self, event: &Event) {
        let step = self.actor.on(self.now, event);
        self.check(event, &step);
        self.sleep();
        match step.action {
            Action::Nothing => {}
            Action::Wait { until } => {
                assert!(self.pending.is_none(), "waits while in flight: {event:?}");
                assert!(until.is_none_or(|until| until > self.now), "{step:?}");
                self.timer = until;
                self.busy_steps = 0;
            }
            Action::Stopped => {
                assert!(self.pending.is_none(), "ends while in flight: {event:?}");
                self.over = true;
            }
            operation => {
                assert!(!self.over, "{operation:?} after the end");
                assert!(self.pending.is_none(), "two in flight: {event:?}");
                self.pending = Some(operation);
                // What comes unasked puts no interval off.
                self.timer = self.timer.filter(|_| matches!(event, Event::Pushed(_)));
                self.busy_steps += 1;
            }
        }
        assert_eq!(self.actor.is_busy(), self.pending.is_some(), "{event:?}");
        let (_, fed) = self.waking;
        let waits = !(self.over || self.actor.is_busy() || self.actor.health() == Health::Paused);
        assert!(
            fed || !self.started || !waits || self.timer.is_some(),
            "nothing makes it look again after {event:?}"
        );
    }

    /// The time comes that is waited for, whatever is in flight.
    pub(crate) fn ring(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.now = self.now.max(timer);
        }
        self.tell_from_outside(&Event::Timer);
    }

    /// Gives an event from outside, which may well cause work.
    pub(crate) fn tell_from_outside(&mut self, event: &Event) {
        self.busy_steps = 0;
        self.tell(event);
    }

    fn check(&self, event: &Event, step: &Step) {
        let head = match event {
            Event::Loaded { listed, .. } => listed.map(Some),
            Event::CaughtUp(answer)
            | Event::Applied(Applied {
                origin: Origin::Answer(answer),
                ..
            })
            | Event::Rebased(Applied {
                origin: Origin::Answer(answer),
                ..
            }) => Some(answer.head),
            _ => None,
        };
        if step.confirms {
            let head = head.unwrap_or_else(|| panic!("{event:?} is no answer and confirms"));
            let equal = head.map_or(self.replica.cursor == Cursor::ZERO, |head| {
                head.cursor == self.replica.cursor && head.digest == self.replica.digest
            });
            assert!(equal, "{event:?} confirms a replica at {:?}", self.replica);
            assert!(!self.actor.cursor().gt(&self.replica.cursor));
        }
        if self.actor.is_in_step() {
            assert!(self.pending.is_none(), "in step while in flight");
            assert_eq!(self.actor.health(), Health::Live);
            assert_eq!(self.actor.cursor(), self.replica.cursor, "{event:?}");
            // C3: a page that does not name it otherwise confirms it.
            assert!(
                self.replica.cursor >= self.named,
                "in step below a name: {event:?}"
            );
        }
    }

    /// Whether an operation is in flight, or a timer set.
    pub(crate) fn has_something_to_do(&self) -> bool {
        self.pending.is_some() || self.timer.is_some()
    }

    /// Ends the operation in flight, or lets the time come that is waited for.
    pub(crate) fn go_on(&mut self, end: End) {
        let Some(operation) = self.pending.take() else {
            if let Some(timer) = self.timer.take() {
                self.now = self.now.max(timer);
                self.tell(&Event::Timer);
            }
            return;
        };
        self.now = Moment::from_nanos(self.now.as_nanos() + 1000);
        let event = match operation {
            Action::Load if end != End::Well => Event::LoadFailed,
            Action::Load => {
                let listed = self.listed.filter(|_| !self.loaded);
                self.loaded = true;
                Event::Loaded {
                    place: self.place(),
                    listed,
                }
            }
            Action::CatchUp { from } => match end {
                End::Well => self.caught(self.run_from(from, PAGE)),
                End::Deferred => Event::Deferred,
                End::Unreadable => Event::Unreadable(from),
                End::Fails | End::Lost => Event::ReadFailed,
            },
            Action::Reread | Action::ReadUpTo { .. } if end != End::Well => Event::ReadFailed,
            Action::Reread => self.caught(self.run_from(Cursor::ZERO, usize::MAX)),
            Action::ReadUpTo { to } => self.caught(self.run_up_to(to)),
            Action::Apply { generation } => {
                let result = (end != End::Fails).then(|| self.apply(generation));
                result
                    .filter(|_| end != End::Lost)
                    .map_or(Event::ApplyFailed, Event::Applied)
            }
            Action::Rebase { expected } => {
                let result = (end != End::Fails).then(|| self.rebase(expected));
                result
                    .filter(|_| end != End::Lost)
                    .map_or(Event::ApplyFailed, Event::Rebased)
            }
            Action::Nothing | Action::Wait { .. } | Action::Stopped => unreachable!(),
        };
        if end != End::Well {
            self.busy_steps = 0;
        }
        self.tell(&event);
    }

    fn place(&self) -> Place {
        Place {
            foreign: self.foreign,
            ..self.replica
        }
    }

    fn run_from(&self, cursor: Cursor, most: usize) -> (Vec<Entry>, bool) {
        let after = self.head().and_then(|head| run_after(cursor, &head));
        let Some(after) = after else {
            return (Vec::new(), true);
        };
        let all: Vec<Entry> = self
            .log
            .iter()
            .copied()
            .filter(|entry| entry.cursor > after)
            .collect();
        let kept: Vec<Entry> = all.iter().copied().take(most).collect();
        let complete = kept.len() == all.len();
        (kept, complete)
    }

    fn run_up_to(&self, to: Cursor) -> (Vec<Entry>, bool) {
        let below = self.log.iter().copied().filter(|entry| entry.cursor <= to);
        let below: Vec<Entry> = below.collect();
        let base = below.iter().rposition(|entry| entry.prev.is_none());
        let run = base.map_or(Vec::new(), |base| below.into_iter().skip(base).collect());
        (run, true)
    }

    fn caught(&mut self, (run, complete): (Vec<Entry>, bool)) -> Event {
        let answer = Answer {
            head: self.head(),
            first: run.first().map(|entry| entry.cursor),
            complete,
            foreign: self.foreign,
        };
        self.run = run;
        self.origin = Some(Origin::Answer(answer));
        Event::CaughtUp(answer)
    }

    fn apply(&mut self, generation: Generation) -> Applied {
        let (place, applied, stop) = if generation == self.replica.generation {
            advance(self.replica, &self.run)
        } else {
            (self.replica, 0, Some((Cursor::ZERO, StopReason::Moved)))
        };
        self.replica = place;
        self.applied(applied, stop)
    }

    fn rebase(&mut self, expected: Expected) -> Applied {
        let found = Expected {
            cursor: self.replica.cursor,
            generation: self.replica.generation,
        };
        if found != expected {
            return self.applied(0, Some((Cursor::ZERO, StopReason::Moved)));
        }
        let fresh = Place {
            generation: self.replica.generation.next(),
            ..Place::default()
        };
        let (place, applied, stop) = advance(fresh, &self.run);
        if stop.is_some() {
            return self.applied(0, stop);
        }
        self.replica = place;
        self.applied(applied, None)
    }

    fn applied(&self, applied: usize, stop: Option<(Cursor, StopReason)>) -> Applied {
        Applied {
            place: self.place(),
            applied,
            stop,
            origin: self.origin.unwrap_or_else(|| panic!("a run from nowhere")),
        }
    }

    /// How the replica must stand in the end, if nothing happens any more.
    pub(crate) fn truth(&self) -> Health {
        if self.foreign {
            return Health::Foreign;
        }
        let Some(head) = self.head() else {
            return if self.replica.cursor == Cursor::ZERO {
                Health::Live
            } else {
                Health::Missing
            };
        };
        match head.cursor.cmp(&self.replica.cursor) {
            std::cmp::Ordering::Less => Health::Ahead,
            std::cmp::Ordering::Equal if head.digest != self.replica.digest => Health::Diverged,
            std::cmp::Ordering::Equal => Health::Live,
            std::cmp::Ordering::Greater => {
                let run = self.run_from(self.replica.cursor, usize::MAX).0;
                let misfit = |stop| matches!(stop, StopReason::Gap | StopReason::Fold(_));
                let mended = match advance(self.replica, &run).2 {
                    None => true,
                    Some((_, why)) => {
                        let whole = self.run_from(Cursor::ZERO, usize::MAX).0;
                        misfit(why) && advance(Place::default(), &whole).2.is_none()
                    }
                };
                if mended {
                    Health::Live
                } else {
                    Health::Quarantined
                }
            }
        }
    }
}

/// The model's reading of S2, S3 and S6.
fn advance(mut place: Place, run: &[Entry]) -> (Place, usize, Option<(Cursor, StopReason)>) {
    let mut applied = 0;
    for entry in run {
        if entry.cursor <= place.cursor {
            continue;
        }
        let fits = entry
            .prev
            .is_none_or(|prev| place.cursor.is_just_below(entry.cursor) && prev == place.digest);
        let why = match entry.flaw {
            Flaw::Schema => StopReason::NoFold,
            _ if !fits => StopReason::Gap,
            Flaw::Fold => fold_failed(),
            Flaw::None => {
                place.cursor = entry.cursor;
                place.digest = entry.digest;
                applied += 1;
                continue;
            }
        };
        return (place, applied, Some((entry.cursor, why)));
    }
    (place, applied, None)
}
