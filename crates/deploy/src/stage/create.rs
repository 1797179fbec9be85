//! Creator: makes files, directories and links of a release, with their mode, owner and time.

use std::ffi::CStr;
use std::path::Path;

use release::atomic;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown,
    fstat, futimens, mkdirat, openat, openat2, symlinkat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::stage::rules::Owner;
use crate::store::blob::Traits;

/// Who makes things, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Creator {
    owner: Owner,
    chown: bool,
    /// The set-group-ID bit of `releases/`, which its directories inherit.
    setgid: u32,
    umask: u32,
}

impl Creator {
    /// For things below `top`. A set-group-ID directory above gives its group, unless a user is configured.
    pub fn new(owner: Owner, top: &OwnedFd) -> Result<Creator, Errno> {
        let stat = fstat(top)?;
        let us = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
        let setgid = stat.st_mode & 0o2000;
        let owner = if owner == us && setgid != 0 { Owner { uid: us.uid, gid: stat.st_gid } } else { owner };
        Ok(Creator { owner, chown: owner != us, setgid, umask: umask() })
    }

    /// The owner that a file gets.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Opens the top directory up for its readers and gives it its owner. Not the source's mode: that is often a
    /// home directory or a temporary one, which nobody else may read.
    pub fn finish_top(&self, top: &OwnedFd) -> Result<(), Errno> {
        self.finish_dir(top, 0o755)
    }

    /// Makes a directory, without its mode yet.
    pub fn dir(&self, at: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        atomic::effect();
        mkdirat(at, name, Mode::from_raw_mode(0o755))
    }

    /// Gives a directory its owner and mode, once all is in it. Its owner may always write to it, so that it can be
    /// deleted.
    pub fn finish_dir(&self, dir: &OwnedFd, mode: u32) -> Result<(), Errno> {
        if self.chown {
            self.give(dir)?;
        }
        let mode = mode & 0o1777 | 0o700 | self.setgid;
        if self.setgid != 0 || mode != 0o755 & !self.umask {
            fchmod(dir, Mode::from_raw_mode(mode))?;
        }
        Ok(())
    }

    /// Makes a file that must not be there yet.
    pub fn file(&self, at: &OwnedFd, name: &CStr, mode: u32) -> Result<OwnedFd, Errno> {
        atomic::effect();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(at, name, flags, Mode::from_raw_mode(mode & 0o777))
    }

    /// Gives a file that was just made its owner, mode and time.
    pub fn finish_file(&self, file: &OwnedFd, traits: &Traits) -> Result<(), Errno> {
        if self.chown {
            self.give(file)?;
        }
        if traits.mode & !0o777 != 0 || traits.mode & self.umask != 0 {
            fchmod(file, Mode::from_raw_mode(traits.mode))?;
        }
        set_time(file, traits.mtime_ns)
    }

    /// Makes a symbolic link.
    pub fn link(&self, at: &OwnedFd, name: &[u8], text: &[u8]) -> Result<(), Errno> {
        atomic::effect();
        symlinkat(text, at, name)?;
        if self.chown {
            let (uid, gid) = self.ids();
            chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn give(&self, what: impl AsFd) -> Result<(), Errno> {
        let (uid, gid) = self.ids();
        fchown(what, Some(uid), Some(gid))
    }

    fn ids(&self) -> (Uid, Gid) {
        (Uid::from_raw(self.owner.uid), Gid::from_raw(self.owner.gid))
    }
}

/// Sets when a file was last written.
pub(crate) fn set_time(file: impl AsFd, mtime_ns: i64) -> Result<(), Errno> {
    let last_modification = Timespec {
        tv_sec: mtime_ns.div_euclid(1_000_000_000),
        tv_nsec: mtime_ns.rem_euclid(1_000_000_000) as _,
    };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
    futimens(file, &Timestamps { last_access, last_modification })
}

/// Opens a directory, never through a link at its end.
pub(crate) fn open_dir(at: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Opens what is at a path below a directory, through no link at all; the empty path is the directory itself.
pub(crate) fn open_below(top: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Any rename on the machine may make the kernel give up on a path with a spurious EAGAIN (openat2(2)).
    for _ in 0..1000 {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(top, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // Old kernels, and containers that refuse what they do not know.
            Err(Errno::NOSYS | Errno::PERM) => break,
            opened => return opened,
        }
    }
    openat(top, path, flags, Mode::empty())
}

/// Which permissions the process takes away from what it makes (proc(5)); without /proc: all of them, which costs a
/// chmod for each file.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o777)
}
