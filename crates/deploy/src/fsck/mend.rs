//! Mending one entry of a release: what was sealed is put back, by a rename.

use release::atomic;
use release::manifest::{Entry, Kind};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, fchown, fstat, fsync, mkdirat, openat, statat, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use crate::fsck::donors::Donors;
use crate::fsck::{Outcome, split, wrong_with};
use crate::stage::create::{open_below, set_time};

const NEW: &str = ".cutover-mended";

/// Puts back what was sealed at this path.
pub(crate) fn mend(top: &OwnedFd, path: &[u8], entry: &Entry, donors: &Donors) -> Outcome {
    let donor = match &entry.kind {
        Kind::File { hash, .. } => match donors.find(hash) {
            Some(file) => Some(file),
            None => return Outcome::Lost,
        },
        Kind::Dir | Kind::Link { .. } => None,
    };
    match put_back(top, path, entry, donor).map(|()| wrong_with(top, path, entry)) {
        Ok(None) => Outcome::Mended,
        Ok(Some(_)) => Outcome::Failed(Errno::IO),
        Err(why) => Outcome::Failed(why),
    }
}

fn put_back(top: &OwnedFd, path: &[u8], entry: &Entry, donor: Option<OwnedFd>) -> Result<(), Errno> {
    let (above, name) = split(path);
    // Directories come before what is in them, so a missing one has been put back by now.
    let dir = open_below(top, above, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let there =
        statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| FileType::from_raw_mode(stat.st_mode));
    match (&entry.kind, donor) {
        (Kind::Dir, _) => {
            if there.is_none() {
                atomic::effect();
                mkdirat(&dir, name, Mode::from_raw_mode(0o755))?;
            }
            let made = open_below(top, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            own_like(&made, top)?;
            fchmod(&made, Mode::from_raw_mode(entry.mode))?;
            fsync(&dir)
        }
        (Kind::Link { target }, _) => {
            clear(&dir)?;
            atomic::effect();
            symlinkat(&**target, &dir, NEW)?;
            atomic::replace_within(&dir, NEW, name)
        }
        (Kind::File { mtime_ns, .. }, Some(donor)) => {
            clear(&dir)?;
            atomic::effect();
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let new = openat(&dir, NEW, flags, Mode::from_raw_mode(0o600))?;
            let mut from = std::fs::File::from(donor);
            let mut to = std::fs::File::from(new);
            std::io::copy(&mut from, &mut to)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            let to = OwnedFd::from(to);
            own_like(&to, top)?;
            fchmod(&to, Mode::from_raw_mode(entry.mode))?;
            set_time(&to, *mtime_ns)?;
            fsync(&to)?;
            atomic::replace_within(&dir, NEW, name)
        }
        (Kind::File { .. }, None) => Err(Errno::NODATA),
    }
}

/// Removes what a killed run left.
fn clear(dir: &OwnedFd) -> Result<(), Errno> {
    match unlinkat(dir, NEW, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(why) => Err(why),
    }
}

/// The owner of the release owns what is in it; only root can give it back to another.
fn own_like(what: &OwnedFd, top: &OwnedFd) -> Result<(), Errno> {
    let (stat, wanted) = (fstat(what)?, fstat(top)?);
    if (stat.st_uid, stat.st_gid) == (wanted.st_uid, wanted.st_gid) {
        return Ok(());
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(wanted.st_uid), rustix::fs::Gid::from_raw(wanted.st_gid));
    fchown(what, Some(uid), Some(gid))
}
