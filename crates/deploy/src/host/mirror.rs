//! Mirror: the far end's copy of the tree, kept from one deploy to the next, so that only what changed is sent.
//!
//! ```text
//! .cutover/received/
//!   tree/     as the near end's tree was; releases are staged from it
//!   index     which state of which file has which content: see [`crate::store::index`]
//! ```
//! A content that the mirror lacks may stand elsewhere here, under another name or in the live release; only what is
//! nowhere is asked for. Whatever was killed or broken off meanwhile leaves a mirror that is merely old: what stands
//! in it is believed by its state alone, and only as long as the machine has not been started anew since, for nothing
//! in it is synced.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use release::atomic::{self, AtomicError};
use release::manifest::{self, Kind};
use release::{App, ReleaseId, live};

use super::list::{Entry, Is};
use crate::stage::create::set_time;
use crate::stage::{now_ns, wait_past};
use crate::store::blob::{Hash, Traits};
use crate::store::index::{self, Fate, Index, Row, Rows, Stamp, time};

/// Why the tree is not there.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Something could not be read or written.
    #[error("cannot {tried} {}: {why}", path.display())]
    Disk {
        /// What was tried.
        tried: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// Its directory or its index could not be made.
    #[error(transparent)]
    State(#[from] AtomicError),
    /// The contents did not all come.
    #[error("not all of the tree came: {0}")]
    Cut(std::io::Error),
    /// What came is not what was promised.
    #[error("{} came damaged", .0.display())]
    Damaged(PathBuf),
}

/// The mirror, compared with the tree it is to be like.
#[derive(Debug)]
pub struct Compared<'e> {
    app: App,
    tree: PathBuf,
    entries: &'e [Entry],
    /// Files that are there, with their state.
    there: Vec<Option<Stamp>>,
    /// Files whose content has to come.
    want: Vec<usize>,
    /// Files whose content stands elsewhere by now or will: from where, to which.
    copies: Vec<(PathBuf, usize)>,
    /// What the tree does not have any more.
    stale: Vec<PathBuf>,
}

/// What was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Where the tree is.
    pub tree: PathBuf,
    /// Files whose content came.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Makes the mirror's directories and links like those of the tree, and finds out which files it lacks.
pub fn compare<'e>(app: &App, entries: &'e [Entry]) -> Result<Compared<'e>, MirrorError> {
    let tree = app.received().join("tree");
    atomic::make_dir(&tree)?;
    let known = boot().and_then(|boot| index::load_at(&path(app)).filter(|index| *index.release() == boot));
    let wanted: HashMap<&[u8], usize> =
        entries.iter().enumerate().map(|(at, entry)| (&entry.path[..], at)).collect();
    let mut found: Vec<Option<Metadata>> = vec![None; entries.len()];
    let mut look = Look { wanted: &wanted, entries, found: &mut found, stale: Vec::new() };
    look.dir(&tree, &mut Vec::new())?;
    let stale = look.stale;
    let mut compared = Compared {
        app: app.clone(),
        there: vec![None; entries.len()],
        want: Vec::new(),
        copies: Vec::new(),
        stale,
        tree,
        entries,
    };
    for (at, (entry, found)) in entries.iter().zip(&found).enumerate() {
        compared.entry(at, entry, found.as_ref(), known.as_ref())?;
    }
    compared.spare(known.as_ref());
    Ok(compared)
}

