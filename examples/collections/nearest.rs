//! [`Nearest`]: the few points that lie nearest to a vector, out of all that are offered.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::operation::{Refused, check_name, check_vector};

/// The most points that a search gives.
pub(crate) const MAX_HITS: usize = 1000;

/// How far two vectors are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Metric {
    /// The length of the way between them.
    #[default]
    L2,
    /// One less the cosine of the angle between them. A stored vector of nothing but zeros is as
    /// far away as one at a right angle.
    Cosine,
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) collection: String,
    pub(crate) vector: Vec<f32>,
    /// How many points.
    pub(crate) count: usize,
    pub(crate) metric: Metric,
}

/// A point that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hit {
    pub(crate) id: String,
    pub(crate) distance: f64,
}

/// Looks at every point once and keeps the nearest: exact, in time that grows with the collection.
/// Of two at one distance the lower id is the nearer, so that every copy of a collection gives the
/// same answer.
pub(crate) struct Nearest<'a> {
    query: &'a Query,
    /// The farthest of those that are kept is on top.
    kept: BinaryHeap<Ranked>,
}

impl Query {
    /// Refuses what no collection answers.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        check_name(&self.collection)?;
        check_vector(&self.vector)?;
        if !(1..=MAX_HITS).contains(&self.count) {
            return Err(Refused::Count {
                count: self.count,
                max: MAX_HITS,
            });
        }
        if self.metric == Metric::Cosine && self.vector.iter().all(|number| *number == 0.0) {
            return Err(Refused::NoDirection);
        }
        Ok(())
    }
}

impl<'a> Nearest<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        Self {
            query,
            kept: BinaryHeap::with_capacity(query.count + 1),
        }
    }

    pub(crate) fn offer(&mut self, id: &str, vector: &[f32]) {
        let distance = self.query.metric.between(&self.query.vector, vector);
        if self.kept.len() == self.query.count
            && let Some(farthest) = self.kept.peek()
            && farthest.is_before(distance, id)
        {
            return;
        }
        self.kept.push(Ranked(Hit {
            id: id.to_owned(),
            distance,
        }));
        if self.kept.len() > self.query.count {
            self.kept.pop();
        }
    }

    /// Nearest first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        let ranked = self.kept.into_sorted_vec();
        ranked.into_iter().map(|Ranked(hit)| hit).collect()
    }
}

impl Metric {
    /// Summed up in one order and in `f64`, so that equal vectors have equal distances everywhere.
    fn between(self, a: &[f32], b: &[f32]) -> f64 {
        let pairs = a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        match self {
            Self::L2 => pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
            Self::Cosine => {
                let (mut product, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
                for (a, b) in pairs {
                    product += a * b;
                    of_a += a * a;
                    of_b += b * b;
                }
                if of_a == 0.0 || of_b == 0.0 {
                    1.0
                } else {
                    1.0 - product / (of_a.sqrt() * of_b.sqrt())
                }
            }
        }
    }
}

/// A hit in the order of distance, then id.
struct Ranked(Hit);

impl Ranked {
    fn is_before(&self, distance: f64, id: &str) -> bool {
        self.rank(distance, id).is_lt()
    }

    fn rank(&self, distance: f64, id: &str) -> Ordering {
        self.0
            .distance
            .total_cmp(&distance)
            .then_with(|| self.0.id.as_str().cmp(id))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank(other.0.distance, &other.0.id)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
