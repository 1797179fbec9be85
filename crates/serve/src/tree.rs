//! Tree: the files of one pinned release, and the shared ones it links to.
//!
//! ```text
//!   path -> seal (no system call)  -+-> Place (no links in it) -> beneath::open (follows nothing)
//!        -> disk, if there is none -+
//!           a link on the way: walk::follow, only within the release and into shared/
//! ```

pub mod beneath;
pub mod ground;
pub mod place;
mod walk;

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Says;
use release::Lease;
use release::manifest::{Kind, Manifest};
use rustix::fs::{FileType, Stat, fstat};

use crate::file::cache::Entries;
use crate::file::held;
use crate::file::memory::Memory;
use crate::tree::beneath::Want;
use crate::tree::ground::GroundError;
use crate::tree::place::{Miss, Origin, Place};

pub use crate::tree::ground::Ground;

/// The largest cutover.toml that is read.
const OWN_BYTES: u64 = 1024 * 1024;

/// A race with somebody who moves links about is tried so often.
const ATTEMPTS: usize = 8;

/// What a request's path is resolved against. Made once per pin; holds its own descriptors.
pub struct Tree {
    release: Ground,
    shared: Option<Ground>,
    /// The docroot below the release, without links.
    docroot: Vec<u8>,
    /// The same as a canonical path.
    docroot_path: Arc<Path>,
    seal: Option<Manifest>,
    says: Arc<Says>,
    execute_shared: bool,
    pub(crate) entries: Entries,
    pub(crate) memory: Arc<Memory>,
}

/// Why a release cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The descriptor of the release could not be had.
    #[error(transparent)]
    Hold(#[from] GroundError),
    /// The docroot is not there, or no directory, or outside of the release.
    #[error("cannot serve the docroot `{docroot}` of {release}: {why}")]
    Docroot {
        /// As configured.
        docroot: PathBuf,
        /// The release.
        release: PathBuf,
        /// What was found instead.
        why: Miss,
    },
}

/// Something that was found.
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) what: What,
}

/// What it is.
pub(crate) enum What {
    Dir,
    /// A file, as the seal tells it. It was not looked at.
    Sealed(SealedFile),
    /// A file, opened and looked at just now.
    Open(File, Stat),
    /// A file that is there; it was not opened for reading.
    Seen,
}

/// A file of a sealed release.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedFile {
    pub(crate) hash: [u8; 32],
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
}

impl Tree {
    /// The tree of a lease: `seal` from [`release::manifest::load`], `shared` from [`Ground::shared`].
    /// The docroot that the release says lies below what the link names.
    pub fn new(
        lease: &Lease,
        shared: Option<Ground>,
        seal: Option<Manifest>,
        says: Arc<Says>,
        execute_shared: bool,
        memory: Arc<Memory>,
    ) -> Result<Tree, TreeError> {
        let docroot = lease.live().below.join(&says.docroot);
        let release = Ground::release(lease)?;
        let mut tree = Tree {
            release,
            shared,
            docroot: Vec::new(),
            docroot_path: Arc::from(Path::new("")),
            seal,
            says,
            execute_shared,
            entries: Entries::default(),
            memory,
        };
        match tree.directory(docroot.as_os_str().as_bytes()) {
            Ok(place) => {
                tree.docroot_path = tree.release.below(&place.path).into();
                tree.docroot = place.path;
            }
            Err(why) => {
                let release = tree.release.path().to_owned();
                return Err(TreeError::Docroot { docroot, release, why });
            }
        }
        Ok(tree)
    }

    /// A directory of the release itself.
    fn directory(&self, path: &[u8]) -> Result<Place, Miss> {
        let found = self.find_in_release(path, Want::Presence)?;
        match (found.place.origin, found.what) {
            (Origin::Release, What::Dir) => Ok(found.place),
            (Origin::Shared, _) => Err(Miss::Leaves),
            (Origin::Release, What::Sealed(_) | What::Open(..) | What::Seen) => Err(Miss::BelowFile),
        }
    }

    /// How the release wants to be served.
    pub fn says(&self) -> &Says {
        &self.says
    }

    /// The docroot's path: canonical, and of this release alone.
    pub fn docroot(&self) -> &Arc<Path> {
        &self.docroot_path
    }

    /// The release's canonical path.
    pub fn root(&self) -> &Path {
        self.release.path()
    }

    /// Whether the release is sealed, so that its files cannot change.
    pub fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    pub(crate) fn executes_shared(&self) -> bool {
        self.execute_shared
    }

    pub(crate) fn seal(&self) -> Option<&Manifest> {
        self.seal.as_ref()
    }

    pub(crate) fn ground(&self, origin: Origin) -> Result<&Ground, Miss> {
        match origin {
            Origin::Release => Ok(&self.release),
            Origin::Shared => self.shared.as_ref().ok_or(Miss::Leaves),
        }
    }

