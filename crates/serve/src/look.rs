//! Look: whether the link changed since the last request, by one system call.
//!
//! The kernel queues the inotify event of a rename before rename returns, so a peek at the queue tells whether anything
//! changed that could matter; only then is the link read. Strict for every flipper, ours or not.
//!
//! ```text
//!   pin() -> nothing queued, nobody draining -> the pin that was published           one system call
//!         -> else: lock, drain the queue, read the links it concerns, publish        a few dozen
//! ```
//! One queue per process (a user may have as few as 128), watching the directory of every link on the way and the
//! directory of the release. Where inotify cannot be had or trusted the link is read on every request instead.
//! What it cannot see: something mounted over a directory on the way.
//!
//! `peek` has the order of the steps, which is all that makes it right, and is checked as a model; `watches` knows
//! which directories; `queue` is the kernel's.

#[cfg(test)]
mod model;
mod peek;
mod queue;
mod sync;
#[cfg(test)]
mod tests;
mod watches;

use self::peek::Peek;
use self::queue::{Events, Inotify};
use self::watches::{Cover, Watches};
use arc_swap::ArcSwap;
use release::lease::Unheld;
use release::live::LiveError;
use release::{Pinned, Pinner, ReleaseId};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The process's one queue. Cheap to clone.
#[derive(Clone)]
pub struct Look(Arc<Shared>);

struct Shared {
    peek: Peek<Option<Inotify>, Work>,
    /// Why there is no queue, if there is none.
    lacking: Option<Distrust>,
}

/// One app under the look; [`pin`](Watched::pin) is called once per request.
pub struct Watched<T> {
    look: Look,
    slot: Arc<Slot<T>>,
}

/// How an app's changes are noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The queue tells: one system call per pin.
    Watching,
    /// The link is read on every pin, because of this.
    Reading(Distrust),
}

/// Why the queue is not relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The kernel gave no queue (fs.inotify.max_user_instances).
    #[error("there is no inotify queue to be had ({0}): raise fs.inotify.max_user_instances")]
    NoQueue(Errno),
    /// The kernel watches no more directories (fs.inotify.max_user_watches).
    #[error("no more directories can be watched: raise fs.inotify.max_user_watches")]
    NoWatches,
    /// A directory could not be watched.
    #[error("{path} cannot be watched: {why}")]
    Unwatchable {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// A directory is on a file system whose changes may be made elsewhere (NFS, FUSE, overlay…).
    #[error("{path} is on a file system (type {magic:#x}) that does not tell of every change")]
    FileSystem {
        /// The directory.
        path: PathBuf,
        /// The file system's magic number, as in statfs(2).
        magic: u64,
    },
    /// The directories changed each time they were looked at.
    #[error("the directories on the way to the release keep changing")]
    Unsteady,
}

/// What a look found that a log should tell. Told once per change, never on the fast path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Another release is pinned from now on.
    Flipped {
        /// The release before; none at the start.
        from: Option<ReleaseId>,
        /// The release now; the same name if its directory was remade.
        to: ReleaseId,
    },
    /// The release that is pinned is not locked against pruning.
    Unleased {
        /// The release.
        id: ReleaseId,
        /// Why.
        why: Unheld,
    },
    /// The link names no release; the last good one, if there was one, goes on being served.
    Broken(LiveError),
    /// The link names a release again, the one that was served meanwhile.
    Mended(ReleaseId),
    /// The link is read on every request from now on.
    Reading(Distrust),
    /// The queue tells again.
    Watching,
}

struct Slot<T> {
    pinner: Pinner<T>,
    seen: ArcSwap<Seen<T>>,
    tell: Box<dyn Fn(&News) + Send + Sync>,
}

/// What the last look saw; replaced as a whole.
struct Seen<T> {
    pin: Option<Arc<Pinned<T>>>,
    wrong: Option<LiveError>,
    reading: Option<Distrust>,
    flips: u64,
}

/// What is done under the lock.
#[derive(Default)]
struct Work {
    watches: Watches,
    slots: Vec<(usize, Weak<dyn Relook>)>,
    next: usize,
    /// Slots that an event concerned and that were not looked at yet. Kept here, so that a panic in between does
    /// not lose what was drained already.
    dirty: BTreeSet<usize>,
}

/// A slot without its type.
trait Relook: Send + Sync {
    /// Reads the link, has its directories watched, publishes.
    fn relook(&self, cover: &mut dyn FnMut(&[PathBuf]) -> Cover);
}

/// How often a look is begun anew because a directory on the way was not watched yet when it was passed.
const ATTEMPTS: usize = 16;
/// How often a process without requests looks after what no event tells.
const TICK: Duration = Duration::from_secs(1);

