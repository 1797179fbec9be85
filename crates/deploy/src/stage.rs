//! Stage: a tree becomes `releases/<id>`: shared places linked, writable ones granted, unchanged files not copied.
//!
//! ```text
//!   source ─┬─ unchanged ──> a further name (or a clone) of its blob ─┐
//!           └─ new ────────> copied, hashed while it is read ─────────┴─> releases/<id> ──hooks──> sync, seal
//!                                                                               new files ──> blobs
//! ```
//!
//! What the source's file is: its content, mode and time. What a release's file is: the same, but the set-user-ID and
//! set-group-ID bits, a time that opcache accepts (never 0, two seconds old at least), and the owner that the
//! configuration names. A file that is as it was in what was staged last keeps the time it had there, so a fresh
//! checkout of the same content shares its blobs.

mod acl;
mod blobs;
pub(crate) mod content;
pub(crate) mod create;
pub mod exclude;
pub(crate) mod grant;
pub(crate) mod list;
mod look;
mod put;
mod rules;
mod salvage;
mod seal;
pub(crate) mod shared;
mod sharing;
pub(crate) mod traits;
pub(crate) mod tree;

use std::path::{Path, PathBuf};
use std::time::Instant;

use release::atomic::{self, AtomicError};
use release::manifest::{self, ManifestError};
use release::prune::{self, RetireError};
use release::{App, ReleaseId};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::slot::{Base, SlotError};
use crate::store::{Store, index};

pub use look::{Change, Oddity, Preview, look};
pub use rules::{Owner, Rules, RulesError};
pub use seal::seal;

/// How often a source that changes while it is read is read again.
const TRIES: u32 = 3;

/// What staging did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Regular files in the release.
    pub files: u64,
    /// Directories in it, itself included.
    pub dirs: u64,
    /// Symbolic links in it, those to shared places included.
    pub links: u64,
    /// Bytes in its files.
    pub bytes: u64,
    /// How many of those were copied rather than linked or cloned.
    pub bytes_copied: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How far staging is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that are in place.
    pub files: u64,
    /// How many were staged last time, which is a guess at how many there will be; 0: not known.
    pub files_last_time: u64,
    /// Bytes copied so far.
    pub bytes_copied: u64,
}

