//! [`Shape`]: what a world is like, drawn from its seed.

use std::time::Duration;

use gleaner::{Filter, GrainId};

use super::rng::Rng;
use crate::GRAIN_TYPE;

/// What is fixed for the whole of a world.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a property of a world, drawn by itself"
)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) grains: Vec<GrainId>,
    pub(crate) primaries: u64,
    pub(crate) secondaries: u64,
    /// Whether the log has a feed.
    pub(crate) feed: bool,
    /// Whether the log confirms: false on an asynchronous copy that lags.
    pub(crate) confirms: bool,
    /// Whether replicas are resident.
    pub(crate) resident: bool,
    /// Names in a page of a feed or a listing.
    pub(crate) page: usize,
    /// Entries in an answer.
    pub(crate) entries: usize,
    pub(crate) poll: Duration,
    pub(crate) hints: bool,
    /// Whether the log sends entries unasked.
    pub(crate) pushes: bool,
    /// In which way grains are followed.
    pub(crate) way: Way,
    /// The rules by which all grains of the type are followed: together they leave none out.
    pub(crate) rules: Vec<Filter>,
    /// Whether pages may be short, and empty, where few grains pass a filter.
    pub(crate) sparse: bool,
    /// Whether the feed is answered from a cache at times.
    pub(crate) cache: bool,
    /// How long faults last.
    pub(crate) chaos: Duration,
    /// How many calls in a thousand go wrong.
    pub(crate) faults: u64,
    /// How many publishes in a thousand are Deltas, and how many of all cannot be applied.
    pub(crate) deltas: u64,
    pub(crate) bad: u64,
    pub(crate) coalesce: bool,
    pub(crate) batched: Option<Duration>,
    pub(crate) room: usize,
    pub(crate) keep: Option<u64>,
    /// Whether the log may lose its tail, or be restored from a copy.
    pub(crate) loses: bool,
    /// Whether the log may be deleted and begun anew.
    pub(crate) anew: bool,
    /// Which clock goes wrong: a machine that is suspended, or a wall clock that is set back. Not both
    /// in one world: what neither clock shows, no age can hold.
    pub(crate) suspends: bool,
    /// Milliseconds between two acts of a publisher, at most.
    pub(crate) pace: u64,
    /// Milliseconds between two acts of an operator, at most.
    pub(crate) operators: u64,
    /// How long a follower waits for an answer.
    pub(crate) patience: Duration,
}

/// In which way a follower is told what to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// All grains of the type, by the rules.
    ByType,
    /// All grains.
    All,
    /// Each by its name.
    ByName,
    /// Some by name, then by the rules, then all.
    Widened,
    /// All, then by the rules once more, then each by its name.
    Narrowed,
}

impl Shape {
    pub(crate) fn of(seed: u64) -> Self {
        let rng = &mut Rng::stream(seed, "shape", 0);
        let grains = (0..rng.between(1, 5))
            .filter_map(|at| GrainId::new(GRAIN_TYPE, format!("N{at}")).ok())
            .collect();
        let fast = rng.chance(500);
        let (rules, sparse) = rules(&mut Rng::stream(seed, "filters", 0));
        Self {
            seed,
            grains,
            primaries: rng.between(1, 3),
            secondaries: rng.between(1, 2),
            feed: rng.chance(800),
            confirms: rng.chance(920),
            resident: rng.chance(750),
            page: usize::try_from(rng.between(1, 4)).unwrap_or(1),
            entries: usize::try_from(rng.between(1, 12)).unwrap_or(1),
            poll: if fast {
                rng.millis(20, 100)
            } else {
                rng.millis(100, 600)
            },
            hints: rng.chance(700),
            pushes: Rng::stream(seed, "pushes", 0).chance(700),
            way: match rng.below(10) {
                0..=3 => Way::ByType,
                4 | 5 => Way::All,
                6 | 7 => Way::ByName,
                8 => Way::Widened,
                _ => Way::Narrowed,
            },
            rules,
            sparse,
            cache: rng.chance(300),
            chaos: rng.millis(3_000, 12_000),
            faults: rng.between(0, 120),
            deltas: if rng.chance(800) {
                rng.between(100, 900)
            } else {
                0
            },
            bad: if rng.chance(400) {
                rng.between(5, 60)
            } else {
                0
            },
            coalesce: rng.chance(700),
            batched: rng.chance(300).then(|| rng.millis(5, 200)),
            room: usize::try_from(rng.between(300, 6_000)).unwrap_or(300),
            keep: rng.chance(600).then(|| rng.between(0, 8)),
            loses: rng.chance(350),
            anew: rng.chance(60),
            suspends: rng.chance(500),
            pace: rng.between(10, 250),
            operators: rng.between(150, 2_500),
            patience: rng.millis(60, 1_500),
        }
    }
}

/// Rules that together include every grain of the type, and whether pages are sparse. Some of them
/// overlap, lie within one another or include nothing.
fn rules(rng: &mut Rng) -> (Vec<Filter>, bool) {
    let all = Filter::grain_type(GRAIN_TYPE);
    let (kind, drawn) = (rng.below(10), rng.between(1, 1_023));
    let cut = u16::try_from(drawn).unwrap_or(1);
    let shares = |rule: &Filter, of: u16| {
        (0..of)
            .filter_map(|index| rule.clone().share(index, of).ok())
            .collect::<Vec<_>>()
    };
    let prefix = |prefix: &str| all.clone().key_prefix(prefix);
    let rules = match kind {
        0..=3 => vec![all.clone()],
        4 => vec![prefix("N")],
        // From a narrow rule to wider ones, and one that includes nothing.
        5 => vec![
            prefix("N1"),
            prefix("M"),
            prefix("N").slices(cut..1024),
            all.clone(),
        ],
        // By the key alone; keys are N0 to N4.
        6 => ["N0", "N1", "N2", "N3", "N4"]
            .map(|key| Filter::all().key_prefix(key))
            .to_vec(),
        7 => shares(&all, cut % 5 + 1),
        8 => vec![all.clone().slices(0..cut), Filter::all().slices(cut..1024)],
        // The same population, cut anew.
        _ => [shares(&prefix("N"), 2), shares(&all, 3)].concat(),
    };
    (rules, rng.chance(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_leave_no_grain_out() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let shape = Shape::of(seed);
            kinds.insert(shape.rules.len());
            for grain in &shape.grains {
                let told = shape.rules.iter().any(|rule| rule.includes(grain));
                assert!(told, "seed {seed}: {grain} is in none of {:?}", shape.rules);
            }
        }
        assert!(kinds.len() > 3, "{kinds:?}");
    }
}
