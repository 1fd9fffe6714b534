//! [`Lie`]: what an answer is made to say. Each tells whether it has: some answers leave no room for it.

use crate::raw::proto;
use crate::raw::proto::catch_up_answer::Outcome;

/// One way to break the protocol. Nothing here is a state that the honest leader did not write, under a
/// digest of its own: whose leader does that is whom the follower was told to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// Entries are not what their digests say.
    Digests,
    /// Payloads have other bytes, of the same length.
    Payloads,
    /// Each grain has the payload of another.
    Exchanged,
    /// Entries come the wrong way round.
    Reordered,
    /// An entry between two others is missing.
    Gap,
    /// The head lies below the entries that lead to it.
    HeadBelow,
    /// The head is another entry than the one that is sent for it.
    HeadElsewhere,
    /// Numbers that no entry has.
    Impossible,
    /// The answer is of another log.
    AnotherLog,
    /// There is an answer for fewer than were asked about.
    Fewer,
    /// Lengths of 4 GiB.
    Lengths,
    /// Names that were never sent.
    Names,
    /// Nothing is ever ready.
    Never,
    /// Everything fails, for good.
    Failed,
    /// A grain that was not asked for.
    Outside,
    /// To go on from where it was already.
    Back,
    /// There is always more, and nothing of it here.
    Endless,
    /// Nothing that must be there is there.
    Empty,
}

impl Lie {
    pub(super) fn describe(self, answer: &mut proto::Description) -> bool {
        match self {
            Self::Empty => *answer = proto::Description::default(),
            _ => return false,
        }
        true
    }

    pub(super) fn append(self, answer: &mut proto::AppendAnswer) -> bool {
        match self {
            Self::Fewer => drop(answer.landed.pop()),
            Self::Lengths => answer.landed.fill(u32::MAX),
            Self::Empty => *answer = proto::AppendAnswer::default(),
            Self::Impossible => return impossible(answer.heads.as_mut()),
            Self::Never => answer.landed.fill(0),
            _ => return false,
        }
        true
    }

    pub(super) fn claim(self, answer: &mut proto::ClaimAnswer) -> bool {
        match self {
            Self::Fewer => drop(answer.outcomes.pop()),
            Self::Empty => *answer = proto::ClaimAnswer::default(),
            Self::Names => answer.outcomes.fill(99),
            Self::Failed => answer.outcomes.fill(2),
            Self::Impossible => return impossible(answer.heads.as_mut()),
            _ => return false,
        }
        true
    }

    pub(super) fn heads(self, answer: &mut proto::HeadsAnswer) -> bool {
        match self {
            Self::Fewer => drop(answer.found.pop()),
            Self::Empty => answer.heads = None,
            Self::Impossible => return impossible(answer.heads.as_mut()),
            _ => return false,
        }
        true
    }

    pub(super) fn list_heads(
        self,
        asked: &proto::ListHeadsRequest,
        answer: &mut proto::ListHeadsAnswer,
    ) -> bool {
        match self {
            Self::Reordered => {
                let grains = answer.grains.as_mut();
                let Some(grains) = grains.filter(|it| it.types.len() > 1) else {
                    return false;
                };
                let first = usize::try_from(grains.key_lengths[0]).unwrap();
                let keys = grains.keys.clone();
                grains.keys = [&keys[first..], &keys[..first]].concat().into();
                grains.key_lengths.rotate_left(1);
            }
            Self::Outside => return outside(answer.grains.as_mut()),
            Self::Back | Self::Endless => {
                answer.next = asked.after.clone().or_else(|| Some(first()));
            }
            Self::Fewer => answer.heads = None,
            Self::Empty => answer.identity = None,
            Self::Names => return names(answer.grains.as_mut()),
            Self::Lengths => return lengths(answer.grains.as_mut()),
            Self::Impossible => return impossible(answer.heads.as_mut()),
            _ => return false,
        }
        true
    }

    pub(super) fn read_from(self, answer: &mut proto::ReadFromAnswer) -> bool {
        if self == Self::Endless {
            *answer = proto::ReadFromAnswer {
                entries: None,
                more: true,
            };
            return true;
        }
        let all = answer.entries.as_ref().map_or(0, |it| it.kinds.len());
        let all = u32::try_from(all).unwrap();
        self.entries(answer.entries.as_mut(), &mut [all])
    }

