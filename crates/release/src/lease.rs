//! Lease: a shared flock that says "this release is in use".
//!
//! The lock is on the release's own directory, so releases made by other tools have leases too, a lock follows a
//! rename, and the kernel frees it even after kill -9.

mod resting;

use crate::app::App;
use crate::flocked::Flocked;
use crate::live::{self, Live, LiveError};
use crate::manifest::Sealed;
use crate::slot;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use resting::Resting;

/// How long a pinner tries for the lock before it goes without.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// Below it are the descriptors that people write in scripts.
const HIGH: i32 = 100;

/// One process's hold on one release: its open directory, which keeps the inode from being reused, and as a rule
/// a shared lock, which keeps the tree from being pruned. Freed when dropped.
#[derive(Debug)]
pub struct Lease {
    live: Live,
    dir: Flocked,
    held: AtomicBool,
    /// Why there was no lock when it was taken. [`Unheld::Taken`] may change, the others do not.
    unheld: Option<Unheld>,
    seen: resting::Seen,
}

/// How often a release may be replaced between the reading of the link and the opening of its directory.
const ATTEMPTS: usize = 64;

/// Why a release is served without a lock on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheld {
    /// Somebody held it exclusively for all of [`PATIENCE`] though the link names it.
    Taken,
    /// The directory can be passed but not read by this user, so it cannot be opened for locking.
    NotReadable,
    /// The file system has no such locks.
    Unsupported(Errno),
}

/// Why a release could not be held at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseError {
    /// The directory no longer bears the name: read the link again.
    Moved(PathBuf),
    /// It could not be opened.
    Unopened(PathBuf, Errno),
}

impl Lease {
    /// Reads the link and takes hold of what it names; again, whenever that was replaced in between.
    pub fn take_live(app: &App) -> Result<Lease, LiveError> {
        let mut missing = app.link().to_owned();
        for _ in 0..ATTEMPTS {
            match Lease::take(app, &live::read(app)?) {
                Ok(lease) => return Ok(lease),
                Err(LeaseError::Moved(path)) => missing = path,
                Err(LeaseError::Unopened(path, why)) => return Err(LiveError::Unreadable { path, why }),
            }
        }
        Err(LiveError::Dangling { link: app.link().to_owned(), missing })
    }

    /// Takes hold of the release that was read from the link.
    ///
    /// [`LeaseError::Moved`] means that it was renamed, remade or (after waiting for the lock) no longer live in
    /// between: read the link again. Waits at most [`PATIENCE`], in steps of a millisecond, and only if locked.
    pub fn take(app: &App, live: &Live) -> Result<Lease, LeaseError> {
        let lease = Lease::hold(live.clone())?;
        if lease.why_unheld() != Some(Unheld::Taken) {
            return Ok(lease);
        }
        // Whoever holds it may be a pruner that was stopped between its look and its rename, after a flip away.
        // Only what the link still names is served without a lock.
        match live::read(app) {
            Ok(now) if now.same_as(live) => Ok(lease),
            Ok(_) | Err(_) => Err(LeaseError::Moved(live.dir.clone())),
        }
    }

    /// Takes hold of a sealed release, be it live or not.
    ///
    /// One whose lock is [`Taken`](Unheld::Taken) is being deleted or rewritten, as a rule: it is not to be relied on.
    pub fn take_sealed(app: &App, sealed: &Sealed) -> Result<Lease, LeaseError> {
        let moved = || LeaseError::Moved(sealed.dir().to_owned());
        let dir = live::canonical(sealed.dir()).ok_or_else(moved)?;
        let place = match slot::of(app, sealed.id()) {
            Some(_) => live::canonical(&app.releases()).ok_or_else(moved)?.join(sealed.id()),
            None => dir.clone(),
        };
        let stat = statat(CWD, &dir, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| moved())?;
        let lease = Lease::hold(Live {
            id: sealed.id().clone(),
            text: place.clone(),
            dir,
            place,
            below: PathBuf::new(),
            dev: stat.st_dev,
            ino: stat.st_ino,
            links: 0,
            parents: Vec::new(),
        })?;
        // Another tree may have been put there between the look at its seal and the lock.
        if stat.st_ino == sealed.tree().ino { Ok(lease) } else { Err(moved()) }
    }

