//! Manifest: the seal of a release. What is in it, by path.
//!
//! - [`sealed`]: the proof that it is whole, and of which tree; `text`: how it is written

mod sealed;
mod text;

use crate::app::App;
use crate::id::ReleaseId;
use crate::live::Live;
use crate::sum::sum;
use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "seal")]
pub(crate) use sealed::nanoseconds;
pub use sealed::{Sealed, TreeId, find, sealed};
#[cfg(any(test, feature = "seal"))]
pub(crate) use text::write;

#[cfg(feature = "seal")]
pub use crate::seal::{Known, SealError, Seen, seal, seal_known};

const VACANT: u32 = u32::MAX;

/// What a sealed release holds. About a hundred bytes of memory per entry; lookups take one hash and one comparison.
#[derive(Clone)]
pub struct Manifest {
    id: ReleaseId,
    tree: TreeId,
    paths: Box<[u8]>,
    rows: Box<[Row]>,
    /// Open addressing, at most half full: indexes into `rows`.
    table: Box<[u32]>,
}

#[derive(Clone, Debug)]
struct Row {
    at: u32,
    len: u32,
    entry: Entry,
}

/// One file, directory or link of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The permission bits, as in stat(2), without the type.
    pub mode: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// BLAKE3 of its content.
        hash: [u8; 32],
        /// Its length in bytes.
        size: u64,
        /// When it was last written, in nanoseconds since 1970.
        mtime_ns: i64,
    },
    /// A directory.
    Dir,
    /// A symbolic link.
    Link {
        /// Its text.
        target: Box<[u8]>,
    },
}

/// Why there is no manifest to rely on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// There is no release of this name.
    NoRelease {
        /// The release.
        id: ReleaseId,
    },
    /// The release was never sealed.
    Unsealed {
        /// The release.
        id: ReleaseId,
    },
    /// The manifest or the release could not be read.
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// Its end is missing or its sum is wrong.
    Torn,
    /// It is not written as it should be.
    Malformed {
        /// What was wrong.
        what: &'static str,
        /// In which entry, counted from 0.
        entry: usize,
    },
    /// It was written for another tree than stands there now.
    OtherTree {
        /// The release.
        id: ReleaseId,
    },
}

/// The manifest of the release that is live; `None` if it was never sealed.
pub fn load(app: &App, live: &Live) -> Result<Option<Manifest>, ManifestError> {
    load_at(app, &live.id, &live.dir)
}

/// The manifest of the release of this name at `dir`; `None` if it was never sealed.
pub fn load_at(app: &App, id: &ReleaseId, dir: &Path) -> Result<Option<Manifest>, ManifestError> {
    let Some(manifest) = read(app, id)? else { return Ok(None) };
    let tree = TreeId::of(dir).map_err(|why| ManifestError::Unreadable { path: dir.to_owned(), why })?;
    if manifest.id != *id || manifest.tree != tree {
        return Err(ManifestError::OtherTree { id: id.clone() });
    }
    Ok(Some(manifest))
}

/// The manifest that was written for the release of this name, whatever stands in its tree now; `None` if there is
/// none. What a release that lost its slot consisted of.
pub fn recorded(app: &App, id: &ReleaseId) -> Result<Option<Manifest>, ManifestError> {
    let Some(manifest) = read(app, id)? else { return Ok(None) };
    if manifest.id != *id {
        return Err(ManifestError::OtherTree { id: id.clone() });
    }
    Ok(Some(manifest))
}

/// Reads a manifest.
fn read(app: &App, id: &ReleaseId) -> Result<Option<Manifest>, ManifestError> {
    let path = app.manifest(id);
    match std::fs::read(&path) {
        Ok(bytes) => Manifest::parse(&bytes).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let why = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Err(ManifestError::Unreadable { path, why })
        }
    }
}