    pub(super) fn catch_up(self, answer: &mut proto::CatchUpAnswer) -> bool {
        let all = answer.outcomes.len();
        match self {
            Self::HeadBelow | Self::HeadElsewhere | Self::Impossible => {
                let before = answer.heads.clone();
                let heads = answer.heads.as_mut();
                if let Some(heads) = heads {
                    match self {
                        Self::HeadBelow => heads.sequences.iter_mut().for_each(|it| *it -= 1),
                        Self::HeadElsewhere => heads.digests.iter_mut().for_each(|it| *it ^= 1),
                        _ => heads.sequences.fill(u64::MAX),
                    }
                }
                return answer.heads != before;
            }
            Self::AnotherLog => {
                if let Some(identity) = &mut answer.identity {
                    identity.log = b"another log".to_vec().into();
                }
            }
            Self::Fewer => drop(answer.outcomes.pop()),
            Self::Never => {
                *answer = proto::CatchUpAnswer {
                    identity: answer.identity.take(),
                    outcomes: vec![Outcome::Deferred.into(); all],
                    ..proto::CatchUpAnswer::default()
                };
            }
            Self::Failed => {
                let mut error = proto::Error::default();
                error.set_kind(proto::error::Kind::Permanent);
                *answer = proto::CatchUpAnswer {
                    identity: answer.identity.take(),
                    outcomes: vec![Outcome::Failed.into(); all],
                    errors: vec![error; all],
                    ..proto::CatchUpAnswer::default()
                };
            }
            Self::Endless => {
                // Cut, for ever, to nothing.
                if answer.counts.iter().all(|count| *count == 0) {
                    return false;
                }
                let heads = answer.heads.get_or_insert_default();
                if heads.epochs.len() != answer.counts.len() {
                    return false;
                }
                answer.counts.fill(0);
                answer.entries = None;
                for outcome in &mut answer.outcomes {
                    if *outcome == i32::from(Outcome::ToHead) {
                        *outcome = Outcome::Cut.into();
                    }
                }
            }
            Self::Empty => *answer = proto::CatchUpAnswer::default(),
            _ => {
                return self.entries(answer.entries.as_mut(), &mut answer.counts);
            }
        }
        true
    }

    pub(super) fn start(self, answer: &mut proto::StartAnswer) -> bool {
        match self {
            Self::Empty => answer.position = None,
            Self::Lengths => {
                if let Some(position) = &mut answer.position {
                    position.counters = vec![0; 1 << 20];
                }
            }
            _ => return false,
        }
        true
    }

    pub(super) fn changes(
        self,
        asked: &proto::ChangesRequest,
        answer: &mut proto::ChangesAnswer,
    ) -> bool {
        match self {
            Self::Back => {
                if let Some(next) = &mut answer.next {
                    if next.counters.iter().all(|count| *count == 0) {
                        return false;
                    }
                    next.counters.fill(0);
                }
            }
            Self::Endless => {
                *answer = proto::ChangesAnswer {
                    next: asked.since.clone(),
                    complete: false,
                    ..proto::ChangesAnswer::default()
                };
            }
            Self::AnotherLog => {
                for identity in answer.next.iter_mut().flat_map(|next| &mut next.identity) {
                    identity.log = b"another log".to_vec().into();
                }
            }
            Self::Empty => answer.next = None,
            Self::Outside => return outside(answer.grains.as_mut()),
            Self::Names => return names(answer.grains.as_mut()),
            Self::Lengths => return lengths(answer.grains.as_mut()),
            Self::Fewer => {
                let some = answer
                    .heads
                    .as_ref()
                    .is_some_and(|it| !it.epochs.is_empty());
                answer.heads = None;
                return some;
            }
            Self::Impossible => return impossible(answer.heads.as_mut()),
            _ => return false,
        }
        true
    }

    pub(super) fn watch(self, page: &mut proto::WatchPage) -> bool {
        match self {
            Self::Back => page.counters.fill(0),
            Self::Empty => page.counters.clear(),
            Self::Outside => return outside(page.grains.as_mut()),
            Self::Names => return names(page.grains.as_mut()),
            Self::Lengths => return lengths(page.grains.as_mut()),
            Self::Fewer => drop(page.counts.pop()),
            Self::HeadBelow => {
                // Its base beyond it.
                page.base_sequences.fill(1 << 40);
                return !page.base_sequences.is_empty();
            }
            _ => {
                return self.entries(page.entries.as_mut(), &mut page.counts);
            }
        }
        true
    }