/// Why there is no staged release. What is live was not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// A sealed release is never changed.
    #[error("release {id} is sealed already; a sealed release is never changed")]
    Sealed {
        /// The release.
        id: ReleaseId,
    },
    /// Its seal cannot be read.
    #[error("cannot tell whether release {id} is sealed: {why}")]
    Unsure {
        /// The release.
        id: ReleaseId,
        /// What is wrong.
        why: ManifestError,
    },
    /// The tree contains a fifo, a socket or a device.
    #[error("{path} is {is}; a release has files, directories and links only (source.exclude can leave it out)", path = path.display())]
    Special {
        /// Which.
        path: PathBuf,
        /// What it is.
        is: &'static str,
    },
    /// The source changed while it was read.
    #[error("{path} changed while it was read, again and again: is something still writing it?", path = path.display())]
    Changing {
        /// What changed.
        path: PathBuf,
    },
    /// Something of the source could not be read.
    #[error("cannot read {path}: {why}", path = path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// Something of the release could not be written.
    #[error("cannot write {path}: {what}", path = path.display(), what = no_room(path, *why))]
    Unwritten {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// A shared file is neither in `shared/` nor in the source.
    #[error("the shared file {path} is missing, and the source has none to begin with", path = path.display())]
    NoSharedFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// Something else stands where a shared place should be. It was left as it is.
    #[error("{path} is {is}, but app.{key} wants a {wanted} there; it was left as it is", path = path.display())]
    InTheWay {
        /// What stands there.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What is wanted.
        wanted: &'static str,
        /// The key that wants it.
        key: &'static str,
    },
    /// The configured `link_mode` does not work here.
    #[error("app.link_mode is {mode:?}, but {path} cannot do that: {why}", path = path.display())]
    NoSharing {
        /// The mode.
        mode: &'static str,
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// A writable place could not be made writable.
    #[error("cannot make {path} writable for user {uid}: {why}; without ACLs only root can give files away", path = path.display())]
    NoGrant {
        /// The place.
        path: PathBuf,
        /// The pool's user.
        uid: u32,
        /// What the kernel said.
        why: Errno,
    },
    /// There is no slot to stage it in, or not all that it consisted of.
    #[error("{0}")]
    Slot(#[from] SlotError),
    /// What a killed command left could not be moved out of the way.
    #[error("cannot move what a killed deploy left out of the way: {0}")]
    Leftover(RetireError),
    /// State could not be written.
    #[error("{error}{}", hint(error))]
    State {
        /// What failed.
        error: AtomicError,
    },
}

/// Stages the tree at `from` as a release that is not sealed yet.
///
/// Begins anew whatever a killed run left of the same release; never touches a sealed one. Whoever calls this holds
/// the deploy lock. `progress` is told some times per second.
pub fn stage(
    app: &App,
    rules: &Rules,
    from: &Path,
    id: &ReleaseId,
    progress: &mut dyn FnMut(Progress),
) -> Result<Staged, StageError> {
    let began = Instant::now();
    match manifest::sealed(app, id) {
        Ok(_) => return Err(StageError::Sealed { id: id.clone() }),
        Err(ManifestError::NoRelease { .. } | ManifestError::Unsealed { .. }) => {}
        // A seal of another tree seals nothing; but whose it is cannot be told.
        Err(why) => return Err(StageError::Unsure { id: id.clone(), why }),
    }
    let source = open_tree(from)?;
    let store = Store::open(app)?;
    let links = shared::prepare(app, rules, &source, from)?;
    let dir = app.release(id);
    let filled = tries(|| {
        discard(app, id)?;
        let filled = fill(app, rules, (&source, from), &dir, None, &store, &links, progress)?;
        grant::all(app, rules, &filled.creator, &filled.top, &dir)?;
        Ok(filled)
    })?;
    let mut staged = filled.staged;
    filled.note(app, id)?;
    staged.took_ms = began.elapsed().as_millis() as u64;
    Ok(staged)
}

/// Tries again while the source changes.
pub(crate) fn tries<T>(mut once: impl FnMut() -> Result<T, StageError>) -> Result<T, StageError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match once() {
            Err(StageError::Changing { .. }) if tries < TRIES => {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            outcome => return outcome,
        }
    }
}

/// A directory that a source was staged into.
pub(crate) struct Filled {
    pub staged: Staged,
    pub top: OwnedFd,
    pub creator: create::Creator,
    from_ns: i64,
    rows: Vec<index::Rows>,
}

impl Filled {
    /// Writes down what was staged, for the seal and the next time.
    pub fn note(self, app: &App, id: &ReleaseId) -> Result<(), StageError> {
        let until_ns = now_ns();
        index::save(app, id, (self.from_ns, until_ns), self.rows)?;
        wait_past(until_ns);
        Ok(())
    }
}

/// One attempt, into a directory that is not there yet; but for what `base` has already.
#[allow(clippy::too_many_arguments, reason = "each is another thing, and both who call it have all of them")]
pub(crate) fn fill(
    app: &App,
    rules: &Rules,
    (source, from): (&OwnedFd, &Path),
    dir: &Path,
    base: Option<&Base>,
    store: &Store,
    links: &[shared::SharedLink],
    progress: &mut dyn FnMut(Progress),
) -> Result<Filled, StageError> {
    atomic::make_dir(dir)?;
    let release = create::open_dir(CWD, dir).map_err(unwritten(dir))?;
    let before = index::load(app);
    let sharing = match base {
        None => sharing::settle(rules, store, &release)?,
        Some(_) => sharing::settle(rules, store, &release)?.unlinked(),
    };
    let salvaged = salvage::salvage(app, store, sharing);
    let from_ns = now_ns();
    let plan = tree::Plan {
        from,
        to: dir,
        creator: create::Creator::new(rules.owner(), &release).map_err(unwritten(dir))?,
        sharing,
        has_blobs: before.is_some() || salvaged > 0,
        exclude: &rules.exclude,
        left_out: links.iter().map(shared::SharedLink::path).collect(),
        private: grant::places(rules),
        avoid: tree::own_dirs(app),
        store: Some(store),
        index: before.as_ref(),
        base,
        now_ns: from_ns,
    };
    plan.creator.finish_top(&release).map_err(unwritten(dir))?;
    let mut done = tree::copy(&plan, source, &release, progress)?;
    for link in links {
        link.make(&plan.creator, &release, dir)?;
        done.staged.links += 1;
    }
    let creator = plan.creator;
    Ok(Filled { staged: done.staged, top: release, creator, from_ns, rows: done.rows })
}

/// Moves what a killed run left of this release out of the way.
fn discard(app: &App, id: &ReleaseId) -> Result<(), StageError> {
    // Deleted with the rest of the trash, by prune: here it would only take time.
    prune::discard(app, id).map(drop).map_err(StageError::Leftover)
}

/// Opens the top of a tree; it may be reached by links.
pub(crate) fn open_tree(path: &Path) -> Result<OwnedFd, StageError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .map_err(|why| StageError::Unreadable { path: path.to_owned(), why })
}

pub(crate) fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    index::time(now.tv_sec, now.tv_nsec)
}

/// Waits until what the file system takes for the time is past that moment: some milliseconds.
pub(crate) fn wait_past(moment_ns: i64) {
    for _ in 0..100 {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        if index::time(now.tv_sec, now.tv_nsec) > moment_ns {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

pub(crate) fn unwritten(path: &Path) -> impl FnOnce(Errno) -> StageError {
    let path = path.to_owned();
    move |why| StageError::Unwritten { path, why }
}

impl From<AtomicError> for StageError {
    fn from(error: AtomicError) -> StageError {
        StageError::State { error }
    }
}

fn hint(error: &AtomicError) -> String {
    match error.why {
        Errno::NOSPC => format!(" ({})", no_room(&error.path, error.why)),
        _ => String::new(),
    }
}

/// Says which kind of room is used up.
fn no_room(path: &Path, why: Errno) -> String {
    if why != Errno::NOSPC {
        return why.to_string();
    }
    let mut there = path.ancestors();
    match there.find_map(|dir| rustix::fs::statvfs(dir).ok()) {
        Some(stat) if stat.f_files > 0 && stat.f_favail == 0 => "the file system has no inodes left".into(),
        Some(_) | None => "the disk is full".into(),
    }
}