impl Manifest {
    /// Takes the text of a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut fields = text::Fields::of(bytes)?;
        let id = std::str::from_utf8(fields.next()?).ok().and_then(|id| ReleaseId::parse(id).ok());
        let id = id.ok_or_else(|| fields.malformed("the release's name"))?;
        let tree = TreeId { ino: fields.number("the inode")?, born_ns: fields.number("the time of birth")? };
        let count: usize = fields.number("the count")?;
        // An entry has seven NULs at least, so a greater count is a lie: do not reserve memory for it.
        if count > bytes.len() / 7 || bytes.len() > VACANT as usize {
            return Err(fields.malformed("the count"));
        }
        let mut rows = Vec::with_capacity(count);
        let mut paths = Vec::new();
        for index in 0..count {
            fields.entry = index;
            let path = fields.next()?;
            if !text::ordinary(path) {
                return Err(fields.malformed("the path is not a plain relative one"));
            }
            if index > 0 && last_path(&rows, &paths) >= path {
                return Err(fields.malformed("the paths are not sorted"));
            }
            let entry = fields.entry()?;
            rows.push(Row { at: narrow(paths.len()), len: narrow(path.len()), entry });
            paths.extend_from_slice(path);
        }
        if !fields.is_over() {
            return Err(fields.malformed("something follows the last entry"));
        }
        let table = table(&rows, &paths);
        Ok(Manifest { id, tree, paths: paths.into(), rows: rows.into(), table })
    }

    /// The release that was sealed.
    pub fn id(&self) -> &ReleaseId {
        &self.id
    }

    /// The tree that was sealed.
    pub fn tree(&self) -> TreeId {
        self.tree
    }

    /// What stands at this path: relative to the release, without `.`, `..` or doubled slashes; the release itself
    /// is the empty path. Links on the way are not followed.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        let mask = self.table.len().wrapping_sub(1);
        let mut slot = spot(path, mask);
        loop {
            let row = self.rows.get(*self.table.get(slot)? as usize)?;
            if path_of(row, &self.paths) == path {
                return Some(&row.entry);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Every entry with its path, sorted by path.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&[u8], &Entry)> {
        self.rows.iter().map(|row| (path_of(row, &self.paths), &row.entry))
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest").field("id", &self.id).field("tree", &self.tree).finish_non_exhaustive()
    }
}

fn last_path<'a>(rows: &[Row], paths: &'a [u8]) -> &'a [u8] {
    rows.last().map_or(b"", |row| path_of(row, paths))
}

fn path_of<'a>(row: &Row, paths: &'a [u8]) -> &'a [u8] {
    paths.get(row.at as usize..row.at as usize + row.len as usize).unwrap_or_default()
}

fn table(rows: &[Row], paths: &[u8]) -> Box<[u32]> {
    let mut table = vec![VACANT; (rows.len() * 2).next_power_of_two().max(2)].into_boxed_slice();
    let mask = table.len() - 1;
    for (index, row) in rows.iter().enumerate() {
        let mut slot = spot(path_of(row, paths), mask);
        while let Some(taken) = table.get_mut(slot) {
            if *taken == VACANT {
                *taken = narrow(index);
                break;
            }
            slot = (slot + 1) & mask;
        }
    }
    table
}

fn spot(path: &[u8], mask: usize) -> usize {
    sum(path) as usize & mask
}

/// Lengths were checked against [`VACANT`] before.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(VACANT)
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::NoRelease { id } => write!(f, "there is no release {id}"),
            ManifestError::Unsealed { id } => {
                write!(
                    f,
                    "release {id} is not sealed, so it may be half built: `cutover seal {id}` if it is whole"
                )
            }
            ManifestError::Unreadable { path, why } => write!(f, "cannot read {}: {why}", path.display()),
            ManifestError::Torn => {
                write!(f, "the manifest is damaged: its end is missing or its sum is wrong")
            }
            ManifestError::Malformed { what, entry } => {
                write!(f, "the manifest is malformed at entry {entry}: {what}")
            }
            ManifestError::OtherTree { id } => write!(
                f,
                "the directory of release {id} was replaced since it was sealed: `cutover seal {id}` if it is whole"
            ),
        }
    }
}

impl std::error::Error for ManifestError {}

#[cfg(test)]
mod tests;
