//! Shows how far the secondary is: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::pin::pin;
use std::time::{Duration, Instant};

use gleaner::{Bootstrap, Follower};
use indicatif::{ProgressBar, ProgressStyle};

use crate::counted_store::CountedStore;

const REDRAW: Duration = Duration::from_millis(100);

/// A line at most this often: a log file is not watched frame by frame.
const LINE: Duration = Duration::from_secs(1);

/// Does the work, and shows the follower's progress on standard error meanwhile.
pub(crate) async fn shown<F: Future>(
    follower: &Follower,
    store: &CountedStore,
    work: F,
) -> F::Output {
    let mut work = pin!(work);
    let mut display = Display::new();
    let mut tick = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            biased;
            output = &mut work => {
                display.end(&Shown::of(follower, store));
                return output;
            }
            _ = tick.tick() => display.show(Shown::of(follower, store), &follower.bootstrap()),
        }
    }
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shown {
    followed: u64,
    in_step: u64,
    applied: u64,
}

impl Shown {
    fn of(follower: &Follower, store: &CountedStore) -> Self {
        let progress = follower.progress();
        Self {
            followed: progress.followed as u64,
            in_step: progress.in_step as u64,
            applied: store.applied(),
        }
    }
}

enum Display {
    Bar(ProgressBar),
    Lines { last: Shown, at: Option<Instant> },
}

impl Display {
    fn new() -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} aircraft {msg}") {
                bar.set_style(style);
            }
            Self::Bar(bar)
        } else {
            Self::Lines {
                last: Shown::default(),
                at: None,
            }
        }
    }

    fn show(&mut self, now: Shown, bootstrap: &Bootstrap) {
        match self {
            Self::Bar(bar) if is_over(bootstrap) => {
                bar.set_length(now.followed);
                bar.set_position(now.in_step);
                bar.set_message(format!("in step, {} states applied", now.applied));
            }
            Self::Bar(bar) => {
                bar.set_length(bootstrap.total as u64);
                bar.set_position(bootstrap.done as u64);
                bar.set_message(bootstrapping(bootstrap));
            }
            Self::Lines { last, at } => {
                let due = at.is_none_or(|at| at.elapsed() >= LINE);
                if due && now != *last {
                    line(&now);
                    (*last, *at) = (now, Some(Instant::now()));
                }
            }
        }
    }

    fn end(&mut self, now: &Shown) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
        line(now);
    }
}

/// Whether all that is followed has been compared with the log once.
fn is_over(bootstrap: &Bootstrap) -> bool {
    bootstrap.listed && bootstrap.done == bootstrap.total
}

/// How far the first comparison is: how much is to come is known once the log has listed it all.
fn bootstrapping(bootstrap: &Bootstrap) -> String {
    let left = match bootstrap.eta {
        Some(eta) => format!("{:.0} s left", eta.as_secs_f64().ceil()),
        None if bootstrap.listed => "just begun".to_owned(),
        None => "more are being listed".to_owned(),
    };
    format!("compared with the log, {:.0}/s, {left}", bootstrap.rate)
}

fn line(shown: &Shown) {
    eprintln!(
        "{} of {} aircraft in step, {} states applied",
        shown.in_step, shown.followed, shown.applied
    );
}
