//! Progress: counters that others may watch while a run goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a run did so far. Only for showing and for pacing: the verdict comes from the observations alone.
#[derive(Debug, Default)]
pub struct Progress {
    answered: AtomicU64,
    suspect: AtomicU64,
    flipped: AtomicU64,
    flips_over: AtomicBool,
    stop: AtomicBool,
}

impl Progress {
    /// Requests that were answered or failed.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Answers that no single release would have given. (Staleness is known only at the end.)
    #[must_use]
    pub fn suspect(&self) -> u64 {
        self.suspect.load(Ordering::Relaxed)
    }

    /// Flips that returned.
    #[must_use]
    pub fn flipped(&self) -> u64 {
        self.flipped.load(Ordering::Relaxed)
    }

    /// Asks load and flipper to end early; what was observed until then is kept.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to end early, or the load is over.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn count_answer(&self, suspect: bool) -> u64 {
        if suspect {
            self.suspect.fetch_add(1, Ordering::Relaxed);
        }
        self.answered.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn end_flips(&self) {
        self.flips_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn flips_are_over(&self) -> bool {
        self.flips_over.load(Ordering::Relaxed)
    }

    pub(crate) fn count_flip(&self) {
        self.flipped.fetch_add(1, Ordering::Relaxed);
    }
}
