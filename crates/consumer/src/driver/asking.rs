//! [`Asking`]: about many grains at once, of which some cannot be read.

use std::borrow::Cow;
use std::collections::HashMap;

use gleaner_core::{Error, GrainId};

/// One question about some grains. Where the answer is that one of them cannot be read, the others are
/// asked about again without it: its damage is no harm of theirs.
pub(super) struct Asking<'a> {
    grains: &'a [GrainId],
    asked: Cow<'a, [GrainId]>,
    left_out: HashMap<GrainId, Error>,
}

impl<'a> Asking<'a> {
    pub(super) fn about(grains: &'a [GrainId]) -> Self {
        Self {
            grains,
            asked: Cow::Borrowed(grains),
            left_out: HashMap::new(),
        }
    }

    /// Those to ask about now.
    pub(super) fn asked(&self) -> &[GrainId] {
        &self.asked
    }

    /// Leaves out the grain that an error is about.
    ///
    /// # Errors
    /// The error, if it is about none of them alone, or may be gone the next time.
    pub(super) fn without(&mut self, error: Error) -> Result<(), Error> {
        let about = error.grain().filter(|_| !error.is_retryable());
        let at = about.and_then(|about| self.asked.iter().position(|grain| grain == about));
        let Some(at) = at else {
            return Err(error);
        };
        self.left_out.insert(self.asked.to_mut().remove(at), error);
        Ok(())
    }

    /// The answer about each grain, from those about the ones asked.
    pub(super) fn answered<T>(mut self, answers: Vec<T>) -> Vec<Result<T, Error>> {
        let mut answers = answers.into_iter();
        let all = self
            .grains
            .iter()
            .map_while(|grain| match self.left_out.remove(grain) {
                Some(error) => Some(Err(error)),
                None => answers.next().map(Ok),
            });
        all.collect()
    }
}