    /// What the seal says about the file at this path of the release.
    pub(crate) fn sealed(&self, path: &[u8]) -> Option<SealedFile> {
        match self.seal.as_ref()?.get(path)?.kind {
            Kind::File { hash, size, mtime_ns } => Some(SealedFile { hash, size, mtime_ns }),
            Kind::Dir | Kind::Link { .. } => None,
        }
    }

    /// The absolute path of a place.
    pub(crate) fn path_of(&self, place: &Place) -> PathBuf {
        self.ground(place.origin).map_or_else(|_| PathBuf::new(), |ground| ground.below(&place.path))
    }

    /// Finds a path relative to the docroot; no `.`, `..`, NUL or empty segments in it.
    pub(crate) fn find(&self, relative: &[u8], want: Want) -> Result<Found, Miss> {
        self.find_in_release(&join(&self.docroot, relative), want)
    }

    /// Finds an absolute path, as an application names one of its files.
    pub(crate) fn find_absolute(&self, path: &[u8], want: Want) -> Result<Found, Miss> {
        self.find_by(want, || walk::follow_absolute(self, path))
    }

    /// Whether what a name in a directory leads to is a directory.
    pub(crate) fn leads_to_directory(&self, place: &Place, name: &[u8]) -> Result<bool, Miss> {
        let path = join(&place.path, name);
        let found = match place.origin {
            Origin::Release => self.find_in_release(&path, Want::Presence)?,
            Origin::Shared => {
                let path = self.path_of(&Place { origin: Origin::Shared, path });
                self.find_absolute(path.as_os_str().as_bytes(), Want::Presence)?
            }
        };
        Ok(matches!(found.what, What::Dir))
    }

    fn find_in_release(&self, path: &[u8], want: Want) -> Result<Found, Miss> {
        match &self.seal {
            Some(seal) => {
                if let Some(what) = sealed(seal, path)? {
                    return Ok(Found { place: Place::release(path), what });
                }
            }
            None => match self.open(Place::release(path), want) {
                Err(Miss::Loop) => {}
                result => return result,
            },
        }
        self.find_by(want, || walk::follow(self, path))
    }

    /// Follows links until the place that was found is still one without any.
    fn find_by(&self, want: Want, follow: impl Fn() -> Result<Place, Miss>) -> Result<Found, Miss> {
        for _ in 0..ATTEMPTS {
            let place = follow()?;
            if let (Origin::Release, Some(seal)) = (place.origin, &self.seal) {
                return match sealed(seal, &place.path)? {
                    Some(what) => Ok(Found { place, what }),
                    None => Err(Miss::Loop),
                };
            }
            match self.open(place, want) {
                Err(Miss::Loop) => {}
                result => return result,
            }
        }
        Err(Miss::Loop)
    }

    /// Opens a place and looks what it is. `Miss::Loop`: somebody put a link into it.
    pub(crate) fn open(&self, place: Place, want: Want) -> Result<Found, Miss> {
        let fd = beneath::open(self.ground(place.origin)?.dir(), &place.path, want)?;
        let stat = fstat(&fd)?;
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => What::Dir,
            FileType::RegularFile => match want {
                Want::Bytes => What::Open(File::from(fd), stat),
                Want::Presence => What::Seen,
            },
            FileType::Symlink => return Err(Miss::Loop),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Err(Miss::Special),
        };
        Ok(Found { place, what })
    }
}

/// A text file of the release, by its path there, such as its own cutover.toml. `None`: it has none, it is not
/// UTF-8, or it is larger than 1 MiB. Links are not followed.
pub fn read_own(lease: &Lease, path: &Path) -> Option<String> {
    let fd = beneath::open(lease.dir(), path.as_os_str().as_bytes(), Want::Bytes).ok()?;
    let stat = fstat(&fd).ok()?;
    let size = u64::try_from(stat.st_size).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let bytes = held::read_up_to(&File::from(fd), size, OWN_BYTES).ok()??;
    String::from_utf8(bytes.into()).ok()
}

/// What the seal says about a path; `None`: there is a link on the way.
fn sealed(seal: &Manifest, path: &[u8]) -> Result<Option<What>, Miss> {
    match seal.get(path).map(|entry| &entry.kind) {
        Some(&Kind::File { hash, size, mtime_ns }) => {
            return Ok(Some(What::Sealed(SealedFile { hash, size, mtime_ns })));
        }
        Some(Kind::Dir) => return Ok(Some(What::Dir)),
        Some(Kind::Link { .. }) => return Ok(None),
        None => {}
    }
    for at in memchr::memchr_iter(b'/', path) {
        match seal.get(&path[..at]).map(|entry| &entry.kind) {
            Some(Kind::Dir) => {}
            Some(Kind::Link { .. }) => return Ok(None),
            Some(Kind::File { .. }) => return Err(Miss::BelowFile),
            None => return Err(Miss::Absent),
        }
    }
    Err(Miss::Absent)
}

/// Two relative paths as one.
pub(crate) fn join(front: &[u8], back: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(front.len() + 1 + back.len());
    path.extend_from_slice(front);
    if !front.is_empty() && !back.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(back);
    path
}
