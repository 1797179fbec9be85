//! Prune: takes a release away that nobody uses and nothing names.
//!
//! Renamed into the trash first, deleted from there later: what can be seen in `releases/` is never half deleted. The
//! name in the trash is `<id>:<process>-<number>`; a colon cannot stand in an id.

use crate::app::App;
use crate::atomic::{self, AtomicError};
use crate::flocked::Flocked;
use crate::id::ReleaseId;
use crate::live::{self, LiveError};
use crate::lock::{DeployLock, LockError};
use crate::slot;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A release that was taken away. Its tree still lies in the trash.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the tree lies in the trash until it is deleted"]
pub struct Retired {
    /// The release.
    pub id: ReleaseId,
    /// Where its tree lies.
    pub trash: PathBuf,
}

/// Why a release was not taken away. It stands where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetireError {
    /// There is no release of this name.
    NoRelease {
        /// The release.
        id: ReleaseId,
    },
    /// The link names it.
    Live {
        /// The release.
        id: ReleaseId,
    },
    /// A process holds a lease on it.
    InUse {
        /// The release.
        id: ReleaseId,
    },
    /// The link is broken, so nobody can say what is live.
    Unsure {
        /// The release.
        id: ReleaseId,
        /// What is wrong with the link.
        why: LiveError,
    },
    /// Another command is at work.
    Busy(LockError),
    /// The release could not be opened or locked.
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// It could not be moved.
    Unmoved(AtomicError),
}

/// Takes a release away under a deploy lock of its own, without waiting for one.
pub fn retire(app: &App, id: &ReleaseId) -> Result<Retired, RetireError> {
    let lock = DeployLock::take(app, Duration::ZERO).map_err(RetireError::Busy)?;
    retire_under(&lock, id)
}

/// Takes a release away under a deploy lock that is held already.
///
/// Refused while a process holds a lease or the link names it, and undone if another tool makes the link name it
/// meanwhile. The seal goes with it, and of a release in a slot the slot. The tree is in the trash then: [`Retired::delete`] or [`empty_trash`].
pub fn retire_under(lock: &DeployLock, id: &ReleaseId) -> Result<Retired, RetireError> {
    let app = lock.app();
    let slot = slot::of(app, id);
    let place = slot.as_ref().map_or_else(|| app.release(id), |name| app.slot(name));
    // Asked twice: here so that what is live is called so though it is in use as well, and again under the lock.
    if live::read(app).is_ok_and(|live| Some(&live.dir) == live::canonical(&place).as_ref()) {
        return Err(RetireError::Live { id: id.clone() });
    }
    let held = hold(&place, id)?;
    let dir = live::canonical(&place).ok_or_else(|| RetireError::NoRelease { id: id.clone() })?;
    not_live(app, id, &dir, &held)?;
    if slot.is_some() {
        // The name first: no name ever leads to a tree that is gone.
        atomic::remove(&app.release(id)).map_err(RetireError::Unmoved)?;
    }

    let trash = put_in_trash(app, id, &dir)?;
    let home = if slot.is_some() { named_place(app, id) } else { dir };
    if names(app, &home) {
        // What had a slot gets a directory of its own then: the slot's name is nobody's any more.
        atomic::move_to(&trash, &home).map_err(RetireError::Unmoved)?;
        return Err(RetireError::Live { id: id.clone() });
    }
    // A seal without a tree harms nobody: it names the tree it was written for.
    atomic::remove(&app.manifest(id)).map_err(RetireError::Unmoved)?;
    Ok(Retired { id: id.clone(), trash })
}

/// Forgets a release that stands nowhere: its seal, which is all that is left of it but for blobs.
pub fn forget(lock: &DeployLock, id: &ReleaseId) -> Result<(), RetireError> {
    let app = lock.app();
    if crate::manifest::find(app, id).is_some() {
        return Err(RetireError::InUse { id: id.clone() });
    }
    atomic::remove(&app.manifest(id)).map_err(RetireError::Unmoved)
}

fn named_place(app: &App, id: &ReleaseId) -> PathBuf {
    live::canonical(&app.releases()).unwrap_or_else(|| app.releases()).join(id)
}

impl Retired {
    /// Deletes the tree. Takes as long as it takes.
    pub fn delete(self) -> std::io::Result<()> {
        std::fs::remove_dir_all(&self.trash)
    }
}

/// Moves a tree that was never sealed, and that the link does not name, into the trash: what a killed command left.
/// `None`: there is none. Whoever calls this holds the deploy lock.
pub fn discard(app: &App, id: &ReleaseId) -> Result<Option<Retired>, RetireError> {
    let dir = app.release(id);
    if rustix::fs::lstat(&dir).is_err() {
        return Ok(None);
    }
    let unread = |why| RetireError::Unreadable { path: app.manifest(id), why };
    match rustix::fs::lstat(app.manifest(id)) {
        Err(Errno::NOENT) => {}
        Err(why) => return Err(unread(why)),
        Ok(_) => return Err(unread(Errno::EXIST)),
    }
    if names(app, &dir) {
        return Err(RetireError::Live { id: id.clone() });
    }
    let trash = put_in_trash(app, id, &dir)?;
    Ok(Some(Retired { id: id.clone(), trash }))
}

