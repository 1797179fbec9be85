//! Atomic: the only rename and the only fsync; every change of state on disk goes through here.
//!
//! It is also the one seam where crashes are injected: with `CUTOVER_CRASH_AT=n` in the environment, the process
//! kills itself (SIGKILL, so nothing is tidied up) right before its n-th effect on disk, counted from 1. Without the
//! variable that costs one atomic load per effect. An n beyond the last effect changes nothing, which is how a test
//! knows that it has tried them all.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fsync, openat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// What every temporary name of ours begins with; then follow the process id, `-` and a number.
const TEMP: &str = ".cutover-tmp-";

/// What could not be done on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtomicError {
    /// What was tried.
    pub tried: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the kernel said.
    pub why: Errno,
}

/// A link that was made beside the one it is to replace.
#[derive(Debug)]
pub(crate) struct NewLink<'a> {
    dir: BorrowedFd<'a>,
    path: &'a Path,
    temp: OsString,
}

/// Marks that the next thing done changes the disk. Here, and nowhere else, injected crashes happen.
pub fn effect() {
    static CRASH_AT: OnceLock<Option<u64>> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let crash_at =
        CRASH_AT.get_or_init(|| std::env::var("CUTOVER_CRASH_AT").ok().and_then(|n| n.parse().ok()));
    if let Some(n) = crash_at
        && COUNT.fetch_add(1, Ordering::SeqCst) + 1 == *n
    {
        if rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).is_err() {
            std::process::abort();
        }
        // SIGKILL may be delivered a moment later; nothing may happen in between.
        std::thread::sleep(Duration::from_secs(1));
        std::process::abort();
    }
}

/// Replaces or makes a file: written beside it, synced, renamed over it, the directory synced.
/// What killed processes left beside it is removed.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), AtomicError> {
    replace_as(path, bytes, 0o644)
}

/// The same, for what only its owner may read.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), AtomicError> {
    replace_as(path, bytes, 0o600)
}

fn replace_as(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AtomicError> {
    let dir = open_parent(path)?;
    if let Some(parent) = path.parent() {
        sweep(parent);
    }
    let temp = temp_name();
    effect();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file =
        openat(&dir, &*temp, flags, Mode::from_raw_mode(mode)).map_err(failed("make a file beside", path))?;
    let written = write_all(&file, bytes)
        .and_then(|()| {
            effect();
            fsync(&file)
        })
        .and_then(|()| {
            effect();
            rename_within(&dir, &temp, path)
        });
    if let Err(why) = written {
        remove_temp(&dir, &temp);
        return Err(failed("write", path)(why));
    }
    effect();
    fsync(&dir).map_err(failed("sync the directory of", path))
}

/// Writes at the end of a file that was opened for appending, and syncs it.
pub fn append(file: &OwnedFd, path: &Path, bytes: &[u8]) -> Result<(), AtomicError> {
    effect();
    write_all(file, bytes).map_err(failed("append to", path))?;
    effect();
    fsync(file).map_err(failed("sync", path))
}

/// Cuts a file to a length, and syncs it.
pub fn cut(file: &OwnedFd, path: &Path, len: u64) -> Result<(), AtomicError> {
    effect();
    rustix::fs::ftruncate(file, len).map_err(failed("cut", path))?;
    effect();
    fsync(file).map_err(failed("sync", path))
}

/// Makes a symbolic link with this text where nothing may stand yet ([`Errno::EXIST`] if something does), and syncs
/// its directory.
pub fn make_link(path: &Path, text: &Path) -> Result<(), AtomicError> {
    effect();
    symlinkat(text, CWD, path).map_err(failed("make the link", path))?;
    sync_parent(path)
}

/// Renames something from one open directory into another, over what stands there. Not synced.
pub fn put_within(from: impl AsFd, to: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    effect();
    #[allow(clippy::disallowed_methods, reason = "the one module that renames")]
    rustix::fs::renameat(from, name, to, name)
}

/// Makes a directory and those above it that are missing; syncs what it changed.
pub fn make_dir(path: &Path) -> Result<(), AtomicError> {
    effect();
    match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
        Ok(()) => sync_parent(path),
        Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => {
            let parent = path.parent().ok_or_else(|| failed("make", path)(Errno::NOENT))?;
            make_dir(parent)?;
            match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => sync_parent(path),
                Err(why) => Err(failed("make the directory", path)(why)),
            }
        }
        Err(why) => Err(failed("make the directory", path)(why)),
    }
}

/// Moves something to a path where nothing may stand yet ([`Errno::EXIST`] if something does), syncing both
/// directories.
pub fn move_to(from: &Path, to: &Path) -> Result<(), AtomicError> {
    effect();
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // Not every file system knows the flag. A directory is at worst moved onto an empty one.
        Err(Errno::INVAL | Errno::NOSYS) => {
            if rustix::fs::lstat(to).is_ok() {
                return Err(failed("move something to", to)(Errno::EXIST));
            }
            rename(CWD, from.as_os_str(), to).map_err(failed("move", from))?;
        }
        Err(Errno::EXIST) => return Err(failed("move something to", to)(Errno::EXIST)),
        Err(why) => return Err(failed("move", from)(why)),
    }
    sync_parent(to)?;
    if from.parent() != to.parent() {
        sync_parent(from)?;
    }
    Ok(())
}

