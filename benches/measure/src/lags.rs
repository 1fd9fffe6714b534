//! [`Observer`]: when each append became readable, seen from outside by the public read of a side.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::time::nanos;

/// An append that is about to be made, and is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Which append, counted from zero.
    pub index: usize,
    /// On which grain.
    pub grain: u32,
    /// Its number in the grain.
    pub sequence: u64,
}

/// Between two looks. Shorter than what is to be told apart (a millisecond), long enough to leave the
/// processors to those who are measured.
const BETWEEN: Duration = Duration::from_micros(100);
/// How long the last appends are waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A thread that reads the grains of which something is expected until it is there. Both sides are
/// watched by this one, so that both bear its cost and its grain of about 0.2 ms.
#[derive(Debug)]
pub struct Observer {
    expect: Sender<Expected>,
    thread: JoinHandle<HashMap<usize, u64>>,
}

impl Observer {
    /// Starts to watch with `read`, which answers the newest readable sequence of a grain.
    pub fn spawn(read: impl FnMut(u32) -> Option<u64> + Send + 'static) -> Self {
        let (expect, expected) = channel();
        let thread = std::thread::spawn(move || watch(&expected, read));
        Self { expect, thread }
    }

    /// Where to say what to look for, before it is appended.
    pub fn expectations(&self) -> Sender<Expected> {
        self.expect.clone()
    }

    /// When each expected append was first seen, in nanoseconds, by its index; after all senders are
    /// dropped. Those not seen within a minute are missing.
    ///
    /// # Errors
    /// If the read panicked.
    pub fn finish(self) -> Result<HashMap<usize, u64>, &'static str> {
        drop(self.expect);
        self.thread.join().map_err(|_| "the observer panicked")
    }
}

fn watch(
    expected: &Receiver<Expected>,
    mut read: impl FnMut(u32) -> Option<u64>,
) -> HashMap<usize, u64> {
    let mut seen = HashMap::new();
    let mut open: Vec<Expected> = Vec::new();
    let mut ends = None;
    loop {
        loop {
            match expected.try_recv() {
                Ok(more) => open.push(more),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    ends.get_or_insert(nanos() + PATIENCE.as_nanos() as u64);
                    break;
                }
            }
        }
        open.retain(|wanted| {
            let readable = read(wanted.grain).is_some_and(|sequence| sequence >= wanted.sequence);
            if readable {
                seen.insert(wanted.index, nanos());
            }
            !readable
        });
        if ends.is_some_and(|ends| open.is_empty() || nanos() > ends) {
            return seen;
        }
        std::thread::sleep(BETWEEN);
    }
}

/// Milliseconds from the return of each append until it was seen; zero if it was readable before.
/// An error if one was never seen: what never comes has no lag.
pub(crate) fn lags_ms(returned: &[u64], seen: &HashMap<usize, u64>) -> Result<Vec<f64>, String> {
    let mut lags = Vec::with_capacity(returned.len());
    for (index, returned) in returned.iter().enumerate() {
        let Some(at) = seen.get(&index) else {
            return Err(format!("append {index} was never readable"));
        };
        lags.push(at.saturating_sub(*returned) as f64 / 1e6);
    }
    Ok(lags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_lag_is_counted_from_the_return_to_the_first_look_that_sees() {
        let readable = Arc::new(AtomicU64::new(0));
        let looks = readable.clone();
        let observer = Observer::spawn(move |_| Some(looks.load(Ordering::SeqCst)));
        let expect = observer.expectations();
        let mut returned = Vec::new();
        for index in 0..3 {
            let sequence = index as u64 + 1;
            expect
                .send(Expected {
                    index,
                    grain: 0,
                    sequence,
                })
                .unwrap();
            returned.push(nanos());
            std::thread::sleep(Duration::from_millis(5));
            readable.store(sequence, Ordering::SeqCst);
        }
        drop(expect);
        let lags = lags_ms(&returned, &observer.finish().unwrap()).unwrap();
        assert!(lags.iter().all(|lag| *lag >= 5.0), "{lags:?}");
    }

    #[test]
    fn what_was_never_seen_is_an_error_and_not_a_lag() {
        assert!(lags_ms(&[1], &HashMap::new()).is_err());
    }
}
