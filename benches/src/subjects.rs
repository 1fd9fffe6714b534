//! What is measured step by step, by the criterion benches and by `instructions`: the same code, timed
//! by the one and counted by the other.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use gleaner::memory::MemoryReplicaStore;
use gleaner::{
    Advance, Bincode, Codec, Cursor, Digest, Draft, Entry, Generation, GrainId, Head, Kind, LogId,
    ReplicaHandle, ReplicaStore, Schema, Writer,
};
use gleaner_actor::{
    Action, Answer, Applied, Event, GrainActor, Jitter, Moment, Origin, Place, Policy,
};
use gleaner_measure::{Draw, key, payload};

/// Something that can be done again and again.
pub trait Subject {
    /// Does it once.
    ///
    /// # Panics
    /// If it did not do what it is measured for.
    fn once(&mut self);
}

/// All subjects, by name.
pub const NAMES: [&str; 11] = [
    "actor_catches_up",
    "actor_is_named_again",
    "store_applies_one_1k",
    "store_applies_1000_of_64",
    "store_peeks",
    "store_loads_by_handle",
    "entry_seals_64",
    "entry_seals_1k",
    "entry_seals_64k",
    "codec_encodes",
    "codec_decodes",
];

/// The subject of a name.
///
/// # Panics
/// If there is none of that name, or it cannot be set up.
pub fn subject(name: &str) -> Box<dyn Subject> {
    match name {
        "actor_catches_up" => Box::new(Resting::at_rest()),
        "actor_is_named_again" => Box::new(Named(Resting::at_rest())),
        "store_applies_one_1k" => Box::new(Applies::new(10_000, 1, 1024)),
        "store_applies_1000_of_64" => Box::new(Applies::new(10_000, 1000, 64)),
        "store_peeks" => Box::new(Peek(Applies::new(10_000, 1, 1024))),
        "store_loads_by_handle" => Box::new(Load::new(&Applies::new(10_000, 1, 1024))),
        "entry_seals_64" => Box::new(Seal::new(64)),
        "entry_seals_1k" => Box::new(Seal::new(1024)),
        "entry_seals_64k" => Box::new(Seal::new(64 << 10)),
        "codec_encodes" => Box::new(Encode(flight())),
        "codec_decodes" => Box::new(Decode(encoded(&flight()))),
        other => panic!("there is no subject {other}"),
    }
}

/// A fed grain at rest that is named, catches up by one entry, and rests again: four events.
struct Resting {
    actor: GrainActor,
    head: Head,
    now: Moment,
}

impl Resting {
    fn at_rest() -> Self {
        let cursor = Cursor::new(1, 1);
        let head = Head {
            cursor,
            digest: Digest::ZERO,
            kind: Kind::FullState,
            base: cursor,
        };
        let mut actor = GrainActor::new(Arc::new(Policy::default()), Jitter::new(1), true);
        let now = Moment::START;
        let _ = actor.on(now, &Event::Start);
        let place = place(&head);
        let _ = actor.on(
            now,
            &Event::Loaded {
                place,
                listed: Some(head),
            },
        );
        assert!(actor.is_in_step(), "the actor does not rest");
        Self { actor, head, now }
    }
}

impl Subject for Resting {
    fn once(&mut self) {
        let from = self.head.cursor;
        let cursor = Cursor::new(1, from.sequence.get() + 1);
        self.head.cursor = cursor;
        self.head.base = cursor;
        let asked = self.actor.on(self.now, &Event::Named(self.head));
        assert_eq!(asked.action, Action::CatchUp { from });
        let answer = Answer {
            head: Some(self.head),
            first: Some(cursor),
            complete: true,
            foreign: false,
        };
        let given = self.actor.on(self.now, &Event::CaughtUp(answer));
        assert!(matches!(given.action, Action::Apply { .. }));
        let applied = Applied {
            place: place(&self.head),
            applied: 1,
            stop: None,
            origin: Origin::Answer(answer),
        };
        let rests = self.actor.on(self.now, &Event::Applied(applied));
        assert!(rests.confirms && self.actor.is_in_step());
    }
}

/// The feed names the head that the replica already has.
struct Named(Resting);

impl Subject for Named {
    fn once(&mut self) {
        let Resting { actor, head, now } = &mut self.0;
        let _ = std::hint::black_box(actor.on(*now, &Event::Named(*head)));
        assert!(actor.is_in_step());
    }
}

fn place(head: &Head) -> Place {
    Place {
        cursor: head.cursor,
        digest: head.digest,
        generation: Generation::default(),
        foreign: false,
    }
}

