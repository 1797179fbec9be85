//! Arrivals: requests that are due at a fixed rate, whether the site keeps up or not (an open loop).
//!
//! A closed loop asks less when the site is slow, and so hides what visitors would have waited ("coordinated omission").
//! Here each arrival has a due time. One that finds no free connection waits in line and keeps it; how long its visitor
//! waited is counted from there.

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::progress::Progress;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// One worker's share of the arrivals: every `of`-th.
#[derive(Debug)]
pub struct Arrivals {
    clock: Clock,
    began_ns: u64,
    per_second: f64,
    first: u64,
    of: u64,
    /// How many of the share have been taken.
    taken: AtomicU64,
    /// Those who wait for one.
    idle: AtomicUsize,
    bell: Notify,
}

impl Arrivals {
    /// The share of worker number `first`, `of` so many.
    #[must_use]
    pub fn new(clock: Clock, began_ns: u64, per_second: f64, first: u32, of: u32) -> Self {
        Self {
            clock,
            began_ns,
            per_second,
            first: u64::from(first),
            of: u64::from(of.max(1)),
            taken: AtomicU64::new(0),
            idle: AtomicUsize::new(0),
            bell: Notify::new(),
        }
    }

    /// When the n-th of the share is due.
    #[must_use]
    pub fn due_ns(&self, number: u64) -> u64 {
        let arrival = number * self.of + self.first;
        // An f64 holds 2^53 ns, 104 days, exactly; a rate of nothing is an arrival that never comes.
        let after = arrival as f64 * 1e9 / self.per_second;
        if after.is_finite() { self.began_ns.saturating_add(after as u64) } else { u64::MAX }
    }

    /// Waits for the next arrival and takes it; gives when it was due. `None`: the load is over, and nobody waits any more.
    pub(crate) async fn next(&self, progress: &Progress) -> Option<u64> {
        loop {
            let bell = self.bell.notified();
            if let Some(due) = self.take(progress) {
                return Some(due);
            }
            if progress.is_stopped() {
                return None;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            bell.await;
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes the first of those that are due. Who was due before the load ended is still asked for.
    fn take(&self, progress: &Progress) -> Option<u64> {
        let horizon = self.clock.now_ns().min(progress.stopped_ns());
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (self.due_ns(taken) <= horizon).then_some(taken + 1)
            })
            .ok()
            .map(|taken| self.due_ns(taken))
    }

    /// How many wait in line.
    fn waiting(&self) -> u64 {
        let now = self.clock.now_ns();
        let taken = self.taken.load(Ordering::Relaxed);
        let per_ns = self.per_second / 1e9 / self.of as f64;
        let about = (now.saturating_sub(self.due_ns(taken)) as f64 * per_ns) as u64;
        if self.due_ns(taken) <= now { about + 1 } else { 0 }
    }

    /// Rings for each arrival that is due; calls `more` with how many find nobody who is free. Ends with the load.
    pub(crate) async fn ring(&self, progress: &Progress, mut more: impl FnMut(u64)) {
        let mut alarm = Alarm::new();
        while !progress.is_stopped() {
            let now = self.clock.now_ns();
            let due = self.due_ns(self.taken.load(Ordering::Relaxed));
            if due > now {
                // Not longer than this, so that the end is noticed.
                alarm.after(Duration::from_nanos(due - now).min(Duration::from_millis(20))).await;
                continue;
            }
            let (waiting, idle) = (self.waiting(), self.idle.load(Ordering::Relaxed) as u64);
            if idle == 0 {
                more(waiting);
                alarm.after(Duration::from_millis(1)).await;
            } else {
                for _ in 0..waiting.min(idle) {
                    self.bell.notify_one();
                }
                tokio::task::yield_now().await;
            }
        }
        self.bell.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_due_at_a_fixed_rate_and_shared_among_workers() {
        let due = |worker: u32| Arrivals::new(Clock::start(), 1_000, 500.0, worker, 2);
        let (one, other) = (due(0), due(1));
        let ms = 1_000_000;
        assert_eq!([0, 1, 2].map(|number| one.due_ns(number)), [1_000, 1_000 + 4 * ms, 1_000 + 8 * ms]);
        assert_eq!([0, 1].map(|number| other.due_ns(number)), [1_000 + 2 * ms, 1_000 + 6 * ms]);
    }

    #[test]
    fn a_rate_of_nothing_never_comes() {
        assert_eq!(Arrivals::new(Clock::start(), 0, 0.0, 1, 2).due_ns(5), u64::MAX);
    }

    #[test]
    fn who_was_due_when_the_load_ended_is_still_asked_for_and_nobody_after() {
        let (clock, progress) = (Clock::start(), Progress::default());
        let arrivals = Arrivals::new(clock, clock.now_ns(), 1_000.0, 0, 1);
        progress.end_at(arrivals.due_ns(3));
        while clock.now_ns() < arrivals.due_ns(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let taken: Vec<_> = std::iter::from_fn(|| arrivals.take(&progress)).collect();
        assert_eq!(taken, [0, 1, 2, 3].map(|number| arrivals.due_ns(number)));
    }
}
