//! Keep: what leaves a slot goes to the store, so that the releases that had it can be brought back.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::manifest::{self, Kind};
use release::{App, ReleaseId, atomic, slot};
use rustix::fd::OwnedFd;
use rustix::fs::CWD;
use rustix::io::Errno;

use crate::slot::base::{Base, below, open_above};
use crate::stage::create::open_dir;
use crate::stage::grant::lies_in;
use crate::stage::{StageError, unwritten};
use crate::store::Store;
use crate::store::blob::BlobName;

/// Gives every file that is about to leave the slot a name in the store, by its content, and brings that to disk.
/// Nothing is copied as a rule: the file itself moves over when the slot's name for it goes.
pub(super) fn displaced(store: &Store, slot: &OwnedFd, path: &Path, base: &Base) -> Result<(), StageError> {
    let mut any = false;
    for (at, stood) in base.displaced() {
        let blob = BlobName::cloned(&stood.hash);
        if store.has(&blob) {
            continue;
        }
        let failed = |why| unwritten(&below(path, at))(why);
        let (dir, name) = open_above(slot, at).map_err(failed)?;
        match store.link_in(&blob, &dir, name) {
            Ok(()) => {}
            // The store is on another file system, or this user may not link somebody else's file.
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK) => {
                store.copy_in(&stood.hash, &dir, name).map_err(failed)?;
            }
            Err(why) => return Err(failed(why)),
        }
        any = true;
    }
    if any {
        atomic::sync_all(store.dir(), store.path())?;
    }
    Ok(())
}

/// Copies what somebody may write to in place (`writable`) into the store while it still is what was sealed. Only for
/// a release in a slot: others keep their files. An error says what could not be kept.
pub(crate) fn private(app: &App, id: &ReleaseId, writable: &[PathBuf]) -> Result<(), String> {
    let Some(name) = slot::of(app, id).filter(|_| !writable.is_empty()) else { return Ok(()) };
    let path = app.slot(&name);
    let manifest = match manifest::load_at(app, id, &path) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let store = Store::open(app).map_err(|error| error.to_string())?;
    let top = open_dir(CWD, &path).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    for (at, entry) in manifest.entries() {
        let Kind::File { hash, .. } = &entry.kind else { continue };
        let inside = writable.iter().any(|place| lies_in(at, place.as_os_str().as_bytes()));
        if inside && !store.has(&BlobName::cloned(hash)) {
            let kept = open_above(&top, at).and_then(|(dir, name)| store.copy_in(hash, &dir, name));
            kept.map_err(|why| format!("cannot keep {} in the store: {why}", below(&path, at).display()))?;
        }
    }
    Ok(())
}