/// One apply of so many runs, of one new state each, on drawn grains; the entries are made beside.
struct Applies {
    store: MemoryReplicaStore,
    log: LogId,
    ids: Vec<GrainId>,
    draw: Draw,
    runs: usize,
    bytes: usize,
    newest: u64,
}

impl Applies {
    fn new(grains: u32, runs: usize, bytes: usize) -> Self {
        let ids: Result<Vec<_>, _> = (0..grains)
            .map(|at| GrainId::new("grain", key(at)))
            .collect();
        let Ok(ids) = ids else {
            panic!("the ids are not valid")
        };
        let log = LogId::new("log");
        let mut store = Self {
            store: MemoryReplicaStore::new(),
            log,
            ids,
            draw: Draw::new(1),
            runs,
            bytes,
            newest: 0,
        };
        let bound = store.store.bind(&store.log, None).now_or_never();
        assert!(bound.is_some_and(|bound| bound.is_ok()), "it was not bound");
        store.newest += 1;
        let all = store.ids.iter();
        let all = all.map(|id| advance(id, store.newest, bytes)).collect();
        store.apply(all);
        store
    }

    fn drawn(&mut self) -> Option<GrainId> {
        let grains = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.ids.get(self.draw.below(grains) as usize).cloned()
    }

    fn apply(&self, runs: Vec<Advance>) {
        let applied = self.store.apply(&self.log, runs).now_or_never();
        let Some(Ok(outcomes)) = applied else {
            panic!("the apply failed")
        };
        assert!(outcomes.iter().all(|outcome| outcome.stop.is_none()));
    }
}

impl Subject for Applies {
    fn once(&mut self) {
        let mut runs = Vec::with_capacity(self.runs);
        for _ in 0..self.runs {
            // Rising over all grains; one that is drawn twice rises twice.
            self.newest += 1;
            if let Some(id) = self.drawn() {
                runs.push(advance(&id, self.newest, self.bytes));
            }
        }
        self.apply(runs);
    }
}

struct Peek(Applies);

impl Subject for Peek {
    fn once(&mut self) {
        let found = self.0.drawn().and_then(|id| self.0.store.peek(&id));
        assert!(std::hint::black_box(found).is_some());
    }
}

struct Load(Vec<ReplicaHandle>, Draw);

impl Load {
    fn new(store: &Applies) -> Self {
        let handles = store.ids.iter().filter_map(|id| store.store.handle(id));
        Self(handles.collect(), Draw::new(1))
    }
}

impl Subject for Load {
    fn once(&mut self) {
        let grains = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let found = self.0.get(self.1.below(grains) as usize);
        assert!(std::hint::black_box(found.and_then(ReplicaHandle::load)).is_some());
    }
}

/// An entry's digest and the entry itself; the payload passes by reference count.
struct Seal {
    id: GrainId,
    state: Bytes,
}

impl Seal {
    fn new(bytes: usize) -> Self {
        let Ok(id) = GrainId::new("grain", key(1)) else {
            panic!("the id is not valid")
        };
        let state = payload(bytes, 1).into();
        Self { id, state }
    }
}

impl Subject for Seal {
    fn once(&mut self) {
        let draft = Draft::full(
            self.id.clone(),
            Cursor::new(1, 1),
            Writer::new(1),
            self.state.clone(),
        );
        std::hint::black_box(draft.seal());
    }
}

type Flight = (String, u64, f64, f64, Vec<u32>);

fn flight() -> Flight {
    let legs = (0..16).collect();
    ("N14228".to_owned(), 1_545, 40.6925, -74.1687, legs)
}

fn encoded(flight: &Flight) -> Bytes {
    let codec: Bincode = Bincode;
    let encoded = codec.encode(flight);
    let Ok(encoded) = encoded else {
        panic!("a flight was not encoded")
    };
    encoded
}

struct Encode(Flight);

impl Subject for Encode {
    fn once(&mut self) {
        std::hint::black_box(encoded(&self.0));
    }
}

struct Decode(Bytes);

impl Subject for Decode {
    fn once(&mut self) {
        let codec: Bincode = Bincode;
        let flight: Result<Flight, _> = codec.decode(&self.0, Schema::default());
        assert!(std::hint::black_box(flight).is_ok());
    }
}

fn advance(id: &GrainId, sequence: u64, bytes: usize) -> Advance {
    let state = payload(bytes, sequence);
    let entry: Entry =
        Draft::full(id.clone(), Cursor::new(1, sequence), Writer::new(1), state).seal();
    Advance {
        grain: id.clone(),
        generation: Generation::default(),
        entries: vec![entry],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_can_be_done_again_and_again() {
        for name in NAMES {
            let mut subject = subject(name);
            (0..10).for_each(|_| subject.once());
        }
    }
}
