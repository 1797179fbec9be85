//! Seal: walks a release, hashes it, brings it to disk, and writes down that it is complete.

use crate::app::App;
use crate::atomic::{self, AtomicError};
use crate::id::ReleaseId;
use crate::manifest::{Entry, Kind, Sealed, TreeId, find, nanoseconds, write};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Directories nested deeper than this are refused: each level holds one file descriptor open.
const MAX_DEPTH: usize = 200;

/// Why a release was not sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealError {
    /// There is no release of this name.
    NoRelease {
        /// The release.
        id: ReleaseId,
    },
    /// It contains a fifo, a socket or a device.
    Special {
        /// Which.
        path: PathBuf,
        /// What it is.
        is: &'static str,
    },
    /// Something changed while it was read: it is still being built.
    Changing {
        /// What changed.
        path: PathBuf,
    },
    /// Something wrote to a file that other releases share by hard links.
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// Directories are nested too deeply.
    TooDeep {
        /// Where.
        path: PathBuf,
    },
    /// Something could not be read.
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// The release or its manifest could not be brought to disk.
    Unwritten(AtomicError),
}

/// What the seal sees of a file before it reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The device it lies on.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
    /// Whether it has more than one name.
    pub shared: bool,
    /// The permission bits, without the type.
    pub mode: u32,
    /// Who owns it.
    pub uid: u32,
    /// Which group owns it.
    pub gid: u32,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When anything about it last changed, in nanoseconds since 1970.
    pub ctime_ns: i64,
}

/// What whoever made a release can say about a file in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its content has this BLAKE3 hash: it need not be read.
    Hash([u8; 32]),
    /// Nothing: it is read.
    Nothing,
    /// It must not be sealed: other releases share it, and it is not what they hold.
    Damaged,
}

/// Seals a release: hashes every file, syncs the tree, writes the manifest and renames it into place.
///
/// Until the rename the release counts as unsealed. Sealing a sealed release writes its manifest anew.
pub fn seal(app: &App, id: &ReleaseId) -> Result<Sealed, SealError> {
    seal_known(app, id, &mut |_, _| Known::Nothing)
}

/// The same, but reads only the files about which `known` can say nothing. It is given each file's path below the
/// release, and what stat(2) says now; it has to be sure.
pub fn seal_known(
    app: &App,
    id: &ReleaseId,
    known: &mut dyn FnMut(&[u8], &Seen) -> Known,
) -> Result<Sealed, SealError> {
    let dir = find(app, id).ok_or_else(|| SealError::NoRelease { id: id.clone() })?;
    let root = open_dir(CWD, dir.as_os_str(), &dir)?;
    let tree = TreeId::of_dir(&root).map_err(unreadable(&dir))?;
    let mut walk = Walk { root: &dir, known, entries: Vec::new(), buffer: vec![0; 128 * 1024] };
    let stat = fstat(&root).map_err(unreadable(&dir))?;
    walk.entries.push((Vec::new(), Entry { kind: Kind::Dir, mode: permissions(&stat) }));
    walk.enter(&root, &mut Vec::new(), 0)?;
    let mut entries = walk.entries;
    entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    atomic::sync_all(&root, &dir)?;
    if TreeId::of(&dir) != Ok(tree) {
        return Err(SealError::Changing { path: dir });
    }
    atomic::make_dir(&app.manifests())?;
    atomic::replace(&app.manifest(id), &write(id, tree, &entries))?;
    Ok(Sealed::new(id.clone(), dir, tree))
}