/// Renames `from` over `to`, both in this open directory, and syncs it.
pub fn replace_within(dir: impl AsFd, from: &str, to: &[u8]) -> Result<(), Errno> {
    use std::os::unix::ffi::OsStrExt;
    effect();
    rename(&dir, OsStr::new(from), Path::new(OsStr::from_bytes(to)))?;
    effect();
    fsync(dir)
}

/// Removes a file; fine if it is not there.
pub fn remove(path: &Path) -> Result<(), AtomicError> {
    effect();
    match unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) => sync_parent(path),
        Err(Errno::NOENT) => Ok(()),
        Err(why) => Err(failed("remove", path)(why)),
    }
}

/// Brings everything on the file system of this directory to disk (syncfs(2)).
pub fn sync_all(dir: impl AsFd, path: &Path) -> Result<(), AtomicError> {
    effect();
    rustix::fs::syncfs(dir).map_err(failed("sync the file system of", path))
}

/// Syncs the directory that `path` stands in.
pub fn sync_parent(path: &Path) -> Result<(), AtomicError> {
    let dir = open_parent(path)?;
    effect();
    fsync(&dir).map_err(failed("sync the directory of", path))
}

/// Makes a link with this text, under a temporary name in the directory of the link `path` that it is to replace.
pub(crate) fn new_link<'a>(
    dir: BorrowedFd<'a>,
    path: &'a Path,
    text: &Path,
) -> Result<NewLink<'a>, AtomicError> {
    let temp = temp_name();
    effect();
    symlinkat(text, dir, &*temp).map_err(failed("make a link beside", path))?;
    Ok(NewLink { dir, path, temp })
}

impl NewLink<'_> {
    /// The device and inode that the new link leads to.
    pub fn leads_to(&self) -> Result<(u64, u64), Errno> {
        rustix::fs::statat(self.dir, &*self.temp, AtFlags::empty()).map(|stat| (stat.st_dev, stat.st_ino))
    }

    /// Puts the new link in the place of the old one. Not synced yet.
    pub fn put_in_place(self) -> Result<(), AtomicError> {
        effect();
        match rename_within(self.dir, &self.temp, self.path) {
            Ok(()) => Ok(()),
            Err(why) => {
                remove_temp(self.dir, &self.temp);
                Err(failed("replace", self.path)(why))
            }
        }
    }

    /// Takes the new link away again.
    pub fn discard(self) {
        remove_temp(self.dir, &self.temp);
    }
}

/// Syncs an open directory.
pub(crate) fn sync_dir(dir: impl AsFd, path: &Path) -> Result<(), AtomicError> {
    effect();
    fsync(dir).map_err(failed("sync the directory", path))
}

/// Removes what killed processes left under our temporary names in this directory. Never what a living process
/// may be using: the name tells the process, and whoever loses one nevertheless begins anew.
pub(crate) fn sweep(path: &Path) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(pid) = maker_of(&name)
            && rustix::process::test_kill_process(pid) == Err(Errno::SRCH)
        {
            effect();
            // A leftover that cannot be removed harms nobody, and the next sweep tries again.
            std::fs::remove_file(entry.path()).unwrap_or(());
        }
    }
}

/// Which process made this temporary name; `None` for names that are not ours.
fn maker_of(name: &OsStr) -> Option<rustix::process::Pid> {
    let (pid, rest) = name.to_str()?.strip_prefix(TEMP)?.split_once('-')?;
    rest.parse::<u64>().ok()?;
    rustix::process::Pid::from_raw(pid.parse().ok()?)
}

fn temp_name() -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let pid = rustix::process::getpid().as_raw_nonzero();
    // The time keeps containers with equal process ids apart, which share the directory but not the counter.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{TEMP}{pid}-{}", u64::from(now) << 32 | (count & 0xffff_ffff)).into()
}

fn remove_temp(dir: impl AsFd, temp: &OsStr) {
    // We are failing already; a leftover is swept by the next flip.
    unlinkat(dir, temp, AtFlags::empty()).unwrap_or(());
}

fn rename_within(dir: impl AsFd, from: &OsStr, to: &Path) -> Result<(), Errno> {
    let name = to.file_name().ok_or(Errno::INVAL)?;
    rename(dir, from, Path::new(name))
}

#[allow(clippy::disallowed_methods, reason = "the one place that renames")]
fn rename(dir: impl AsFd, from: &OsStr, to: &Path) -> Result<(), Errno> {
    let dir = dir.as_fd();
    rustix::fs::renameat(dir, from, dir, to)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

fn open_parent(path: &Path) -> Result<OwnedFd, AtomicError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, parent, flags, Mode::empty()).map_err(failed("open the directory", parent))
}

fn failed(tried: &'static str, path: &Path) -> impl FnOnce(Errno) -> AtomicError {
    let path = path.to_owned();
    move |why| AtomicError { tried, path, why }
}

impl fmt::Display for AtomicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.tried, self.path.display(), self.why)
    }
}

impl std::error::Error for AtomicError {}
