//! Store: blobs by content, in `.cutover/store/`; what releases share.
//!
//! ```text
//! .cutover/store/
//!   index                                     what was staged last: see [`index`]
//!   3f/9a…62 hex…-644-1000-33-1763800000000000000   a blob for hard links: BLAKE3, mode, owner, group, time
//!   3f/9a…62 hex…                             a blob for reflinks: only its content matters
//! ```
//!
//! A blob comes into the store only when it is on disk for good, so whatever has its name has its content. The store
//! is never the only place of anything: losing it costs time, not data. It is readable by its owner alone, since the
//! directories that kept others from a file are not in it.

pub mod blob;
pub mod index;
mod sweep;

use std::path::PathBuf;

use release::App;
use release::atomic::{self, AtomicError};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use crate::stage::content;

pub use blob::BlobName;
pub(crate) use sweep::used_hashes;
pub use sweep::{Swept, sweep};

/// The store of one app, open.
#[derive(Debug)]
pub struct Store {
    dir: OwnedFd,
    path: PathBuf,
}

/// Why a blob could not be linked into a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLink {
    /// The store has no such blob.
    Missing,
    /// It has as many names as the file system allows (EMLINK): a second blob is needed.
    Full,
    /// This file system cannot link here, or this user may not.
    Impossible(Errno),
    /// It failed otherwise.
    Failed(Errno),
}

impl Store {
    /// Opens the store, and makes it if it is missing.
    pub fn open(app: &App) -> Result<Store, AtomicError> {
        let path = app.store();
        let failed = |why| AtomicError { tried: "open the store", path: path.clone(), why };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match openat(CWD, &path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                atomic::make_dir(&path)?;
                let dir = openat(CWD, &path, flags, Mode::empty()).map_err(failed)?;
                rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o700)).map_err(failed)?;
                dir
            }
            opened => opened.map_err(failed)?,
        };
        Ok(Store { dir, path })
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The open directory.
    pub(crate) fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Gives a blob a further name: `name` in the directory `to`.
    pub(crate) fn link_out(&self, blob: &BlobName, to: &OwnedFd, name: &[u8]) -> Result<(), NoLink> {
        atomic::effect();
        linkat(&self.dir, blob.path(), to, name, AtFlags::empty()).map_err(|why| match why {
            Errno::NOENT => NoLink::Missing,
            Errno::MLINK => NoLink::Full,
            Errno::PERM | Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS => NoLink::Impossible(why),
            why => NoLink::Failed(why),
        })
    }

    /// Takes a file of a release in as this blob. Fine if there is one already, unless that has so many names that
    /// the next release could not have another: then this one stands in its place.
    pub(crate) fn link_in(&self, blob: &BlobName, from: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        atomic::effect();
        let link = || linkat(from, name, &self.dir, blob.path(), AtFlags::empty());
        match link() {
            Err(Errno::NOENT) => {
                match mkdirat(&self.dir, blob.fan(), Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(why) => return Err(why),
                }
                match link() {
                    Err(Errno::EXIST) => Ok(()),
                    linked => linked,
                }
            }
            Err(Errno::EXIST) if self.is_full(blob) => {
                // Killed in between, the blob is missing, which costs the next deploy a copy.
                unlinkat(&self.dir, blob.path(), AtFlags::empty())?;
                atomic::effect();
                link()
            }
            Err(Errno::EXIST) => Ok(()),
            linked => linked,
        }
    }

    /// Takes a copy of a file in as the blob of this content, on disk when this returns; [`Errno::STALE`] if it is
    /// another by now.
    pub(crate) fn copy_in(&self, hash: &blob::Hash, from: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        const NEW: &str = ".cutover-copy";
        match unlinkat(&self.dir, NEW, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(why) => return Err(why),
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(from, name, flags, Mode::empty())?;
        atomic::effect();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let new = openat(&self.dir, NEW, flags, Mode::from_raw_mode(0o600))?;
        let size = rustix::fs::fstat(&file)?.st_size as u64;
        content::copy(&file, &new, size, |_| {}).map_err(|end| match end {
            content::End::Source(why) | content::End::Release(why) => why,
        })?;
        rustix::fs::seek(&new, rustix::fs::SeekFrom::Start(0))?;
        let same = content::read_hash(&new)? == *hash;
        if same {
            rustix::fs::fsync(&new)?;
            self.link_in(&BlobName::cloned(hash), &self.dir, NEW.as_bytes())?;
        }
        unlinkat(&self.dir, NEW, AtFlags::empty())?;
        if same { Ok(()) } else { Err(Errno::STALE) }
    }

    fn is_full(&self, blob: &BlobName) -> bool {
        // ext4 allows 65,000 names, xfs and btrfs more; a release may need some hundred of one blob.
        const MANY: u64 = 60_000;
        rustix::fs::statat(&self.dir, blob.path(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| names_of(&stat) > MANY)
    }

    /// Opens a blob for reading.
    pub(crate) fn read(&self, blob: &BlobName) -> Result<OwnedFd, Errno> {
        openat(&self.dir, blob.path(), OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }

    /// Whether there is such a blob.
    pub fn has(&self, blob: &BlobName) -> bool {
        rustix::fs::statat(&self.dir, blob.path(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

/// How many names a file has. Its type differs from one processor to the next.
#[allow(clippy::useless_conversion, reason = "st_nlink is u32 on some processors")]
pub(crate) fn names_of(stat: &rustix::fs::Stat) -> u64 {
    u64::from(stat.st_nlink)
}
