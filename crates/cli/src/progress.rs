//! [`Counter`] and [`following`]: how far long work is, on standard error, for people alone.

use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use gleaner::{Bootstrap, Follower};
use indicatif::{ProgressBar, ProgressStyle};

const REDRAW: Duration = Duration::from_millis(100);

/// Whether anybody would see it, and lines that are printed meanwhile would not tear it.
fn is_watched() -> bool {
    std::io::stderr().is_terminal() && !std::io::stdout().is_terminal()
}

/// Counts what is done, where nobody knows how much is to come. Nothing is drawn without a terminal.
pub(crate) struct Counter(ProgressBar);

impl Counter {
    /// A counter of these.
    pub(crate) fn of(what: &'static str) -> Self {
        let bar = if is_watched() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg} in {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }

    pub(crate) fn add(&self, more: usize) {
        self.0.inc(more as u64);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Does the work, and shows meanwhile how far the follower is with its first comparison.
pub(crate) async fn following<F>(follower: &Follower, work: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    if !is_watched() {
        return work.await;
    }
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} grains {msg}") {
        bar.set_style(style);
    }
    let mut work = pin!(work);
    let mut tick = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            biased;
            output = &mut work => {
                bar.finish_and_clear();
                return output;
            }
            _ = tick.tick() => show(&bar, &follower.bootstrap()),
        }
    }
}

fn show(bar: &ProgressBar, bootstrap: &Bootstrap) {
    // A bar of nothing would be drawn full.
    bar.set_length(bootstrap.total.max(1) as u64);
    bar.set_position(bootstrap.done as u64);
    let left = match bootstrap.eta {
        Some(eta) => format!("{:.0} s left", eta.as_secs_f64().ceil()),
        None if bootstrap.listed => "just begun".to_owned(),
        None => "more are being listed".to_owned(),
    };
    bar.set_message(format!(
        "compared with the log, {:.0}/s, {left}",
        bootstrap.rate
    ));
}
