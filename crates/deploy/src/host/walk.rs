//! Walk: what the tree here holds; what was read before and did not change is not read again.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use release::{App, ReleaseId};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::list::{Entry, Is};
use crate::stage::StageError;
use crate::stage::content::read_hash;
use crate::stage::create::open_below;
use crate::stage::exclude::Exclude;
use crate::stage::list::each_in;
use crate::stage::traits::mode_of;
use crate::stage::tree::{own_dirs, special};
use crate::stage::{now_ns, open_tree};
use crate::store::blob::Traits;
use crate::store::index::{self, Fate, Index, Row, Rows, Stamp};

/// A tree, looked at.
#[derive(Debug)]
pub struct Walked {
    /// What it holds; parents come before what is in them.
    pub entries: Vec<Entry>,
    top: OwnedFd,
}

/// Why a content was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The tree could not be read, or is not what it was.
    #[error("{0}")]
    Tree(StageError),
    /// It did not go through.
    #[error("{0}")]
    Wire(std::io::Error),
}

/// Lists the tree at `from`. `app` is where this end keeps what it remembers; nothing of it is listed.
pub fn walk(app: &App, exclude: &Exclude, from: &Path) -> Result<Walked, StageError> {
    let top = open_tree(from)?;
    let from_ns = now_ns();
    let mut walker = Walker {
        from,
        exclude,
        avoid: own_dirs(app),
        index: index::load(app),
        rows: Rows::default(),
        entries: Vec::new(),
    };
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        walker.directory(&top, path, &mut todo)?;
    }
    let Walker { rows, entries, .. } = walker;
    remember(app, (from_ns, now_ns()), rows)?;
    Ok(Walked { entries, top })
}

/// Writes down what was read. Only a help: without it everything is read again.
fn remember(app: &App, span: (i64, i64), rows: Rows) -> Result<(), StageError> {
    let Ok(sent) = ReleaseId::parse("sent") else { return Ok(()) };
    release::atomic::make_dir(&app.store())?;
    index::save(app, &sent, span, vec![rows])?;
    Ok(())
}

impl Walked {
    /// Writes the content of a file to `to`. Fails if it is not what was listed.
    pub fn send(&self, from: &Path, entry: &Entry, to: &mut impl Write) -> Result<(), SendError> {
        let Is::File { size, hash, .. } = &entry.is else { return Ok(()) };
        let path = || from.join(OsStr::from_bytes(&entry.path));
        let changed = || SendError::Tree(StageError::Changing { path: path() });
        let failed = |why| SendError::Tree(StageError::Unreadable { path: path(), why });
        let unreadable = |error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = open_below(&self.top, &entry.path, flags).map_err(|why| match why {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => changed(),
            why => failed(why),
        })?;
        let mut file = File::from(file);
        let (mut left, mut hasher, mut buffer) = (*size, blake3::Hasher::new(), vec![0; 128 << 10]);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = file.read(buffer.get_mut(..most).unwrap_or_default()).map_err(unreadable)?;
            if n == 0 {
                return Err(changed());
            }
            let bytes = buffer.get(..n).unwrap_or_default();
            hasher.update(bytes);
            to.write_all(bytes).map_err(SendError::Wire)?;
            left = left.saturating_sub(n as u64);
        }
        if hasher.finalize().as_bytes() == hash { Ok(()) } else { Err(changed()) }
    }
}

struct Walker<'w> {
    from: &'w Path,
    exclude: &'w Exclude,
    avoid: Vec<(u64, u64)>,
    index: Option<Index>,
    rows: Rows,
    entries: Vec<Entry>,
}

impl Walker<'_> {
    fn directory(
        &mut self,
        top: &OwnedFd,
        mut path: Vec<u8>,
        todo: &mut Vec<Vec<u8>>,
    ) -> Result<(), StageError> {
        let dir = open_below(top, &path, OFlags::RDONLY | OFlags::DIRECTORY);
        let dir = dir.map_err(|why| self.unreadable(&path, why))?;
        let from = self.from;
        each_in(
            &dir,
            &mut path,
            |path, why| unreadable(from, path, why),
            |name, path| match self.exclude.covers(path, name.to_bytes()) {
                true => Ok(()),
                false => self.entry(&dir, name, path, todo),
            },
        )
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        path: &[u8],
        todo: &mut Vec<Vec<u8>>,
    ) -> Result<(), StageError> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|why| self.unreadable(path, why))?;
        let (mode, is) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if self.avoid.contains(&(stat.st_dev, stat.st_ino)) => return Ok(()),
            FileType::Directory => {
                todo.push(path.to_vec());
                (mode_of(&stat), Is::Dir)
            }
            FileType::RegularFile => (mode_of(&stat), self.file(dir, name, path, &stat)?),
            FileType::Symlink => {
                let text = readlinkat(dir, name, Vec::new()).map_err(|why| self.unreadable(path, why))?;
                (0, Is::Link { text: text.into_bytes() })
            }
            other @ (FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown) => {
                let path = self.from.join(OsStr::from_bytes(path));
                return Err(StageError::Special { path, is: special(other) });
            }
        };
        self.entries.push(Entry { path: path.to_vec(), mode, is });
        Ok(())
    }

    fn file(&mut self, dir: &OwnedFd, name: &CStr, path: &[u8], stat: &Stat) -> Result<Is, StageError> {
        let stamp = Stamp::of(stat);
        let hash = match self.index.as_ref().and_then(|index| index.unchanged(path, &stamp)) {
            Some(row) => row.hash,
            None => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = openat(dir, name, flags, Mode::empty());
                let hash = file.and_then(|file| read_hash(&file));
                hash.map_err(|why| self.unreadable(path, why))?
            }
        };
        let traits = Traits { mode: mode_of(stat), uid: 0, gid: 0, mtime_ns: stamp.mtime_ns };
        self.rows.add(path, &Row { stamp, traits, fate: Fate::Private, hash });
        Ok(Is::File { size: stamp.size, mtime_ns: stamp.mtime_ns, hash })
    }

    fn unreadable(&self, path: &[u8], why: Errno) -> StageError {
        unreadable(self.from, path, why)
    }
}

fn unreadable(from: &Path, path: &[u8], why: Errno) -> StageError {
    let path = from.join(OsStr::from_bytes(path));
    match why {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => StageError::Changing { path },
        why => StageError::Unreadable { path, why },
    }
}