    fn hold(live: Live) -> Result<Lease, LeaseError> {
        let (dir, readable) = open(&live.dir)?;
        let mut lease = Lease {
            live,
            dir: Flocked::new(dir),
            held: AtomicBool::new(false),
            unheld: None,
            seen: resting::Seen::default(),
        };
        let moved = |lease: &Lease| LeaseError::Moved(lease.live.dir.clone());
        if !lease.bears_its_name() {
            return Err(moved(&lease));
        }
        if !readable {
            lease.unheld = Some(Unheld::NotReadable);
            return Ok(lease);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let tried = flock(&lease.dir, FlockOperation::NonBlockingLockShared);
            // Looked at again after the lock: who held it may have renamed the release away.
            if !lease.bears_its_name() {
                return Err(moved(&lease));
            }
            match tried {
                Ok(()) => {
                    *lease.held.get_mut() = true;
                    return Ok(lease);
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => break,
                Err(why) => {
                    lease.unheld = Some(Unheld::Unsupported(why));
                    return Ok(lease);
                }
            }
        }
        lease.unheld = Some(Unheld::Taken);
        Ok(lease)
    }

    /// The release's directory, for looking things up beneath it.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The release as it was read from the link.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The canonical path of the release's directory.
    pub fn path(&self) -> &Path {
        &self.live.dir
    }

    /// Whether the lock is held; if not, [`why_unheld`](Lease::why_unheld) tells.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Why there is no lock, if there is none.
    pub fn why_unheld(&self) -> Option<Unheld> {
        // A lock that rested and was not to be had again was taken by somebody.
        if self.is_held() { None } else { self.unheld.or(Some(Unheld::Taken)) }
    }

    /// A descriptor that the processes started from here inherit. The lock lasts from now on until the last of them
    /// has closed it or ended, however this process ends.
    ///
    /// Its number is high where that is allowed: the low ones are what shell scripts redirect to.
    pub fn hand_on(&mut self) -> Result<OwnedFd, Errno> {
        let high = fcntl_dupfd_cloexec(&self.dir, HIGH);
        let handed = high.or_else(|_| fcntl_dupfd_cloexec(&self.dir, 0))?;
        fcntl_setfd(&handed, FdFlags::empty())?;
        self.dir.hand_on();
        Ok(handed)
    }

    /// Tries once more for a lock that was not to be had, without waiting; says whether it is held now.
    pub fn try_again(&self) -> bool {
        if !self.is_held()
            && self.unheld == Some(Unheld::Taken)
            && flock(&self.dir, FlockOperation::NonBlockingLockShared).is_ok()
        {
            self.held.store(true, Ordering::Release);
        }
        self.is_held()
    }

    /// Closes the directory and leaves the lock alone: a process that was forked with this lease shares it with its
    /// parent.
    pub fn leave(mut self) {
        self.dir.hand_on();
    }

    /// Lets the lock go and keeps the directory open.
    pub(crate) fn unlock(&self) {
        if self.held.swap(false, Ordering::AcqRel) {
            // It can only fail where it could not have been taken.
            flock(&self.dir, FlockOperation::Unlock).unwrap_or(());
        }
    }

    /// Takes the lock again, without waiting; `false` if somebody holds it exclusively. What never could be locked is
    /// as good as it was.
    pub(crate) fn relock(&self) -> bool {
        if self.is_held() || matches!(self.unheld, Some(Unheld::NotReadable | Unheld::Unsupported(_))) {
            return true;
        }
        let locked = loop {
            match flock(&self.dir, FlockOperation::NonBlockingLockShared) {
                Err(Errno::INTR) => {}
                tried => break tried.is_ok(),
            }
        };
        self.held.store(locked, Ordering::Release);
        locked
    }

    /// Whether the path still leads to the directory that is open, and the link's directory is in it.
    pub(crate) fn bears_its_name(&self) -> bool {
        let (Ok(open), Ok(named)) =
            (fstat(&self.dir), statat(CWD, &self.live.dir, AtFlags::SYMLINK_NOFOLLOW))
        else {
            return false;
        };
        if (open.st_dev, open.st_ino) != (named.st_dev, named.st_ino) {
            return false;
        }
        // A slot stays where it is: whose turn it is, only the link in releases/ says.
        if self.live.in_slot()
            && statat(CWD, &self.live.place, AtFlags::empty()).map(|led| (led.st_dev, led.st_ino))
                != Ok((open.st_dev, open.st_ino))
        {
            return false;
        }
        let led_to = if self.live.below.as_os_str().is_empty() {
            named
        } else {
            match statat(&self.dir, &self.live.below, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(_) => return false,
            }
        };
        (led_to.st_dev, led_to.st_ino) == (self.live.dev, self.live.ino)
    }
}

/// Opens a directory, for locking if it may be read, else for passing through only.
fn open(path: &Path) -> Result<(OwnedFd, bool), LeaseError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match openat(CWD, path, OFlags::RDONLY | flags, Mode::empty()) {
        Ok(dir) => Ok((dir, true)),
        Err(Errno::ACCESS) => openat(CWD, path, OFlags::PATH | flags, Mode::empty()).map(|dir| (dir, false)),
        Err(why) => Err(why),
    };
    opened.map_err(|why| match why {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => LeaseError::Moved(path.to_owned()),
        why => LeaseError::Unopened(path.to_owned(), why),
    })
}

impl fmt::Display for Unheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unheld::Taken => write!(f, "somebody else holds an exclusive lock on the release's directory"),
            Unheld::NotReadable => {
                write!(f, "the release's directory is not readable by this user, so it cannot be locked")
            }
            Unheld::Unsupported(why) => write!(f, "the file system does not lock directories: {why}"),
        }
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeaseError::Moved(path) => write!(f, "{} was replaced while it was being taken", path.display()),
            LeaseError::Unopened(path, why) => write!(f, "cannot open {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for LeaseError {}
