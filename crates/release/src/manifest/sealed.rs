//! Sealed: the proof that a release is whole, and the identity of the tree that it holds for.

use super::{ManifestError, load_at};
use crate::app::App;
use crate::id::ReleaseId;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Which tree was sealed: a directory's inode, and when it was made (0 where the file system does not know).
///
/// Not the device: its number may be another after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeId {
    /// The inode.
    pub ino: u64,
    /// The time of birth, in nanoseconds since 1970.
    pub born_ns: i64,
}

/// The proof that a release was sealed: only this module and its `seal` make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    id: ReleaseId,
    dir: PathBuf,
    tree: TreeId,
}

/// The proof that this release is sealed, or why it is not.
pub fn sealed(app: &App, id: &ReleaseId) -> Result<Sealed, ManifestError> {
    let dir = find(app, id).ok_or_else(|| ManifestError::NoRelease { id: id.clone() })?;
    match load_at(app, id, &dir)? {
        Some(manifest) => Ok(Sealed { id: id.clone(), dir, tree: manifest.tree }),
        None => Err(ManifestError::Unsealed { id: id.clone() }),
    }
}

/// Where the release of this name stands: its slot, or the first of its places that is a directory.
pub fn find(app: &App, id: &ReleaseId) -> Option<PathBuf> {
    if let Some(slot) = crate::slot::of(app, id) {
        return Some(app.slot(&slot));
    }
    app.places(id)
        .into_iter()
        .find(|place| rustix::fs::lstat(place).is_ok_and(|stat| crate::live::is_directory(&stat)))
}

impl TreeId {
    /// The identity of the directory at this path.
    pub fn of(path: &Path) -> Result<TreeId, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        TreeId::of_dir(&openat(CWD, path, flags, Mode::empty())?)
    }

    pub(crate) fn of_dir(dir: &OwnedFd) -> Result<TreeId, Errno> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let stat = statx(dir, c"", AtFlags::EMPTY_PATH, wanted)?;
        let knows_birth = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        let born_ns =
            if knows_birth { nanoseconds(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec) } else { 0 };
        Ok(TreeId { ino: stat.stx_ino, born_ns })
    }
}

impl Sealed {
    /// The release's name.
    pub fn id(&self) -> &ReleaseId {
        &self.id
    }

    /// Where it stands.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which tree was sealed.
    pub fn tree(&self) -> TreeId {
        self.tree
    }

    #[cfg(feature = "seal")]
    pub(crate) fn new(id: ReleaseId, dir: PathBuf, tree: TreeId) -> Sealed {
        Sealed { id, dir, tree }
    }
}

/// Seconds and nanoseconds in one number; good until the year 2262.
pub(crate) fn nanoseconds(seconds: i64, nanoseconds: u32) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanoseconds))
}
