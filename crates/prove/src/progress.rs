//! Progress: counters that others may watch while a run goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Not stopped, as a time of the run's clock.
const NEVER: u64 = u64::MAX;

/// What a run did so far. Only for showing and for pacing: the verdict comes from the observations alone.
#[derive(Debug)]
pub struct Progress {
    answered: AtomicU64,
    suspect: AtomicU64,
    flipped: AtomicU64,
    connections: AtomicU64,
    flips_over: AtomicBool,
    /// When the load ended, if it did; 0 if it was stopped from outside, where no clock is at hand.
    ended_ns: AtomicU64,
    interrupted: AtomicBool,
    abandoned: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            answered: AtomicU64::new(0),
            suspect: AtomicU64::new(0),
            flipped: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            flips_over: AtomicBool::new(false),
            ended_ns: AtomicU64::new(NEVER),
            interrupted: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        }
    }
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

    /// Clients at work; in an open loop they grow with the line.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Asks load and flipper to end early; what was observed until then is kept, and what was asked is still answered.
    pub fn stop(&self) {
        if !self.is_stopped() {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        self.ended_ns.fetch_min(0, Ordering::Relaxed);
    }

    /// Ends it at once: a request or a flip command that is under way is given up, unjudged.
    pub fn abandon(&self) {
        self.stop();
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to end early, or the load is over.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped_ns() != NEVER
    }

    /// Whether nobody waits for what is under way.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Whether it was ended from outside.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// When the load ended, as a time of the run's clock.
    pub(crate) fn stopped_ns(&self) -> u64 {
        self.ended_ns.load(Ordering::Relaxed)
    }

    /// The load is over.
    pub(crate) fn end_at(&self, now_ns: u64) {
        self.ended_ns.fetch_min(now_ns, Ordering::Relaxed);
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
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