    /// What is said of entries; `counts` of them a grain.
    fn entries(self, entries: Option<&mut proto::Entries>, counts: &mut [u32]) -> bool {
        let Some(entries) = entries.filter(|entries| !entries.kinds.is_empty()) else {
            return false;
        };
        match self {
            Self::Digests => entries.digests.iter_mut().for_each(|digest| *digest ^= 1),
            Self::Payloads => {
                let bent = entries.payloads.iter().map(|byte| byte ^ 1);
                entries.payloads = bent.collect();
            }
            Self::Exchanged => return exchanged(entries),
            Self::Reordered => return reordered(entries, counts),
            Self::Gap => return without_one(entries, counts),
            Self::Impossible => entries.sequences.fill(0),
            Self::Lengths => entries.lengths.fill(u32::MAX),
            Self::Names => entries.writers.fill(7_777),
            _ => return false,
        }
        true
    }
}

fn impossible(heads: Option<&mut proto::Heads>) -> bool {
    heads.is_some_and(|heads| {
        heads.sequences.fill(0);
        !heads.sequences.is_empty()
    })
}

/// Before every other.
fn first() -> proto::Grains {
    let grain = gleaner_core::GrainId::new("\0", "\0").unwrap();
    crate::words::grains([&grain])
}

/// Of another type than the others. It must be known.
fn outside(grains: Option<&mut proto::Grains>) -> bool {
    grains.is_some_and(|grains| {
        grains.new_types.fill("another".to_owned());
        !grains.new_types.is_empty()
    })
}

fn names(grains: Option<&mut proto::Grains>) -> bool {
    grains.is_some_and(|grains| {
        grains.types.fill(7_777);
        !grains.types.is_empty()
    })
}

fn lengths(grains: Option<&mut proto::Grains>) -> bool {
    grains.is_some_and(|grains| {
        grains.key_lengths.fill(u32::MAX);
        !grains.key_lengths.is_empty()
    })
}

/// Each payload in the place of the one before it, if they are of one length.
fn exchanged(entries: &mut proto::Entries) -> bool {
    let all = entries.payloads.clone();
    let alike = entries.lengths.windows(2).all(|it| it[0] == it[1]);
    let first = usize::try_from(entries.lengths[0]).unwrap();
    entries.payloads = [&all[first..], &all[..first]].concat().into();
    alike && entries.payloads != all
}

/// Each grain's entries back to front.
fn reordered(entries: &mut proto::Entries, counts: &[u32]) -> bool {
    let mut order = Vec::new();
    for count in counts {
        let begins = order.len();
        let ends = begins + usize::try_from(*count).unwrap();
        order.extend((begins..ends).rev());
    }
    let moves = order.iter().enumerate().any(|(at, from)| at != *from);
    in_order(entries, &order);
    moves
}

/// A grain that is sent three entries is sent the first and the last of them.
fn without_one(entries: &mut proto::Entries, counts: &mut [u32]) -> bool {
    let mut begins = 0;
    for count in counts {
        let ends = begins + usize::try_from(*count).unwrap();
        // What comes behind the gap is a Delta.
        if *count == 3 && entries.kinds[ends - 1] == 1 {
            *count -= 1;
            let all = 0..entries.kinds.len();
            let order: Vec<usize> = all.filter(|at| *at != begins + 1).collect();
            in_order(entries, &order);
            return true;
        }
        begins = ends;
    }
    false
}

/// These of the entries, in this order, each whole.
fn in_order(entries: &mut proto::Entries, order: &[usize]) {
    let was = entries.clone();
    let mut deltas = was.prevs.iter();
    let mut begins = 0;
    let mut parts = Vec::new();
    for (kind, length) in was.kinds.iter().zip(&was.lengths) {
        let ends = begins + usize::try_from(*length).unwrap();
        let prev = (*kind == 1).then(|| *deltas.next().unwrap());
        parts.push((prev, &was.payloads[begins..ends]));
        begins = ends;
    }
    let only = |column: &[u64]| order.iter().map(|at| column[*at]).collect();
    let few = |column: &[u32]| order.iter().map(|at| column[*at]).collect();
    entries.kinds = few(&was.kinds);
    entries.epochs = only(&was.epochs);
    entries.sequences = only(&was.sequences);
    entries.writers = few(&was.writers);
    entries.digests = only(&was.digests);
    entries.prevs = order.iter().filter_map(|at| parts[*at].0).collect();
    // A label, and of no digest.
    entries.written_at = vec![0; order.len()];
    entries.sources = few(&was.sources);
    entries.lengths = few(&was.lengths);
    let payloads: Vec<&[u8]> = order.iter().map(|at| parts[*at].1).collect();
    entries.payloads = payloads.concat().into();
}
