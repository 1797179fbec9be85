//! Donors: every file that may still have a content that is lost elsewhere.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::App;
use release::manifest::{self, Kind};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::fsck::sealed;
use crate::stage::content::read_hash;
use crate::store::blob::{BlobName, Hash};

/// Where contents are said to be. Looked for only when something is to be mended.
pub(crate) struct Donors {
    app: App,
    known: OnceCell<HashMap<Hash, Vec<PathBuf>>>,
}

impl Donors {
    pub fn new(app: &App) -> Donors {
        Donors { app: app.clone(), known: OnceCell::new() }
    }

    /// A file that has this content, read to its end to be sure, and open at its beginning.
    pub fn find(&self, hash: &Hash) -> Option<OwnedFd> {
        let known = self.known.get_or_init(|| everywhere(&self.app));
        known.get(hash)?.iter().find_map(|path| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = openat(CWD, path, flags, Mode::empty()).ok()?;
            let whole = read_hash(&file).ok()? == *hash;
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).ok()?;
            whole.then_some(file)
        })
    }
}

/// Blobs by their names, then files of releases by their manifests.
fn everywhere(app: &App) -> HashMap<Hash, Vec<PathBuf>> {
    let mut known: HashMap<Hash, Vec<PathBuf>> = HashMap::new();
    for fan in std::fs::read_dir(app.store()).into_iter().flatten().flatten() {
        for blob in std::fs::read_dir(fan.path()).into_iter().flatten().flatten() {
            if let Some((hash, _)) = BlobName::parse(fan.file_name().as_bytes(), blob.file_name().as_bytes())
            {
                known.entry(hash).or_default().push(blob.path());
            }
        }
    }
    for id in sealed(app).unwrap_or_default() {
        let Some(dir) = manifest::find(app, &id) else { continue };
        let Ok(Some(manifest)) = manifest::load_at(app, &id, &dir) else { continue };
        for (path, entry) in manifest.entries() {
            if let Kind::File { hash, .. } = &entry.kind {
                known.entry(*hash).or_default().push(dir.join(Path::new(OsStr::from_bytes(path))));
            }
        }
    }
    known
}
