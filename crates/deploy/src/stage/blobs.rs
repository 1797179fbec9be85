//! Blobs: files of a release become blobs, so that the next releases share them.

use std::ffi::CString;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, ioctl_ficlone, openat, unlinkat};
use rustix::io::Errno;

use crate::stage::create::open_below;
use crate::store::Store;
use crate::store::blob::BlobName;
use crate::store::index::{Fate, Row};

/// Makes blobs of files below `top`, each with its path. They must be on disk for good.
pub(crate) fn make(store: &Store, top: &OwnedFd, files: impl Iterator<Item = (Vec<u8>, Row)>) {
    let mut above: Option<(Vec<u8>, OwnedFd)> = None;
    for (path, row) in files {
        let split = path.iter().rposition(|byte| *byte == b'/');
        let dir = path.get(..split.unwrap_or(0)).unwrap_or_default();
        let name = path.get(split.map_or(0, |at| at + 1)..).unwrap_or_default();
        if above.as_ref().is_none_or(|(known, _)| known != dir) {
            let Ok(open) = open_below(top, dir, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
            above = Some((dir.to_vec(), open));
        }
        let Some((_, open)) = &above else { continue };
        let taken = match row.fate {
            Fate::Fresh => store.link_in(&BlobName::linked(&row.hash, &row.traits), open, name),
            Fate::FreshToClone => clone_in(store, &BlobName::cloned(&row.hash), open, name),
            Fate::Linked | Fate::Cloned | Fate::Private | Fate::Kept => Ok(()),
        };
        match taken {
            Ok(()) => {}
            // Full, forbidden, gone: the store is a help, not a need.
            Err(Errno::NOSPC | Errno::DQUOT | Errno::ROFS) => return,
            Err(_) => {}
        }
    }
}

/// Clones a file of the release into the store: made beside its place, so that a blob is never half there.
fn clone_in(store: &Store, blob: &BlobName, dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    const NEW: &str = ".cutover-new";
    if store.has(blob) {
        return Ok(());
    }
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let file = openat(dir, &name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    match unlinkat(store.dir(), NEW, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(why) => return Err(why),
    }
    release::atomic::effect();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let new = openat(store.dir(), NEW, flags, Mode::from_raw_mode(0o600))?;
    ioctl_ficlone(&new, &file)?;
    store.link_in(blob, store.dir(), NEW.as_bytes())?;
    unlinkat(store.dir(), NEW, AtFlags::empty())
}
