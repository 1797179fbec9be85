//! The look as a model: every interleaving of two readers and somebody who flips, under loom's memory model.
//!
//! The kernel is a link and a count of queued events; a flip changes the link, then queues an event, then returns.
//! What must hold: a reader that begins after a flip returned gets what that flip made live, or something later.

#[allow(clippy::duplicate_mod, reason = "the same steps, with loom's locks and flags")]
#[path = "peek.rs"]
mod peek;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::PoisonError;
}

use self::peek::{Peek, Queue};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};

/// The kernel's part. Each look at it is one step, as each system call takes the kernel's own locks.
struct Kernel {
    link: Mutex<usize>,
    queued: Mutex<usize>,
}

impl Kernel {
    fn flip(&self, to: usize) {
        *self.link.lock().unwrap() = to;
        *self.queued.lock().unwrap() += 1;
    }

    fn read_link(&self) -> usize {
        *self.link.lock().unwrap()
    }
}

impl Queue for Arc<Kernel> {
    type Events = usize;

    fn peek(&self) -> bool {
        *self.queued.lock().unwrap() > 0
    }

    fn drain(&self) -> usize {
        std::mem::take(&mut self.queued.lock().unwrap())
    }
}

struct World {
    kernel: Arc<Kernel>,
    peek: Peek<Arc<Kernel>, ()>,
    /// What is published, as an ArcSwap publishes it.
    pin: AtomicUsize,
    /// The last flip that returned.
    returned: AtomicUsize,
}

impl World {
    fn new() -> World {
        let kernel = Arc::new(Kernel { link: Mutex::new(0), queued: Mutex::new(0) });
        let peek = Peek::new(Arc::clone(&kernel), ());
        World { kernel, peek, pin: AtomicUsize::new(0), returned: AtomicUsize::new(0) }
    }

    fn flip(&self, to: usize) {
        self.kernel.flip(to);
        self.returned.store(to, Ordering::SeqCst);
    }

    fn publish(&self) {
        self.pin.store(self.kernel.read_link(), Ordering::Release);
    }

    fn pin(&self) -> usize {
        self.peek.current(|| self.pin.load(Ordering::Acquire), |_, (), _| self.publish())
    }

    /// The same without the flag: only a peek at the queue.
    fn pin_without_the_flag(&self) -> usize {
        if self.kernel.peek() {
            self.peek.locked(|kernel, ()| {
                kernel.drain();
                self.publish();
            });
        }
        self.pin.load(Ordering::Acquire)
    }
}

/// Two readers, and this thread, which flips twice; `preemptions` bounds how often a thread is interrupted.
fn explore(pin: fn(&World) -> usize, preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        let world = Arc::new(World::new());
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let world = Arc::clone(&world);
                loom::thread::spawn(move || {
                    let began = world.returned.load(Ordering::SeqCst);
                    let got = pin(&world);
                    assert!(got >= began, "stale: {got} was got after flip {began} had returned");
                })
            })
            .collect();
        world.flip(1);
        world.flip(2);
        assert_eq!(pin(&world), 2, "stale after both flips returned");
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn no_interleaving_of_readers_and_flips_gives_a_stale_look() {
    explore(World::pin, 3);
}

#[test]
#[should_panic(expected = "stale")]
fn without_the_flag_the_model_finds_a_stale_look() {
    explore(World::pin_without_the_flag, 3);
}
