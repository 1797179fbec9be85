//! Queue: the kernel's inotify queue.

use super::peek::Queue;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

/// One inotify instance.
#[derive(Debug)]
pub(super) struct Inotify(OwnedFd);

/// What was drained.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The watches that something happened at, and whether the watch ended with it.
    pub watches: Vec<(i32, bool)>,
    /// The kernel dropped events (or the queue could not be read): anything may have happened.
    pub lost: bool,
}

/// What is asked of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Whether it is itself moved or deleted.
    Itself,
    /// That, and which names come and go in it.
    Names,
}

impl Inotify {
    pub fn new() -> Result<Inotify, Errno> {
        inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map(Inotify)
    }

    /// Watches the directory at this path. What is asked adds to what was asked of it before.
    pub fn watch(&self, path: &Path, scope: Scope) -> Result<i32, Errno> {
        let itself = WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        let names =
            WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO | itself;
        let asked = match scope {
            Scope::Itself => itself,
            Scope::Names => names,
        };
        let how = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW | WatchFlags::MASK_ADD;
        inotify::add_watch(&self.0, path, asked | how)
    }

    /// Ends a watch, which the queue will tell as one more event.
    pub fn unwatch(&self, watch: i32) {
        // It may have ended by itself meanwhile.
        inotify::remove_watch(&self.0, watch).unwrap_or(());
    }

    /// Another descriptor of the same queue, to wait on.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl Queue for Option<Inotify> {
    type Events = Events;

    #[inline(always)]
    fn peek(&self) -> bool {
        // An error would mean that the queue is broken; then the slow path says so each time.
        self.as_ref().is_some_and(|queue| rustix::io::ioctl_fionread(queue.0.as_fd()) != Ok(0))
    }

    fn drain(&self) -> Events {
        let mut events = Events::default();
        let Some(queue) = self else { return events };
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(&queue.0, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let flags = event.events();
                    events.lost |= flags.contains(ReadFlags::QUEUE_OVERFLOW);
                    let watch = (event.wd(), flags.contains(ReadFlags::IGNORED));
                    if events.watches.last() != Some(&watch) {
                        events.watches.push(watch);
                    }
                }
                Err(Errno::WOULDBLOCK) => return events,
                Err(Errno::INTR) => {}
                Err(_) => {
                    events.lost = true;
                    return events;
                }
            }
        }
    }
}
