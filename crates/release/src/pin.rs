//! Pin: one request's hold on one release, shared by all requests that began under it.

use crate::app::App;
use crate::id::ReleaseId;
use crate::lease::{Lease, LeaseError};
use crate::live::{self, LiveError};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

/// A leased release and what the holder made of it (`with`). Held as an [`Arc`] until a response's last byte.
#[derive(Debug)]
pub struct Pinned<T> {
    /// The hold on the release.
    pub lease: Lease,
    /// What the pinner's `make` made for this release, once.
    pub with: T,
}

/// Gives pins of one app: reads the link on every look, and makes the expensive part once per release.
///
/// Keyed by the release's name, the link's text and the device and inode it leads to: releases take turns in a slot. The directory stays open while it is pinned, so
/// its inode cannot be reused by another.
pub struct Pinner<T> {
    app: App,
    make: Box<dyn Fn(&Lease) -> T + Send + Sync>,
    cached: RwLock<Option<Arc<Pinned<T>>>>,
    /// Everything but the comparison happens under this lock, so a slow reader cannot publish an older release.
    earlier: Mutex<Vec<Weak<Pinned<T>>>>,
}

/// One look of a [`Pinner`], with what a watcher needs.
pub struct Looked<T> {
    /// The pin, or why there is none now.
    pub pin: Result<Arc<Pinned<T>>, LiveError>,
    /// Directories in which a change may change the answer.
    pub parents: Vec<PathBuf>,
}

/// How often a release may be replaced between the reading of the link and the opening of its directory.
const ATTEMPTS: usize = 64;

impl<T> Pinned<T> {
    /// The release's name.
    pub fn id(&self) -> &ReleaseId {
        &self.lease.live().id
    }

    /// The canonical path of the release's directory.
    pub fn path(&self) -> &Path {
        self.lease.path()
    }
}

impl<T> Pinner<T> {
    /// A pinner for this app; `make` is called once per release that is pinned, before its first pin is given out.
    pub fn new(app: App, make: impl Fn(&Lease) -> T + Send + Sync + 'static) -> Pinner<T> {
        Pinner { app, make: Box::new(make), cached: RwLock::new(None), earlier: Mutex::new(Vec::new()) }
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The release that is live now. Strict: the link is read in this call (two system calls if nothing changed).
    pub fn look(&self) -> Result<Arc<Pinned<T>>, LiveError> {
        if let Some(pin) = self.last_good()
            && pin.lease.live().still_named(&self.app)
        {
            return Ok(pin);
        }
        self.look_fully().pin
    }

    /// As [`look`](Pinner::look), by walking every link, and saying where to watch. Calls follow one another, so
    /// their answers are published in the order of their readings.
    pub fn look_fully(&self) -> Looked<T> {
        self.look_as(None)
    }

    /// As [`look_fully`](Pinner::look_fully), but as if the link had this text, if one is given.
    pub(crate) fn look_as(&self, text: Option<&Path>) -> Looked<T> {
        let mut earlier = held(&self.earlier);
        let mut moved = None;
        for _ in 0..ATTEMPTS {
            let trace = live::trace_as(&self.app, text);
            let parents = trace.parents;
            let live = match trace.answer {
                Ok(live) => live,
                Err(why) => return Looked { pin: Err(why), parents },
            };
            let known = self.last_good().into_iter().chain(earlier.iter().filter_map(Weak::upgrade));
            if let Some(pin) = known.into_iter().find(|pin| pin.lease.live().same_as(&live)) {
                self.publish(Some(Arc::clone(&pin)), &mut earlier);
                return Looked { pin: Ok(pin), parents };
            }
            match Lease::take(&self.app, &live) {
                Ok(lease) => {
                    let with = (self.make)(&lease);
                    let pin = Arc::new(Pinned { lease, with });
                    self.publish(Some(Arc::clone(&pin)), &mut earlier);
                    return Looked { pin: Ok(pin), parents };
                }
                Err(LeaseError::Moved(path)) => moved = Some((path, parents)),
                Err(LeaseError::Unopened(path, why)) => {
                    return Looked { pin: Err(LiveError::Unreadable { path, why }), parents };
                }
            }
        }
        let (path, parents) = moved.unwrap_or_default();
        Looked { pin: Err(LiveError::Dangling { link: self.app.link().to_owned(), missing: path }), parents }
    }

    /// The release that was pinned last, whatever the link says now.
    pub fn last_good(&self) -> Option<Arc<Pinned<T>>> {
        self.cached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was made, so that the next look makes it anew (after a reload, or a seal of what is live).
    /// Pins that are given out stay as they are.
    pub fn forget(&self) {
        let mut earlier = held(&self.earlier);
        self.publish(None, &mut earlier);
        earlier.clear();
    }

    /// Whether any request or cache still holds a pin of this release.
    pub fn holds(&self, id: &ReleaseId) -> bool {
        let earlier = held(&self.earlier);
        self.last_good().into_iter().chain(earlier.iter().filter_map(Weak::upgrade)).any(|pin| pin.id() == id)
    }

    fn publish(&self, pin: Option<Arc<Pinned<T>>>, earlier: &mut Vec<Weak<Pinned<T>>>) {
        let old = {
            let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *cached, pin)
        };
        earlier.retain(|pin| pin.strong_count() > 0);
        if let Some(old) = &old
            && !earlier.iter().any(|known| Weak::as_ptr(known) == Arc::as_ptr(old))
        {
            earlier.push(Arc::downgrade(old));
        }
        // `old` is dropped here, outside the lock that readers take: its T may be big.
    }
}

impl<T> fmt::Debug for Pinner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinner").field("app", &self.app).finish_non_exhaustive()
    }
}

fn held<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    // A panic in `make` leaves nothing half done behind this lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
