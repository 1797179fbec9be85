//! Sealing what was staged: only what changed since is read again; then new files become blobs.

use release::manifest::{self, Known, SealError, Sealed, Seen};
use release::{App, ReleaseId};
use rustix::fs::CWD;

use crate::stage::blobs;
use crate::stage::create::open_dir;
use crate::store::Store;
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
    if let (Some(index), Ok(store), Ok(release)) = (staged, Store::open(app), open_dir(CWD, sealed.dir())) {
        let rows = fresh.into_iter().filter_map(|path| index.get(&path).map(|row| (path, row)));
        blobs::make(&store, &release, rows);
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
        Fate::Linked | Fate::Fresh | Fate::Cloned | Fate::FreshToClone | Fate::Private | Fate::Kept => {
            Known::Nothing
        }
    }
}