struct Walk<'a> {
    root: &'a Path,
    known: &'a mut dyn FnMut(&[u8], &Seen) -> Known,
    entries: Vec<(Vec<u8>, Entry)>,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    /// Takes down everything in `dir`, whose path below the release is `path`.
    fn enter(&mut self, dir: &OwnedFd, path: &mut Vec<u8>, depth: usize) -> Result<(), SealError> {
        if depth > MAX_DEPTH {
            return Err(SealError::TooDeep { path: self.full(path) });
        }
        let listed = Dir::read_from(dir).map_err(unreadable(&self.full(path)))?;
        let len = path.len();
        for entry in listed {
            let entry = entry.map_err(unreadable(&self.full(path)))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if len > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            self.take(dir, name, path, depth)?;
            path.truncate(len);
        }
        Ok(())
    }

    fn take(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), SealError> {
        let full = self.full(path);
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable(&full))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let seen = Seen::of(&stat);
                match (self.known)(path, &seen) {
                    Known::Hash(hash) => Kind::File { hash, size: seen.size, mtime_ns: seen.mtime_ns },
                    Known::Nothing => self.hash(dir, name, &stat, &full)?,
                    Known::Damaged => return Err(SealError::Damaged { path: full }),
                }
            }
            FileType::Symlink => {
                let target = readlinkat(dir, name, Vec::new()).map_err(unreadable(&full))?;
                Kind::Link { target: target.into_bytes().into() }
            }
            FileType::Directory => {
                let below = open_dir(dir, OsStr::from_bytes(name.to_bytes()), &full)?;
                self.entries.push((path.clone(), Entry { kind: Kind::Dir, mode: permissions(&stat) }));
                return self.enter(&below, path, depth + 1);
            }
            FileType::Fifo => return Err(SealError::Special { path: full, is: "a fifo" }),
            FileType::Socket => return Err(SealError::Special { path: full, is: "a socket" }),
            FileType::CharacterDevice | FileType::BlockDevice => {
                return Err(SealError::Special { path: full, is: "a device" });
            }
            FileType::Unknown => return Err(SealError::Special { path: full, is: "of an unknown type" }),
        };
        self.entries.push((path.clone(), Entry { kind, mode: permissions(&stat) }));
        Ok(())
    }

    fn hash(&mut self, dir: &OwnedFd, name: &CStr, seen: &Stat, full: &Path) -> Result<Kind, SealError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(dir, name, flags, Mode::empty()).map_err(unreadable(full))?;
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        loop {
            match rustix::io::read(&file, &mut self.buffer[..]) {
                Ok(0) => break,
                Ok(n) => {
                    hasher.update(self.buffer.get(..n).unwrap_or_default());
                    size += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(why) => return Err(unreadable(full)(why)),
            }
        }
        let after = fstat(&file).map_err(unreadable(full))?;
        if size != after.st_size as u64 || mark(seen) != mark(&after) {
            return Err(SealError::Changing { path: full.to_owned() });
        }
        let mtime_ns = nanoseconds(after.st_mtime, after.st_mtime_nsec as u32);
        Ok(Kind::File { hash: *hasher.finalize().as_bytes(), size, mtime_ns })
    }

    fn full(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }
}

impl Seen {
    /// What stat(2) says.
    pub fn of(stat: &Stat) -> Seen {
        Seen {
            dev: stat.st_dev,
            ino: stat.st_ino,
            shared: stat.st_nlink > 1,
            mode: permissions(stat),
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as u32),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }
}

/// What must not differ between the look at a file and the end of its reading.
fn mark(stat: &Stat) -> (u64, u64, i64, i64, u64, i64, u64) {
    let (mtime_nsec, ctime_nsec) = (stat.st_mtime_nsec, stat.st_ctime_nsec);
    (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, mtime_nsec, stat.st_ctime, ctime_nsec)
}

fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

fn open_dir(at: impl rustix::fd::AsFd, name: &OsStr, full: &Path) -> Result<OwnedFd, SealError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty()).map_err(unreadable(full))
}

fn unreadable(path: &Path) -> impl FnOnce(Errno) -> SealError {
    let path = path.to_owned();
    move |why| SealError::Unreadable { path, why }
}

impl From<AtomicError> for SealError {
    fn from(error: AtomicError) -> SealError {
        SealError::Unwritten(error)
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::NoRelease { id } => write!(f, "there is no release {id}"),
            SealError::Special { path, is } => {
                write!(f, "{} is {is}; a release has files, directories and links only", path.display())
            }
            SealError::Changing { path } => {
                write!(
                    f,
                    "{} changed while it was being sealed: is something still building it?",
                    path.display()
                )
            }
            SealError::Damaged { path } => {
                write!(f, "{} is shared with other releases, and something wrote to it", path.display())
            }
            SealError::TooDeep { path } => write!(f, "{} is nested too deeply", path.display()),
            SealError::Unreadable { path, why } => write!(f, "cannot read {}: {why}", path.display()),
            SealError::Unwritten(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SealError {}
