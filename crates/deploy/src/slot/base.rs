//! Base: what stands in a slot now: every file with its content's hash, every link and directory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use release::manifest::{Kind, Manifest};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::stage::StageError;
use crate::stage::content::read_hash;
use crate::stage::create::open_below;
use crate::stage::traits::mode_of;
use crate::store::blob::{Hash, Traits};
use crate::store::index::{Fate, Row, Stamp, time};

const SECOND: i64 = 1_000_000_000;

/// What stands in a slot. A new slot has nothing.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// Regular files, by path.
    pub files: BTreeMap<Vec<u8>, Stood>,
    /// Symbolic links and their texts.
    pub links: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Directories, but for the slot itself.
    pub dirs: BTreeSet<Vec<u8>>,
    /// What a release cannot have, but an application may have made: sockets and the like.
    pub others: BTreeSet<Vec<u8>>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Stood {
    pub hash: Hash,
    pub traits: Traits,
    pub ino: u64,
    pub ctime_ns: i64,
    /// The next release has it as it is.
    kept: AtomicBool,
}

impl Base {
    /// Looks at all that stands in a slot. Of a file that is as `known` says, and that nothing touched since that was
    /// written (`at_ns`), the content is not read.
    pub fn scan(top: &OwnedFd, path: &Path, known: Option<(&Manifest, i64)>) -> Result<Base, StageError> {
        let mut base = Base::default();
        let mut todo = vec![Vec::new()];
        while let Some(dir) = todo.pop() {
            let full = below(path, &dir);
            let open =
                open_below(top, &dir, OFlags::RDONLY | OFlags::DIRECTORY).map_err(unreadable(&full))?;
            for entry in Dir::read_from(&open).map_err(unreadable(&full))? {
                let entry = entry.map_err(unreadable(&full))?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let at = if dir.is_empty() { name.to_vec() } else { [&dir, &b"/"[..], name].concat() };
                let full = below(path, &at);
                let stat = statat(&open, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable(&full))?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => {
                        let stood = Stood::of(&open, name, &stat, &at, known).map_err(unreadable(&full))?;
                        base.files.insert(at, stood);
                    }
                    FileType::Symlink => {
                        let text = readlinkat(&open, name, Vec::new()).map_err(unreadable(&full))?;
                        base.links.insert(at, text.into_bytes());
                    }
                    FileType::Directory => {
                        base.dirs.insert(at.clone());
                        todo.push(at);
                    }
                    FileType::Fifo
                    | FileType::Socket
                    | FileType::CharacterDevice
                    | FileType::BlockDevice
                    | FileType::Unknown => {
                        base.others.insert(at);
                    }
                }
            }
        }
        Ok(base)
    }

    /// Keeps the file at a path as it is, if it has this content, mode and owner; says what it has then.
    pub fn keep(&self, path: &[u8], hash: &Hash, wanted: &Traits) -> Option<Traits> {
        let stood = self.files.get(path)?;
        let same =
            (stood.traits.mode, stood.traits.uid, stood.traits.gid) == (wanted.mode, wanted.uid, wanted.gid);
        if !same || stood.hash != *hash {
            return None;
        }
        stood.kept.store(true, Ordering::Relaxed);
        Some(stood.traits)
    }

    /// The row of a file that is kept.
    pub fn kept_row(&self, path: &[u8], hash: &Hash, wanted: &Traits, stamp: Stamp) -> Option<Row> {
        let traits = self.keep(path, hash, wanted)?;
        Some(Row { stamp, traits, fate: Fate::Kept, hash: *hash })
    }

    /// Forgets what was to be kept: it is begun anew.
    pub fn keep_nothing(&self) {
        for stood in self.files.values() {
            stood.kept.store(false, Ordering::Relaxed);
        }
    }

    /// The time that a file gets which takes another's place: later by a second at least, for PHP compares seconds.
    pub fn later(&self, path: &[u8], mtime_ns: i64) -> i64 {
        match self.files.get(path) {
            Some(stood) => {
                let next = stood.traits.mtime_ns.div_euclid(SECOND).saturating_add(1).saturating_mul(SECOND);
                mtime_ns.max(next)
            }
            None => mtime_ns,
        }
    }

    /// The files that are not kept.
    pub fn displaced(&self) -> impl Iterator<Item = (&Vec<u8>, &Stood)> {
        self.files.iter().filter(|(_, stood)| !stood.is_kept())
    }
}

impl Stood {
    fn of(
        dir: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        path: &[u8],
        known: Option<(&Manifest, i64)>,
    ) -> Result<Stood, Errno> {
        let mtime_ns = time(stat.st_mtime, stat.st_mtime_nsec as i64);
        let ctime_ns = time(stat.st_ctime, stat.st_ctime_nsec as i64);
        let told = known.filter(|(_, at_ns)| ctime_ns <= *at_ns).and_then(|(manifest, _)| {
            let Kind::File { hash, size, mtime_ns: then } = &manifest.get(path)?.kind else { return None };
            (*size == stat.st_size as u64 && *then == mtime_ns).then_some(*hash)
        });
        let hash = match told {
            Some(hash) => hash,
            None => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = openat(dir, name, flags, Mode::empty())?;
                let hash = read_hash(&file)?;
                let after = fstat(&file)?;
                if (after.st_size, after.st_mtime, after.st_mtime_nsec)
                    != (stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
                {
                    return Err(Errno::BUSY);
                }
                hash
            }
        };
        let traits = Traits { mode: mode_of(stat), uid: stat.st_uid, gid: stat.st_gid, mtime_ns };
        Ok(Stood { hash, traits, ino: stat.st_ino, ctime_ns, kept: AtomicBool::new(false) })
    }

    /// Whether the next release has it as it is.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }
}

pub(super) fn below(top: &Path, path: &[u8]) -> PathBuf {
    top.join(OsStr::from_bytes(path))
}

/// The open directory that a path stands in, and its name there.
pub(super) fn open_above<'p>(top: &OwnedFd, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8]), Errno> {
    let split = path.iter().rposition(|byte| *byte == b'/');
    let dir = path.get(..split.unwrap_or(0)).unwrap_or_default();
    let name = path.get(split.map_or(0, |at| at + 1)..).unwrap_or_default();
    Ok((open_below(top, dir, OFlags::RDONLY | OFlags::DIRECTORY)?, name))
}

pub(super) fn unreadable(path: &Path) -> impl FnOnce(Errno) -> StageError {
    let path = path.to_owned();
    move |why| StageError::Unreadable { path, why }
}
