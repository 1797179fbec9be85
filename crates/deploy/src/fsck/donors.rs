//! Donors: every file that may still have a content that is lost elsewhere.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::manifest::{self, Kind};
use release::{App, slot};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::fsck::sealed;
use crate::slot::Base;
use crate::stage::content::read_hash;
use crate::stage::create::open_dir;
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

    /// Whether some file is said to have this content, without reading it.
    pub fn has(&self, hash: &Hash) -> bool {
        let known = self.known.get_or_init(|| everywhere(&self.app));
        known.get(hash).is_some_and(|paths| paths.iter().any(|path| rustix::fs::lstat(path).is_ok()))
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
    // Where a turn was cut short no seal tells what stands there.
    for slot in slot::all(app).unwrap_or_default() {
        if slot::named(app, &slot).is_ok_and(|ids| !ids.is_empty()) {
            continue;
        }
        let dir = app.slot(&slot);
        let base = open_dir(CWD, &dir).ok().and_then(|top| Base::scan(&top, &dir, None).ok());
        for (path, stood) in base.map(|base| base.files).unwrap_or_default() {
            known.entry(stood.hash).or_default().push(dir.join(Path::new(OsStr::from_bytes(&path))));
        }
    }
    known
}