/// Finishes what killed prunes began: moves back what the link names, deletes the rest of the trash. Gives how many
/// trees were deleted.
pub fn empty_trash(lock: &DeployLock) -> std::io::Result<usize> {
    let app = lock.app();
    let mut deleted = 0;
    for (path, id) in in_trash(app)? {
        let home = named_place(app, &id);
        if names(app, &home) && rustix::fs::lstat(&home).is_err() {
            atomic::move_to(&path, &home).map_err(|error| std::io::Error::from(error.why))?;
            continue;
        }
        std::fs::remove_dir_all(&path)?;
        deleted += 1;
    }
    Ok(deleted)
}

/// Renames it into the trash, and says where it is then.
fn put_in_trash(app: &App, id: &ReleaseId, dir: &Path) -> Result<PathBuf, RetireError> {
    let trash = trash_for(app, id).map_err(RetireError::Unmoved)?;
    match atomic::move_to(dir, &trash) {
        Ok(()) => Ok(trash),
        // releases/ may be on another disk than .cutover/; then the trash is a hidden name beside the release.
        Err(error) if error.why == Errno::XDEV => {
            let beside = dir.with_file_name(format!(".cutover-trash-{}", trash_name(id)));
            atomic::move_to(dir, &beside).map_err(RetireError::Unmoved)?;
            Ok(beside)
        }
        Err(error) => Err(RetireError::Unmoved(error)),
    }
}

/// Opens the release and takes the exclusive lock, without waiting.
fn hold(place: &Path, id: &ReleaseId) -> Result<Flocked, RetireError> {
    let unreadable = |why| RetireError::Unreadable { path: place.to_owned(), why };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(CWD, place, flags, Mode::empty());
    let dir = opened.map(Flocked::new).map_err(|why| match why {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => RetireError::NoRelease { id: id.clone() },
        why => unreadable(why),
    })?;
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(RetireError::InUse { id: id.clone() }),
        // Without locks there are no leases to respect; who calls goes by age there.
        Err(Errno::OPNOTSUPP | Errno::NOLCK | Errno::INVAL) => {}
        Err(why) => return Err(unreadable(why)),
    }
    Ok(dir)
}

/// Refuses what is live, and anything while it cannot be told what is live.
fn not_live(app: &App, id: &ReleaseId, dir: &Path, held: &Flocked) -> Result<(), RetireError> {
    let unreadable = |why| RetireError::Unreadable { path: dir.to_owned(), why };
    match live::read(app) {
        Ok(live) if live.dir == *dir => return Err(RetireError::Live { id: id.clone() }),
        Ok(live) => {
            // The same tree under two names (a bind mount) is live too.
            let open = fstat(held).map_err(unreadable)?;
            if statat(CWD, &live.dir, AtFlags::empty())
                .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (open.st_dev, open.st_ino))
            {
                return Err(RetireError::Live { id: id.clone() });
            }
        }
        Err(LiveError::Missing { .. }) => {}
        Err(why) => return Err(RetireError::Unsure { id: id.clone(), why }),
    }
    Ok(())
}

/// Whether the link names the release at `dir`, which need not stand there.
fn names(app: &App, dir: &Path) -> bool {
    match live::read(app) {
        Ok(live) => live.dir.starts_with(dir),
        Err(LiveError::Dangling { missing, .. }) => missing.starts_with(dir),
        Err(LiveError::Missing { .. }) => false,
        // It cannot be told: what was renamed away goes back.
        Err(
            LiveError::NotALink { .. }
            | LiveError::NotADirectory { .. }
            | LiveError::Loop { .. }
            | LiveError::Outside { .. }
            | LiveError::BadName { .. }
            | LiveError::Unreadable { .. },
        ) => true,
    }
}

fn trash_for(app: &App, id: &ReleaseId) -> Result<PathBuf, AtomicError> {
    atomic::make_dir(&app.trash())?;
    Ok(app.trash().join(trash_name(id)))
}

fn trash_name(id: &ReleaseId) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{id}:{}-{:x}{count:x}", std::process::id(), now.as_nanos())
}

/// Every tree in the trash, with the release it was.
fn in_trash(app: &App) -> std::io::Result<Vec<(PathBuf, ReleaseId)>> {
    let mut found = Vec::new();
    for (dir, prefix) in [(app.trash(), ""), (app.releases(), ".cutover-trash-")] {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(prefix)?.split_once(':'));
            if let Some(id) = id.and_then(|(id, _)| ReleaseId::parse(id).ok()) {
                found.push((entry.path(), id));
            }
        }
    }
    Ok(found)
}

impl fmt::Display for RetireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetireError::NoRelease { id } => write!(f, "there is no release {id}"),
            RetireError::Live { id } => write!(f, "release {id} is live"),
            RetireError::InUse { id } => write!(f, "release {id} is still in use"),
            RetireError::Unsure { id, why } => {
                write!(f, "release {id} may be live, which cannot be told while the link is broken: {why}")
            }
            RetireError::Busy(error) => error.fmt(f),
            RetireError::Unreadable { path, why } => write!(f, "cannot open {}: {why}", path.display()),
            RetireError::Unmoved(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RetireError {}
