//! Merge: a slot becomes what was put together beside it. Only while the slot has no name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use release::atomic;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, mkdirat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::slot::base::{Base, below, open_above};
use crate::slot::next::Next;
use crate::stage::create::open_below;
use crate::stage::{StageError, unwritten};

/// Both trees, open, and the slot's path for messages.
pub(super) struct Trees<'t> {
    pub next: &'t OwnedFd,
    pub slot: &'t OwnedFd,
    pub path: &'t Path,
}

/// Takes out of the slot what the next release has not, and puts in what it has. A file that takes another's place is
/// another inode; what is kept is not touched.
pub(super) fn merge(trees: &Trees<'_>, base: &Base, next: &Next) -> Result<(), StageError> {
    // First whatever is of another kind now, or gone.
    for path in base.others.iter().chain(base.displaced().map(|(path, _)| path)) {
        if !next.files.contains(path) {
            trees.remove(path, AtFlags::empty())?;
        }
    }
    for (path, text) in &base.links {
        if next.links.get(path) != Some(text) {
            trees.remove(path, AtFlags::empty())?;
        }
    }
    for path in base.dirs.iter().rev().filter(|path| !next.dirs.contains(*path)) {
        trees.remove(path, AtFlags::REMOVEDIR)?;
    }
    // Sorted, so those above come first.
    for path in &next.dirs {
        trees.directory(path, base.dirs.contains(path))?;
    }
    trees.like(b"")?;
    let links = next.links.iter().filter(|(path, text)| base.links.get(*path) != Some(*text));
    for path in next.files.iter().chain(links.map(|(path, _)| path)) {
        trees.put(path)?;
    }
    Ok(())
}

impl Trees<'_> {
    fn remove(&self, path: &[u8], flags: AtFlags) -> Result<(), StageError> {
        let full = below(self.path, path);
        let (dir, name) = open_above(self.slot, path).map_err(unwritten(&full))?;
        atomic::effect();
        match unlinkat(&dir, name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(why) => Err(unwritten(&full)(why)),
        }
    }

    /// Makes a directory, or gives the one that is there the mode and owner that it has in the next release.
    fn directory(&self, path: &[u8], there: bool) -> Result<(), StageError> {
        if !there {
            let full = below(self.path, path);
            let (dir, name) = open_above(self.slot, path).map_err(unwritten(&full))?;
            atomic::effect();
            mkdirat(&dir, name, Mode::from_raw_mode(0o755)).map_err(unwritten(&full))?;
        }
        self.like(path)
    }

    fn like(&self, path: &[u8]) -> Result<(), StageError> {
        let full = below(self.path, path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let done = || -> Result<(), Errno> {
            let (from, to) = (open_below(self.next, path, flags)?, open_below(self.slot, path, flags)?);
            let (wanted, stat) = (fstat(&from)?, fstat(&to)?);
            if (wanted.st_uid, wanted.st_gid) != (stat.st_uid, stat.st_gid) {
                atomic::effect();
                fchown(&to, Some(Uid::from_raw(wanted.st_uid)), Some(Gid::from_raw(wanted.st_gid)))?;
            }
            if wanted.st_mode != stat.st_mode {
                atomic::effect();
                fchmod(&to, Mode::from_raw_mode(wanted.st_mode & 0o7777))?;
            }
            Ok(())
        };
        done().map_err(unwritten(&full))
    }

    /// Puts a file or a link of the next release in its place.
    fn put(&self, path: &[u8]) -> Result<(), StageError> {
        let full = below(self.path, path);
        let done = || -> Result<(), Errno> {
            let (from, name) = open_above(self.next, path)?;
            let (to, _) = open_above(self.slot, path)?;
            // A rename onto another name of the same inode does nothing (rename(2)).
            if let Ok(there) = statat(&to, name, AtFlags::SYMLINK_NOFOLLOW)
                && FileType::from_raw_mode(there.st_mode) == FileType::Directory
            {
                return Err(Errno::ISDIR);
            }
            atomic::put_within(&from, &to, OsStr::from_bytes(name))
        };
        done().map_err(unwritten(&full))
    }
}
