//! Random histories: drawn as steps, made into entries against a plain model of L2 to L4.

use std::collections::BTreeMap;

use bytes::Bytes;
use gleaner_core::append::{Verdict, judge};
use gleaner_core::{Cursor, Draft, Entry, ErrorKind, Fence, GrainId, Head, Limits, Writer};
use proptest::prelude::*;

/// Payloads above this are refused, so that refusals for size come up too.
pub(crate) const MAX_PAYLOAD: usize = 12;

pub(crate) fn limits() -> Limits {
    Limits::default().with_max_payload(MAX_PAYLOAD)
}

/// What to write next of a grain; the entry follows from where the grain stands by then.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) grain: usize,
    pub(crate) what: What,
    pub(crate) size: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A whole state so many numbers above the head, in an epoch so much higher.
    Full {
        leap: u64,
        epochs: u64,
    },
    /// A change to the head.
    Delta,
    /// A change to something else than the head.
    Misfit,
    Tombstone,
    /// An entry of the same grain that was drawn before, counted from the last.
    Again(usize),
}

pub(crate) const GRAINS: usize = 4;

pub(crate) fn grain(number: usize) -> GrainId {
    // Two types, so that filters have something to leave out.
    let grain_type = if number < 2 { "plane" } else { "ship" };
    GrainId::new(grain_type, format!("k{number}")).unwrap()
}

/// Steps that mostly fit; with `wild`, also such as no publisher sends.
pub(crate) fn step(wild: bool) -> impl Strategy<Value = Step> {
    let rare = u32::from(wild);
    let what = prop_oneof![
        4 => Just(What::Full { leap: 1, epochs: 0 }),
        6 => Just(What::Delta),
        1 => (1_u64..4).prop_map(|leap| What::Full { leap, epochs: 0 }),
        1 => Just(What::Full { leap: 1, epochs: 1 }),
        1 => Just(What::Tombstone),
        rare => (0_u64..3, 0_u64..3).prop_map(|(leap, epochs)| What::Full { leap, epochs }),
        rare => Just(What::Misfit),
        2 * rare => (0_usize..4).prop_map(What::Again),
    ];
    let most = if wild { MAX_PAYLOAD + 2 } else { MAX_PAYLOAD };
    (0..GRAINS, what, 0..=most).prop_map(|(grain, what, size)| Step { grain, what, size })
}

/// What one grain's answer in a batch says.
pub(crate) type Answer = (GrainId, usize, Result<Head, ErrorKind>);

/// The log as its clauses read: per grain a head, a fence and entries.
#[derive(Debug, Default, Clone)]
pub(crate) struct Model {
    pub(crate) grains: BTreeMap<GrainId, Kept>,
    drawn: BTreeMap<GrainId, Vec<Entry>>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Kept {
    pub(crate) head: Option<Head>,
    fence: Option<Fence>,
    pub(crate) entries: Vec<Entry>,
}

impl Model {
    /// The entry that a step stands for; not written yet.
    pub(crate) fn draw(&mut self, step: &Step) -> Entry {
        let id = grain(step.grain);
        let kept = self.grains.get(&id).cloned().unwrap_or_default();
        let drawn = self.drawn.entry(id.clone()).or_default();
        let at = kept.head.map_or(Cursor::ZERO, |head| head.cursor);
        let (epoch, sequence) = (at.epoch.get().max(1), at.sequence.get());
        let payload = vec![b'a' + u8::try_from(drawn.len() % 26).unwrap(); step.size];
        let next = Cursor::new(epoch, sequence + 1);
        let delta = |prev| Draft::delta(id.clone(), next, writer(epoch), prev, payload.clone());
        let entry = match &step.what {
            What::Again(back) if !drawn.is_empty() => {
                return drawn[drawn.len() - 1 - back % drawn.len()].clone();
            }
            What::Full { leap, epochs } => {
                let at = Cursor::new(epoch + epochs, sequence + leap);
                Draft::full(id.clone(), at, writer(epoch + epochs), payload.clone())
            }
            What::Tombstone => Draft::tombstone(id.clone(), next, writer(epoch)),
            What::Misfit => delta(gleaner_core::Digest::new(1)),
            What::Delta | What::Again(_) => match kept.head {
                Some(head) if head.kind != gleaner_core::Kind::Tombstone => delta(head.digest),
                _ => Draft::full(id.clone(), next, writer(epoch), payload.clone()),
            },
        };
        let entry = entry.seal();
        drawn.push(entry.clone());
        entry
    }

    /// One entry by [`judge`] alone: Ok with the head, or the refusal.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<Head, ErrorKind> {
        let kept = self.grains.entry(entry.grain().clone()).or_default();
        match judge(
            kept.head.as_ref(),
            kept.fence.as_ref(),
            entry,
            &limits(),
            "model",
        ) {
            Ok(Verdict::Retry(head)) => Ok(head),
            Ok(Verdict::Write(head, fence)) => {
                kept.head = Some(head);
                kept.fence = fence;
                kept.entries.push(entry.clone());
                Ok(head)
            }
            Err(error) => Err(error.kind()),
        }
    }

    /// L3 from its words: grains in the order of their first entries; each from behind the first
    /// entry that equals the head, one by one, up to the first refusal.
    pub(crate) fn append_batch(&mut self, entries: &[Entry]) -> Vec<Answer> {
        let mut order: Vec<GrainId> = Vec::new();
        for entry in entries {
            if !order.contains(entry.grain()) {
                order.push(entry.grain().clone());
            }
        }
        order
            .into_iter()
            .map(|id| {
                let head = self.grains.get(&id).and_then(|kept| kept.head);
                let own: Vec<&Entry> = entries
                    .iter()
                    .filter(|entry| *entry.grain() == id)
                    .collect();
                let is_head = |entry: &&Entry| {
                    head.is_some_and(|head| {
                        (head.cursor, head.digest) == (entry.cursor(), entry.digest())
                    })
                };
                let from = own.iter().position(is_head).unwrap_or(0);
                let (mut landed, mut result) = (from, None);
                for entry in &own[from..] {
                    let answer = self.append(entry);
                    landed += usize::from(answer.is_ok());
                    let refused = answer.is_err();
                    result = Some(answer);
                    if refused {
                        break;
                    }
                }
                (id, landed, result.unwrap())
            })
            .collect()
    }
}

fn writer(epoch: u64) -> Writer {
    Writer::new(epoch)
}

/// The state after a whole history, folded by hand: a Delta is appended to the state.
pub(crate) fn folded<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Bytes> {
    let mut state: Option<Vec<u8>> = None;
    for entry in entries {
        match entry.kind() {
            gleaner_core::Kind::FullState => state = Some(entry.payload().to_vec()),
            gleaner_core::Kind::Tombstone => state = None,
            gleaner_core::Kind::Delta => {
                state.as_mut().unwrap().extend_from_slice(entry.payload());
            }
        }
    }
    state.map(Bytes::from)
}
