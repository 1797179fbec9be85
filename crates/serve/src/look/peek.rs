//! Peek: the order of the steps, which is all that makes the look right. Also compiled into the model (see `model.rs`).
//!
//! Reader: peek at the queue, then the flag `draining`, then load what was published. Slow path: lock, set `draining`,
//! drain the queue, read the links, publish, clear `draining`. Without the flag a reader finds the queue empty
//! because another has just drained it, and takes what was published before.

use super::sync::{AtomicBool, Mutex, Ordering, PoisonError};

/// Where changes are announced before whoever makes them goes on.
pub(super) trait Queue {
    /// What is read from it.
    type Events;
    /// Whether anything is queued.
    fn peek(&self) -> bool;
    /// Takes out what is queued.
    fn drain(&self) -> Self::Events;
}

/// A queue, and the work that its events cause.
pub(super) struct Peek<Q, W> {
    queue: Q,
    draining: AtomicBool,
    work: Mutex<W>,
}

impl<Q: Queue, W> Peek<Q, W> {
    pub(super) fn new(queue: Q, work: W) -> Peek<Q, W> {
        Peek { queue, draining: AtomicBool::new(false), work: Mutex::new(work) }
    }

    /// What `load` gives once everything that was announced before this call is taken in by `take_in`.
    #[inline(always)]
    pub(super) fn current<P>(
        &self,
        load: impl FnOnce() -> P,
        take_in: impl FnOnce(&Q, &mut W, Q::Events),
    ) -> P {
        // The queue first: if it is empty because it is being drained, the flag was set before.
        if self.queue.peek() || self.draining.load(Ordering::SeqCst) {
            self.catch_up(take_in);
        }
        load()
    }

    #[cold]
    #[inline(never)]
    fn catch_up(&self, take_in: impl FnOnce(&Q, &mut W, Q::Events)) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock nobody drains; if the flag is set, somebody panicked on the way, and it is done over.
        let interrupted = self.draining.load(Ordering::SeqCst);
        if !self.queue.peek() && !interrupted {
            return; // Whom we waited for has done it.
        }
        self.draining.store(true, Ordering::SeqCst);
        let events = self.queue.drain();
        take_in(&self.queue, &mut work, events);
        self.draining.store(false, Ordering::SeqCst);
    }

    /// Does work of another cause, in turn with the rest.
    pub(super) fn locked<R>(&self, does: impl FnOnce(&Q, &mut W) -> R) -> R {
        does(&self.queue, &mut self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
