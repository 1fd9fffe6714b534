//! [`Task`] and [`Turn`]: what is to be done to grains, and how much of it at once.

use std::collections::{HashSet, VecDeque};

use gleaner_core::{Advance, Cursor, Entry, Error, GrainId, Kind, Outcome, Rebase};

/// What one turn takes at most: some milliseconds of the server's work.
const TURN_GRAINS: usize = 1024;
/// And some of the network's: bytes of payloads given, of states read and of states written.
pub(crate) const TURN_BYTES: usize = 8 << 20;

/// What is to be done to one grain.
#[derive(Debug)]
pub(crate) enum Task {
    Apply(Advance),
    Rebase(Rebase),
}

impl Task {
    pub(crate) fn grain(&self) -> &GrainId {
        match self {
            Self::Apply(run) => &run.grain,
            Self::Rebase(rebase) => &rebase.grain,
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match self {
            Self::Apply(run) => &run.entries,
            Self::Rebase(rebase) => &rebase.entries,
        }
    }

    fn weight(&self) -> usize {
        let entries = self.entries().iter();
        entries.map(|entry| entry.payload().len()).sum()
    }

    /// From which to below which cursor of the row its state may be looked at: only if the first entry
    /// above the cursor is a Delta.
    pub(crate) fn looks_at(&self) -> (Cursor, Cursor) {
        let entries = self.entries();
        let is_delta = |entry: &Entry| entry.kind() == Kind::Delta;
        if matches!(self, Self::Rebase(_)) || !entries.iter().any(is_delta) {
            return (Cursor::ZERO, Cursor::ZERO);
        }
        let first = entries.first().filter(|first| !is_delta(first));
        let last = entries.iter().map(Entry::cursor).max();
        (
            first.map_or(Cursor::ZERO, Entry::cursor),
            last.unwrap_or(Cursor::ZERO),
        )
    }
}

/// Tasks that are done together, each about another grain.
pub(crate) struct Turn<'a> {
    /// And where they stand among all.
    pub(crate) tasks: Vec<(usize, &'a Task)>,
    /// About a grain that is in already.
    put_off: Vec<usize>,
}

impl<'a> Turn<'a> {
    /// The next of those that wait: at least one, and as many as there is room for.
    pub(crate) fn take(all: &'a [Task], waiting: &mut VecDeque<usize>) -> Self {
        let mut turn = Self {
            tasks: Vec::new(),
            put_off: Vec::new(),
        };
        let (mut grains, mut bytes) = (HashSet::new(), 0_usize);
        while bytes < TURN_BYTES
            && turn.tasks.len().saturating_add(turn.put_off.len()) < TURN_GRAINS
            && let Some(at) = waiting.pop_front()
        {
            let Some(task) = all.get(at) else { continue };
            if grains.insert(task.grain()) {
                bytes = bytes.saturating_add(task.weight());
                turn.tasks.push((at, task));
            } else {
                turn.put_off.push(at);
            }
        }
        turn
    }

    /// Puts what is not settled before those that wait, in the order of all.
    pub(crate) fn put_back(self, outcomes: &[Option<Outcome>], waiting: &mut VecDeque<usize>) {
        let is_open = |at: &usize| outcomes.get(*at).is_some_and(Option::is_none);
        let tasks = self.tasks.into_iter().map(|(at, _)| at);
        let mut left: Vec<usize> = tasks.chain(self.put_off).filter(is_open).collect();
        left.sort_unstable();
        for at in left.into_iter().rev() {
            waiting.push_front(at);
        }
    }

    /// Names the first of its grains.
    pub(crate) fn error(&self, error: Error) -> Error {
        match self.tasks.first() {
            Some((_, task)) => error.of(task.grain()),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use gleaner_core::{Digest, Draft, Generation, Mark, Writer};

    use super::*;

    fn task(key: &str, kinds: &str, bytes: usize) -> Task {
        let grain = GrainId::new("aircraft", key).unwrap();
        let entries = kinds.chars().zip(5..).map(|(kind, sequence)| {
            let cursor = Cursor::new(1, sequence);
            let (grain, payload) = (grain.clone(), vec![0; bytes]);
            match kind {
                'F' => Draft::full(grain, cursor, Writer::new(1), payload).seal(),
                'T' => Draft::tombstone(grain, cursor, Writer::new(1)).seal(),
                _ => Draft::delta(grain, cursor, Writer::new(1), Digest::ZERO, payload).seal(),
            }
        });
        Task::Apply(Advance {
            generation: Generation::default(),
            entries: entries.collect(),
            grain: grain.clone(),
        })
    }

    #[test]
    fn a_state_is_looked_at_only_if_a_delta_may_be_folded_into_it() {
        for (kinds, from, below) in [
            ("", 0, 0),
            ("F", 0, 0),
            ("FT", 0, 0),
            // Above the base, and not yet at the end.
            ("FDD", 5, 7),
            ("D", 0, 5),
            ("DF", 0, 6),
        ] {
            let (start, end) = task("a", kinds, 1).looks_at();
            let cursor = |sequence| match sequence {
                0 => Cursor::ZERO,
                sequence => Cursor::new(1, sequence),
            };
            assert_eq!((start, end), (cursor(from), cursor(below)), "{kinds:?}");
        }
    }

    fn places(turn: &Turn<'_>) -> Vec<usize> {
        turn.tasks.iter().map(|(at, _)| *at).collect()
    }

    #[test]
    fn a_turn_takes_a_grain_once_and_what_is_left_keeps_its_order() {
        let all = ["a", "b", "a", "c", "a"].map(|key| task(key, "F", 1));
        let mut waiting: VecDeque<usize> = (0..all.len()).collect();
        let turn = Turn::take(&all, &mut waiting);
        assert_eq!(places(&turn), [0, 1, 3]);
        let mut outcomes = vec![None; all.len()];
        let mark = Mark::absent(Generation::default());
        for at in [0, 3] {
            outcomes[at] = Some(Outcome {
                mark: mark.clone(),
                applied: 1,
                stop: None,
            });
        }
        turn.put_back(&outcomes, &mut waiting);
        assert_eq!(waiting, [1, 2, 4]);
        assert_eq!(places(&Turn::take(&all, &mut waiting)), [1, 2]);
        assert_eq!(waiting, []);
    }

    #[test]
    fn a_turn_is_bounded_and_never_empty() {
        let large: Vec<Task> = (0..3)
            .map(|key| task(&key.to_string(), "F", TURN_BYTES))
            .collect();
        let mut waiting: VecDeque<usize> = (0..large.len()).collect();
        assert_eq!(places(&Turn::take(&large, &mut waiting)), [0]);
        let many: Vec<Task> = (0..=TURN_GRAINS)
            .map(|key| task(&key.to_string(), "F", 1))
            .collect();
        let mut waiting: VecDeque<usize> = (0..many.len()).collect();
        assert_eq!(Turn::take(&many, &mut waiting).tasks.len(), TURN_GRAINS);
        assert_eq!(waiting, [TURN_GRAINS]);
    }
}
