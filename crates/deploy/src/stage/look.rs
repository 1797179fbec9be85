//! Look: what staging would do, without doing it; for `cutover plan`.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::manifest::{self, Entry, Kind, Manifest};
use release::{App, live};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::pack;
use crate::stage::content::read_hash;
use crate::stage::create::open_below;
use crate::stage::list::each_in;
use crate::stage::rules::Rules;
use crate::stage::traits::mode_of;
use crate::stage::tree::{own_dirs, special};
use crate::stage::{StageError, open_tree};
use crate::store::blob::Hash;
use crate::store::index::{self, Index, Stamp};

/// What would be different from the release that is live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Files and links that it does not have.
    pub added: Vec<Change>,
    /// Those with another content, mode or target.
    pub changed: Vec<Change>,
    /// Those that only it has.
    pub removed: Vec<Change>,
    /// Files that stay as they are.
    pub same: u64,
    /// Bytes whose content it does not have.
    pub bytes_new: u64,
    /// Links that may not lead where somebody thinks. They are kept as they are.
    pub oddities: Vec<Oddity>,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Below the release.
    pub path: PathBuf,
    /// The length of the file, as it would be or, if it is removed, as it was; 0 of links.
    pub bytes: u64,
}

/// A symbolic link worth a second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// It is absolute: it leads to the same place from every release.
    Absolute {
        /// The link.
        path: PathBuf,
        /// Its text.
        target: PathBuf,
    },
    /// It leads nowhere, as seen from the source.
    Dangling {
        /// The link.
        path: PathBuf,
        /// Its text.
        target: PathBuf,
    },
    /// It leads to itself.
    Looping {
        /// The link.
        path: PathBuf,
        /// Its text.
        target: PathBuf,
    },
}

/// Compares the tree at `from` with the release that is live. Without one, everything is added.
pub fn look(app: &App, rules: &Rules, from: &Path) -> Result<Preview, StageError> {
    let source = open_tree(from)?;
    let live = live::read(app).ok().and_then(|live| manifest::load(app, &live).ok().flatten());
    let shared: Vec<&[u8]> =
        rules.shared_dirs.iter().chain(&rules.shared_files).map(|path| path.as_os_str().as_bytes()).collect();
    let mut looker = Looker {
        rules,
        from,
        source: &source,
        shared,
        avoid: own_dirs(app),
        index: index::load(app),
        had: live.as_ref().map(contents).unwrap_or_default(),
        live: live.as_ref(),
        met: HashSet::new(),
        preview: Preview::default(),
    };
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        looker.directory(path, &mut todo)?;
    }
    let Looker { mut preview, met, shared, .. } = looker;
    for (path, entry) in live.iter().flat_map(|live| live.entries()) {
        let bytes = match &entry.kind {
            Kind::Dir => continue,
            Kind::File { size, .. } => *size,
            Kind::Link { .. } => 0,
        };
        // What staging makes beside a file is not taken away: it comes and goes with the file.
        let made = pack::is_sibling(&rules.precompress, path, |of| met.contains(of));
        if !met.contains(path) && !shared.contains(&path) && !made {
            preview.removed.push(Change { path: path_of(path), bytes });
        }
    }
    for list in [&mut preview.added, &mut preview.changed, &mut preview.removed] {
        list.sort();
    }
    Ok(preview)
}

struct Looker<'l> {
    rules: &'l Rules,
    from: &'l Path,
    source: &'l OwnedFd,
    shared: Vec<&'l [u8]>,
    avoid: Vec<(u64, u64)>,
    index: Option<Index>,
    live: Option<&'l Manifest>,
    /// Contents that the live release has.
    had: HashSet<Hash>,
    /// Paths that it has and the source has too.
    met: HashSet<Vec<u8>>,
    preview: Preview,
}

impl Looker<'_> {
    fn directory(&mut self, mut path: Vec<u8>, todo: &mut Vec<Vec<u8>>) -> Result<(), StageError> {
        let dir = open_below(self.source, &path, OFlags::RDONLY | OFlags::DIRECTORY);
        let dir = dir.map_err(|why| self.unreadable(&path, why))?;
        let from = self.from;
        let failed =
            |path: &[u8], why| StageError::Unreadable { path: from.join(OsStr::from_bytes(path)), why };
        each_in(&dir, &mut path, failed, |name, path| {
            if self.rules.exclude.covers(path, name.to_bytes()) || self.shared.contains(&path) {
                return Ok(());
            }
            self.entry(&dir, name, path, todo)
        })
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        path: &[u8],
        todo: &mut Vec<Vec<u8>>,
    ) -> Result<(), StageError> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|why| self.unreadable(path, why))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if self.avoid.contains(&(stat.st_dev, stat.st_ino)) => {}
            FileType::Directory => todo.push(path.to_vec()),
            FileType::RegularFile => self.file(dir, name, path, &stat)?,
            FileType::Symlink => self.link(dir, name, path)?,
            other @ (FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown) => {
                let path = self.from.join(OsStr::from_bytes(path));
                return Err(StageError::Special { path, is: special(other) });
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &OwnedFd, name: &CStr, path: &[u8], stat: &Stat) -> Result<(), StageError> {
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
        if !self.had.contains(&hash) {
            self.preview.bytes_new += stamp.size;
        }
        let mode = mode_of(stat);
        self.compare(path, stamp.size, |entry| {
            let same = matches!(&entry.kind, Kind::File { hash: other, .. } if *other == hash);
            same && entry.mode == mode
        });
        Ok(())
    }

    fn link(&mut self, dir: &OwnedFd, name: &CStr, path: &[u8]) -> Result<(), StageError> {
        let text = readlinkat(dir, name, Vec::new()).map_err(|why| self.unreadable(path, why))?;
        let text = text.as_bytes();
        let (link, target) = (path_of(path), path_of(text));
        if target.is_absolute() {
            self.preview.oddities.push(Oddity::Absolute { path: link, target });
        } else {
            match statat(dir, name, AtFlags::empty()) {
                Ok(_) => {}
                Err(Errno::LOOP) => self.preview.oddities.push(Oddity::Looping { path: link, target }),
                Err(_) => self.preview.oddities.push(Oddity::Dangling { path: link, target }),
            }
        }
        self.compare(path, 0, |entry| matches!(&entry.kind, Kind::Link { target } if **target == *text));
        Ok(())
    }

    /// Puts a path into the list it belongs to.
    fn compare(&mut self, path: &[u8], bytes: u64, same: impl FnOnce(&Entry) -> bool) {
        let change = || Change { path: path_of(path), bytes };
        match self.live.and_then(|live| live.get(path)) {
            None | Some(Entry { kind: Kind::Dir, .. }) => self.preview.added.push(change()),
            Some(entry) => {
                self.met.insert(path.to_vec());
                if same(entry) {
                    self.preview.same += 1;
                } else {
                    self.preview.changed.push(change());
                }
            }
        }
    }

    fn unreadable(&self, path: &[u8], why: Errno) -> StageError {
        StageError::Unreadable { path: self.from.join(OsStr::from_bytes(path)), why }
    }
}

/// Every content that a release has.
fn contents(manifest: &Manifest) -> HashSet<Hash> {
    let hash = |entry: &Entry| match &entry.kind {
        Kind::File { hash, .. } => Some(*hash),
        Kind::Dir | Kind::Link { .. } => None,
    };
    manifest.entries().filter_map(|(_, entry)| hash(entry)).collect()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
