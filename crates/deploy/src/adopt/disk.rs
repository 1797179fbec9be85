//! Disk: links that adopting makes and removes. Their directories' times of change are put back, because other tools
//! read those: Capistrano picks the release to roll back to by them.

use std::path::{Path, PathBuf};

use release::atomic::{self, AtomicError};
use rustix::fs::{AtFlags, CWD, Stat, Timespec, Timestamps, statat, symlinkat, utimensat};
use rustix::io::Errno;

/// Removes a link; fine if it is not there. Anything but a link is left.
pub(crate) fn remove_link(path: &Path) -> Result<(), AtomicError> {
    match std::fs::read_link(path) {
        Ok(_) => atomic::remove(path),
        Err(_) => Ok(()),
    }
}

/// Makes a link; fine if one with this text is there.
pub(crate) fn make_link(path: &Path, text: &Path) -> Result<(), AtomicError> {
    if std::fs::read_link(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    atomic::effect();
    symlinkat(text, CWD, path).map_err(failed("make the link", path))?;
    atomic::sync_parent(path)
}

/// Puts the time of change of the directory that `path` stands in back to what it was, where that is known.
pub(crate) fn put_time_back(path: &Path, before: Option<i128>) -> Result<(), AtomicError> {
    match (path.parent().filter(|dir| dir.is_dir()), before) {
        (Some(dir), Some(before)) => set_mtime_ns(dir, before),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Makes `shared/x` a link to `../x`, both below `root`.
pub(crate) fn bridge(root: &Path, path: &Path) -> Result<(), AtomicError> {
    let mut text: PathBuf = path.components().skip(1).map(|_| "..").collect();
    text.extend(path.components().skip(1));
    let at = root.join(path);
    if let Some(parent) = at.parent() {
        atomic::make_dir(parent)?;
    }
    make_link(&at, &text)
}

/// When something was last changed, in nanoseconds since 1970.
pub(crate) fn mtime_ns(path: &Path) -> Option<i128> {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| changed(&stat).1)
}

/// Sets it.
pub(crate) fn set_mtime_ns(path: &Path, mtime_ns: i128) -> Result<(), AtomicError> {
    let stat = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("look at", path))?;
    let times = Timestamps { last_access: changed(&stat).0, last_modification: time(mtime_ns) };
    atomic::effect();
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("set the time of", path))
}

fn changed(stat: &Stat) -> (Timespec, i128) {
    let access = Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ };
    (access, i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec))
}

fn time(ns: i128) -> Timespec {
    let seconds = i64::try_from(ns.div_euclid(1_000_000_000)).unwrap_or_default();
    let nanos = i64::try_from(ns.rem_euclid(1_000_000_000)).unwrap_or_default();
    Timespec { tv_sec: seconds, tv_nsec: nanos }
}

fn failed(tried: &'static str, path: &Path) -> impl FnOnce(Errno) -> AtomicError {
    let path = path.to_owned();
    move |why| AtomicError { tried, path, why }
}