impl Look {
    /// The queue of this process. If the kernel gives none, links are read on every request.
    pub fn new() -> Look {
        let (queue, lacking) = match Inotify::new() {
            Ok(queue) => (Some(queue), None),
            Err(why) => (None, Some(Distrust::NoQueue(why))),
        };
        Look(Arc::new(Shared { peek: Peek::new(queue, Work::default()), lacking }))
    }

    /// A look that reads the link on every request, as if there were no inotify.
    pub fn reading() -> Look {
        let lacking = Some(Distrust::NoQueue(Errno::NOSYS));
        Look(Arc::new(Shared { peek: Peek::new(None, Work::default()), lacking }))
    }

    /// Puts an app under the look.
    pub fn watch<T: Send + Sync + 'static>(&self, pinner: Pinner<T>) -> Watched<T> {
        self.watch_telling(pinner, |_| {})
    }

    /// Puts an app under the look; `tell` is called for every change, under the lock, so it has to be quick and may
    /// not pin.
    pub fn watch_telling<T: Send + Sync + 'static>(
        &self,
        pinner: Pinner<T>,
        tell: impl Fn(&News) + Send + Sync + 'static,
    ) -> Watched<T> {
        let seen = ArcSwap::from_pointee(Seen { pin: None, wrong: None, reading: None, flips: 0 });
        let slot = Arc::new(Slot { pinner, seen, tell: Box::new(tell) });
        let weak: Weak<Slot<T>> = Arc::downgrade(&slot);
        self.0.peek.locked(|queue, work| {
            let id = work.next;
            work.next += 1;
            work.slots.push((id, weak));
            work.dirty.insert(id);
            self.settle(queue.as_ref(), work);
        });
        Watched { look: self.clone(), slot }
    }

    /// Why there is no queue at all, if there is none.
    pub fn lacking(&self) -> Option<&Distrust> {
        self.0.lacking.as_ref()
    }

    /// Does what is queued now. Needs no calling where requests come in; see [`tend`](Look::tend).
    pub fn catch_up(&self) {
        self.0.peek.current(|| (), |queue, work, events| self.take_in(queue.as_ref(), work, events));
    }

    /// The task that lets an idle process see flips too, so that it lets go of old leases. Ends never; an error is
    /// that the queue could not be waited for.
    pub async fn tend(&self) -> io::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let queue = self.0.peek.locked(|queue, _| queue.as_ref().map(Inotify::duplicate)).transpose()?;
        let Some(queue) = queue else {
            loop {
                tick.tick().await;
                self.look_after();
            }
        };
        let ready = wait_on(queue)?;
        loop {
            tokio::select! {
                guard = ready.readable() => {
                    // Cleared first: what is queued from here on wakes us again.
                    guard?.clear_ready();
                    self.catch_up();
                }
                _ = tick.tick() => self.look_after(),
            }
        }
    }

    /// Looks again at what no event may tell: apps that are read, links that are broken, leases not held.
    fn look_after(&self) {
        self.0.peek.locked(|queue, work| {
            work.dirty.extend(work.slots.iter().map(|(id, _)| *id));
            self.settle(queue.as_ref(), work);
        });
    }

    fn take_in(&self, queue: Option<&Inotify>, work: &mut Work, events: Events) {
        let concerned = work.watches.concerned(&events);
        match concerned {
            Some(slots) => work.dirty.extend(slots),
            None => work.dirty.extend(work.slots.iter().map(|(id, _)| *id)),
        }
        self.settle(queue, work);
    }

    /// Looks at every dirty slot.
    fn settle(&self, queue: Option<&Inotify>, work: &mut Work) {
        while let Some(id) = work.dirty.first().copied() {
            let slot = work.slots.iter().find(|(known, _)| *known == id).and_then(|(_, slot)| slot.upgrade());
            match slot {
                Some(slot) => slot.relook(&mut |parents| match queue {
                    Some(queue) => work.watches.cover(queue, id, parents),
                    None => Cover::Distrusted(self.0.lacking.clone().unwrap_or(Distrust::Unsteady)),
                }),
                None => {
                    work.slots.retain(|(known, _)| *known != id);
                    work.watches.forget(id);
                }
            }
            work.dirty.remove(&id);
        }
    }
}

#[allow(
    deprecated,
    reason = "what replaced it is unsafe; an OwnedFd neither closes nor changes while it is owned"
)]
fn wait_on(queue: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(queue, Interest::READABLE)
}

