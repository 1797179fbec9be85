//! Sealing what was staged: only what changed since is read again; then new files become blobs.

use std::ffi::CString;

use release::manifest::{self, Known, SealError, Sealed, Seen};
use release::{App, ReleaseId};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ioctl_ficlone, openat, unlinkat};
use rustix::io::Errno;

use crate::stage::create::{open_below, open_dir};
use crate::store::Store;
use crate::store::blob::BlobName;
use crate::store::index::{self, Fate, Index, Row};

/// Seals a staged release, after the hooks that ran in it: looks at every file, reads those that changed, brings all
/// to disk, and writes the seal. Fails if something wrote to a file that other releases share.
///
/// Then the files that are new become blobs. That is no part of the seal: if it fails, the next deploy copies more.
pub fn seal(app: &App, id: &ReleaseId) -> Result<Sealed, SealError> {
    let staged = index::load(app).filter(|index| index.release() == id);
    let mut fresh = Vec::new();
    let sealed = match &staged {
        None => manifest::seal(app, id)?,
        Some(index) => manifest::seal_known(app, id, &mut |path, seen| {
            let Some(row) = index.get(path) else { return Known::Nothing };
            let known = known(index, &row, seen);
            if let (Known::Hash(_), Fate::Fresh | Fate::FreshToClone) = (known, row.fate) {
                fresh.push(path.to_vec());
            }
            known
        })?,
    };
    if let Some(index) = staged {
        adopt(app, &sealed, &index, fresh);
    }
    Ok(sealed)
}

/// What is known about a file by what staging made of it.
fn known(index: &Index, row: &Row, seen: &Seen) -> Known {
    let traits = &row.traits;
    let same = seen.size == row.stamp.size
        && seen.mtime_ns == traits.mtime_ns
        && (seen.mode, seen.uid, seen.gid) == (traits.mode, traits.uid, traits.gid);
    match row.fate {
        _ if same && seen.ctime_ns <= index.until_ns() => Known::Hash(row.hash),
        // With a single name it is a new file in the old one's place.
        Fate::Linked if !same && seen.shared => Known::Damaged,
        Fate::Linked | Fate::Fresh | Fate::Cloned | Fate::FreshToClone | Fate::Private => Known::Nothing,
    }
}

/// Makes blobs of the files that are new. The seal has brought them to disk.
fn adopt(app: &App, sealed: &Sealed, index: &Index, fresh: Vec<Vec<u8>>) {
    let Ok(store) = Store::open(app) else { return };
    let Ok(release) = open_dir(CWD, sealed.dir()) else { return };
    let mut above: Option<(Vec<u8>, OwnedFd)> = None;
    for path in fresh {
        let Some(row) = index.get(&path) else { continue };
        let split = path.iter().rposition(|byte| *byte == b'/');
        let dir = path.get(..split.unwrap_or(0)).unwrap_or_default();
        let name = path.get(split.map_or(0, |at| at + 1)..).unwrap_or_default();
        if above.as_ref().is_none_or(|(known, _)| known != dir) {
            let Ok(open) = open_below(&release, dir, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
            above = Some((dir.to_vec(), open));
        }
        let Some((_, open)) = &above else { continue };
        let taken = match row.fate {
            Fate::Fresh => store.link_in(&BlobName::linked(&row.hash, &row.traits), open, name),
            Fate::FreshToClone => clone_in(&store, &BlobName::cloned(&row.hash), open, name),
            Fate::Linked | Fate::Cloned | Fate::Private => Ok(()),
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
