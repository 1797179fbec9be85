//! Ground: a directory that files may come from, held open.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use release::App;
use release::Lease;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

/// A directory that could not be opened, or not be held open.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot hold {path} open")]
pub struct GroundError {
    /// The directory.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: Errno,
}

/// A directory that files may come from: held open, with its canonical path.
pub struct Ground {
    dir: OwnedFd,
    /// The canonical path first; then others by which links may name it.
    names: Vec<PathBuf>,
}

impl Ground {
    /// The directory of a lease.
    pub fn release(lease: &Lease) -> Result<Ground, GroundError> {
        let path = lease.path().to_owned();
        match lease.dir().try_clone_to_owned() {
            Ok(dir) => Ok(Ground { dir, names: vec![path] }),
            Err(error) => {
                Err(GroundError { path, source: Errno::from_io_error(&error).unwrap_or(Errno::MFILE) })
            }
        }
    }

    /// The app's shared directory; `None` if it has none. It may itself be a link: that is the host's business.
    pub fn shared(app: &App) -> Result<Option<Ground>, GroundError> {
        let path = app.shared();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match openat(CWD, &path, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(source) => return Err(GroundError { path, source }),
        };
        // Of exactly the directory that is now open.
        let canonical = match readlinkat(CWD, format!("/proc/self/fd/{}", dir.as_raw_fd()), Vec::new()) {
            Ok(canonical) => PathBuf::from(OsString::from_vec(canonical.into_bytes())),
            Err(source) => return Err(GroundError { path, source }),
        };
        let names = if canonical == path { vec![path] } else { vec![canonical, path] };
        Ok(Some(Ground { dir, names }))
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Its canonical path.
    pub(crate) fn path(&self) -> &Path {
        self.names.first().map_or(Path::new("/"), PathBuf::as_path)
    }

    /// All paths by which links may name it.
    pub(crate) fn known_as(&self) -> impl Iterator<Item = &Path> {
        self.names.iter().map(PathBuf::as_path)
    }

    /// The absolute path of something below it.
    pub(crate) fn below(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            return self.path().to_owned();
        }
        // Made in one go: this runs for every script.
        let mut below = PathBuf::with_capacity(self.path().as_os_str().len() + 1 + path.len());
        below.push(self.path());
        below.push(OsStr::from_bytes(path));
        below
    }
}
