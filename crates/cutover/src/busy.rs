//! Busy: a sign of life on a terminal while something takes its time; elsewhere nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shown until dropped.
pub struct Busy(ProgressBar);

/// Says on a terminal what is being done. Without colour, and only on stderr, so that no answer is disturbed.
pub fn busy(what: impl Into<String>) -> Busy {
    let bar = ProgressBar::new_spinner().with_message(what.into());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    Busy(bar)
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