impl Compared<'_> {
    /// The files whose content has to come, by their place in the list, in this order.
    pub fn want(&self) -> &[usize] {
        &self.want
    }

    /// Takes the contents in, in the order in which they were wanted; then the mirror is like the tree.
    pub fn fill(
        mut self,
        from: &mut impl Read,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Received, MirrorError> {
        let mut received = Received { tree: self.tree.clone(), ..Received::default() };
        let want = std::mem::take(&mut self.want);
        let mut buffer = vec![0; 128 << 10];
        for at in &want {
            received.bytes += self.take(*at, from, &mut buffer)?;
            received.files += 1;
            progress(received.files, want.len() as u64);
        }
        for (source, at) in std::mem::take(&mut self.copies) {
            let mut file = File::open(&source).map_err(disk("read", &source))?;
            self.take(at, &mut file, &mut buffer)?;
        }
        for path in &self.stale {
            remove(path)?;
        }
        self.finish()?;
        Ok(received)
    }

    /// One thing of the tree: made, or found to be there, or put on the list of what is wanted.
    fn entry(
        &mut self,
        at: usize,
        entry: &Entry,
        found: Option<&Metadata>,
        known: Option<&Index>,
    ) -> Result<(), MirrorError> {
        let path = self.path(at);
        match (&entry.is, found) {
            (Is::Dir, None) => fs::create_dir(&path).map_err(disk("make", &path)),
            (Is::Dir, Some(_)) => Ok(()),
            (Is::Link { text }, found) => {
                let text = OsStr::from_bytes(text);
                if found.is_some() {
                    if fs::read_link(&path).is_ok_and(|there| there.as_os_str() == text) {
                        return Ok(());
                    }
                    fs::remove_file(&path).map_err(disk("remove", &path))?;
                }
                rustix::fs::symlink(text, &path).map_err(|why| disk("make", &path)(why.into()))
            }
            (Is::File { .. }, None) => {
                self.want.push(at);
                Ok(())
            }
            (Is::File { size, mtime_ns, hash }, Some(found)) => {
                let stamp = stamp(found);
                let row = known.and_then(|known| known.get(&entry.path)).filter(|row| row.stamp == stamp);
                let same = match row {
                    Some(row) => row.hash == *hash,
                    None => stamp.size == *size && hash_of(&path).is_ok_and(|there| there == *hash),
                };
                if !same {
                    self.want.push(at);
                    return Ok(());
                }
                self.there[at] =
                    Some(match found.mode() & 0o7777 == entry.mode && stamp.mtime_ns == *mtime_ns {
                        true => stamp,
                        false => {
                            let file = File::open(&path).map_err(disk("open", &path))?;
                            dress(&file, &path, entry.mode, *mtime_ns)?
                        }
                    });
                Ok(())
            }
        }
    }

    /// Takes off the list what need not be sent: a content that stands elsewhere here, and one that comes anyway.
    fn spare(&mut self, known: Option<&Index>) {
        if self.want.is_empty() {
            return;
        }
        let mut here: HashMap<Hash, PathBuf> = HashMap::new();
        // What comes first is overwritten by what can be relied on more.
        if let Ok(live) = live::read(&self.app)
            && let Ok(Some(manifest)) = manifest::load(&self.app, &live)
        {
            for (path, entry) in manifest.entries() {
                if let Kind::File { hash, .. } = &entry.kind {
                    here.insert(*hash, live.dir.join(OsStr::from_bytes(path)));
                }
            }
        }
        for path in &self.stale {
            let below = path.strip_prefix(&self.tree).unwrap_or(path).as_os_str().as_bytes();
            let stat = path.symlink_metadata().ok().filter(Metadata::is_file);
            if let (Some(row), Some(stat)) = (known.and_then(|known| known.get(below)), stat)
                && row.stamp == stamp(&stat)
            {
                here.insert(row.hash, path.clone());
            }
        }
        for at in 0..self.entries.len() {
            if let (Some(_), Some(Is::File { hash, .. })) =
                (self.there[at], self.entries.get(at).map(|e| &e.is))
            {
                here.insert(*hash, self.path(at));
            }
        }
        let mut want = Vec::new();
        for at in std::mem::take(&mut self.want) {
            let Some(Is::File { hash, .. }) = self.entries.get(at).map(|entry| &entry.is) else { continue };
            match here.get(hash).filter(|path| path.is_file()) {
                Some(path) => self.copies.push((path.clone(), at)),
                None => {
                    here.insert(*hash, self.path(at));
                    want.push(at);
                }
            }
        }
        self.want = want;
    }

    /// Writes a file anew from what comes.
    fn take(&mut self, at: usize, from: &mut impl Read, buffer: &mut [u8]) -> Result<u64, MirrorError> {
        let path = self.path(at);
        let Some(Entry { mode, is: Is::File { size, mtime_ns, hash }, .. }) = self.entries.get(at) else {
            return Ok(0);
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(disk("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(disk("make", &path))?;
        let (mut left, mut hasher) = (*size, blake3::Hasher::new());
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = match from.read(buffer.get_mut(..most).unwrap_or_default()) {
                Ok(0) => return Err(MirrorError::Cut(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(MirrorError::Cut(error)),
            };
            let bytes = buffer.get(..n).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes).map_err(disk("write", &path))?;
            left = left.saturating_sub(n as u64);
        }
        if hasher.finalize().as_bytes() != hash {
            return Err(MirrorError::Damaged(path));
        }
        self.there[at] = Some(dress(&file, &path, *mode, *mtime_ns)?);
        Ok(*size)
    }

    /// Gives directories their modes and writes down what stands here.
    fn finish(&self) -> Result<(), MirrorError> {
        let from_ns = now_ns();
        let mut rows = Rows::default();
        for (at, entry) in self.entries.iter().enumerate() {
            match (&entry.is, self.there[at]) {
                (Is::Dir, _) => {
                    let path = self.path(at);
                    // Its owner may always write to it: the next deploy has to.
                    let mode = entry.mode | 0o700;
                    let now = path.symlink_metadata().map_err(disk("read", &path))?.mode() & 0o7777;
                    if now != mode {
                        fs::set_permissions(&path, Permissions::from_mode(mode))
                            .map_err(disk("write", &path))?;
                    }
                }
                (Is::File { mtime_ns, hash, .. }, Some(stamp)) => {
                    let traits = Traits { mode: entry.mode, uid: 0, gid: 0, mtime_ns: *mtime_ns };
                    rows.add(&entry.path, &Row { stamp, traits, fate: Fate::Private, hash: *hash });
                }
                (Is::File { .. }, None) | (Is::Link { .. }, _) => {}
            }
        }
        let until_ns = now_ns();
        if let Some(boot) = boot() {
            index::save_at(&path(&self.app), &boot, (from_ns, until_ns), vec![rows])?;
        }
        // A hook that changes a file now must not do so within the tick in which it was received.
        wait_past(until_ns);
        Ok(())
    }

    fn path(&self, at: usize) -> PathBuf {
        let below = self.entries.get(at).map_or(&[][..], |entry| &entry.path);
        self.tree.join(OsStr::from_bytes(below))
    }
}

/// Looks at what stands in the mirror.
struct Look<'l> {
    wanted: &'l HashMap<&'l [u8], usize>,
    entries: &'l [Entry],
    found: &'l mut Vec<Option<Metadata>>,
    stale: Vec<PathBuf>,
}

impl Look<'_> {
    fn dir(&mut self, dir: &Path, below: &mut Vec<u8>) -> Result<(), MirrorError> {
        for entry in fs::read_dir(dir).map_err(disk("list", dir))? {
            let entry = entry.map_err(disk("list", dir))?;
            let stat = entry.metadata().map_err(disk("read", dir))?;
            let (name, path, len) = (entry.file_name(), entry.path(), below.len());
            if len > 0 {
                below.push(b'/');
            }
            below.extend_from_slice(name.as_bytes());
            match self.wanted.get(&below[..]).and_then(|at| Some((*at, self.entries.get(*at)?))) {
                Some((at, entry)) if same_kind(&entry.is, &stat) => {
                    let is_dir = stat.is_dir();
                    self.found[at] = Some(stat);
                    if is_dir {
                        self.dir(&path, below)?;
                    }
                }
                // Something else is to stand here.
                Some(_) => remove(&path)?,
                None => self.stale.push(path),
            }
            below.truncate(len);
        }
        Ok(())
    }
}

fn same_kind(is: &Is, stat: &Metadata) -> bool {
    match is {
        Is::Dir => stat.is_dir(),
        Is::File { .. } => stat.is_file(),
        Is::Link { .. } => stat.is_symlink(),
    }
}

/// Gives a file its mode and time; gives its state then.
fn dress(file: &File, path: &Path, mode: u32, mtime_ns: i64) -> Result<Stamp, MirrorError> {
    file.set_permissions(Permissions::from_mode(mode)).map_err(disk("write", path))?;
    set_time(file, mtime_ns).map_err(|why| disk("write", path)(why.into()))?;
    file.metadata().map(|stat| stamp(&stat)).map_err(disk("read", path))
}

fn stamp(stat: &Metadata) -> Stamp {
    Stamp {
        dev: stat.dev(),
        ino: stat.ino(),
        size: stat.size(),
        mtime_ns: time(stat.mtime(), stat.mtime_nsec()),
        ctime_ns: time(stat.ctime(), stat.ctime_nsec()),
    }
}

fn hash_of(path: &Path) -> std::io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(*hasher.finalize().as_bytes())
}

fn remove(path: &Path) -> Result<(), MirrorError> {
    let is_dir = path.symlink_metadata().map_err(disk("read", path))?.is_dir();
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(disk("remove", path))
}

fn path(app: &App) -> PathBuf {
    app.received().join("index")
}

/// Which start of the machine this is, in the place of a release's name. Where that cannot be told, no index is
/// written, and none believed.
fn boot() -> Option<ReleaseId> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    ReleaseId::parse(id.trim()).ok()
}

fn disk(tried: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> MirrorError + use<> {
    let path = path.to_owned();
    move |why| MirrorError::Disk { tried, path, why }
}
