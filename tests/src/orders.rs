//! [`Orders`]: what a worker is told on its standard input.

use tokio::sync::mpsc;

/// Lines from the standard input; its end is the order to come to an end.
#[derive(Debug)]
pub struct Orders {
    lines: mpsc::UnboundedReceiver<String>,
}

impl Orders {
    /// Begins to listen, on a thread of its own: reading a pipe blocks.
    pub fn listen() -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lines() {
                if line.map(|line| sender.send(line)).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    /// The next order; none at the end.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> Option<String> {
        self.lines.recv().await
    }
}