impl Default for Look {
    fn default() -> Look {
        Look::new()
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// The release that is live now, or while the link is broken the last good one. An error only if there never
    /// was a good one. One system call if nothing changed.
    // Inlined with all it calls: a return address from before a system call is mispredicted after it on current
    // CPUs, and each costs as much as a third of the call itself.
    #[inline(always)]
    pub fn pin(&self) -> Result<Arc<Pinned<T>>, LiveError> {
        let look = &self.look;
        let seen = look.0.peek.current(
            || self.slot.seen.load(),
            |queue, work, events| look.take_in(queue.as_ref(), work, events),
        );
        match &**seen {
            Seen { pin: Some(pin), wrong: None, reading: None, .. } => Ok(Arc::clone(pin)),
            Seen { .. } => self.pin_by_reading(),
        }
    }

    /// As [`pin`](Watched::pin), for an app that is read or whose link is broken.
    #[cold]
    fn pin_by_reading(&self) -> Result<Arc<Pinned<T>>, LiveError> {
        let seen = self.slot.seen.load_full();
        if let (Some(pin), None) = (&seen.pin, &seen.wrong)
            && let Ok(now) = self.slot.pinner.look()
            && Arc::ptr_eq(pin, &now)
        {
            return Ok(now);
        }
        self.look_again();
        let seen = self.slot.seen.load();
        match (&seen.pin, &seen.wrong) {
            (Some(pin), _) => Ok(Arc::clone(pin)),
            (None, Some(wrong)) => Err(wrong.clone()),
            (None, None) => Err(LiveError::Missing { link: self.slot.pinner.app().link().to_owned() }),
        }
    }

    /// Makes what is pinned anew, after a reload or a seal of what is live.
    pub fn renew(&self) {
        self.slot.pinner.forget();
        self.look_again();
    }

    /// What is wrong with the link now, for log, metrics and status.
    pub fn wrong(&self) -> Option<LiveError> {
        self.slot.seen.load().wrong.clone()
    }

    /// How changes are noticed.
    pub fn mode(&self) -> Mode {
        match &self.slot.seen.load().reading {
            Some(why) => Mode::Reading(why.clone()),
            None => Mode::Watching,
        }
    }

    /// How often another release was pinned, the first not counted.
    pub fn flips_seen(&self) -> u64 {
        self.slot.seen.load().flips
    }

    /// The pinner behind it.
    pub fn pinner(&self) -> &Pinner<T> {
        &self.slot.pinner
    }

    fn look_again(&self) {
        let slot: *const () = Arc::as_ptr(&self.slot).cast();
        self.look.0.peek.locked(|queue, work| {
            let mine = work.slots.iter().find(|(_, known)| std::ptr::eq(known.as_ptr().cast(), slot));
            let mine = mine.map(|(id, _)| *id);
            work.dirty.extend(mine);
            self.look.settle(queue.as_ref(), work);
        });
    }
}

impl<T: Send + Sync + 'static> Relook for Slot<T> {
    fn relook(&self, cover: &mut dyn FnMut(&[PathBuf]) -> Cover) {
        let mut reading = Some(Distrust::Unsteady);
        let mut looked = self.pinner.look_fully();
        for _ in 0..ATTEMPTS {
            match cover(&looked.parents) {
                Cover::Known => {
                    reading = None;
                    break;
                }
                // What happened there between our passing and our watching was not queued: pass again.
                Cover::New => looked = self.pinner.look_fully(),
                Cover::Distrusted(why) => {
                    reading = Some(why);
                    break;
                }
            }
        }
        self.publish(looked.pin, reading);
    }
}

impl<T> Slot<T> {
    fn publish(&self, looked: Result<Arc<Pinned<T>>, LiveError>, reading: Option<Distrust>) {
        let before = self.seen.load_full();
        let (pin, wrong) = match looked {
            Ok(pin) => (Some(pin), None),
            Err(wrong) => (before.pin.clone(), Some(wrong)),
        };
        let changed = match (&before.pin, &pin) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
            (old, new) => old.is_some() != new.is_some(),
        };
        let mut news = Vec::new();
        if let (true, Some(new)) = (changed, &pin) {
            let from = before.pin.as_ref().map(|old| old.id().clone());
            news.push(News::Flipped { from, to: new.id().clone() });
        } else if let (Some(_), None, Some(pin)) = (&before.wrong, &wrong, &pin) {
            news.push(News::Mended(pin.id().clone()));
        }
        if let Some(pin) = &pin
            && !pin.lease.try_again()
            && changed
            && let Some(why) = pin.lease.why_unheld()
        {
            news.push(News::Unleased { id: pin.id().clone(), why });
        }
        if let Some(wrong) = &wrong
            && before.wrong.as_ref() != Some(wrong)
        {
            news.push(News::Broken(wrong.clone()));
        }
        match (&before.reading, &reading) {
            (old, Some(why)) if old.as_ref() != Some(why) => news.push(News::Reading(why.clone())),
            (Some(_), None) => news.push(News::Watching),
            (_, _) => {}
        }
        let same = !changed && news.is_empty() && before.wrong == wrong && before.reading == reading;
        if !same {
            let flips = before.flips + u64::from(changed && before.pin.is_some());
            self.seen.store(Arc::new(Seen { pin, wrong, reading, flips }));
        }
        for told in &news {
            (self.tell)(told);
        }
    }
}
