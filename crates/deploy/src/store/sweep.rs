//! Sweep: takes blobs out of the store that no release needs any more.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;

use release::ReleaseId;
use release::atomic;
use release::lock::DeployLock;
use release::manifest::{self, Kind, Manifest};
use release::slot;
use rustix::fs::{AtFlags, statat, unlinkat};

use crate::store::blob::{BlobName, Hash};
use crate::store::{Store, names_of};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs removed.
    pub blobs: u64,
    /// The bytes that gave back.
    pub bytes: u64,
}

/// Removes the blobs that no release has: hard-linked ones whose only name is in the store, and clones whose content
/// is in no manifest. Run after releases were pruned; the deploy lock keeps a deploy from counting on them meanwhile.
pub fn sweep(lock: &DeployLock) -> std::io::Result<Swept> {
    let app = lock.app();
    let mut swept = Swept::default();
    if rustix::fs::lstat(app.store()).is_err() {
        return Ok(swept);
    }
    let store = Store::open(app).map_err(|error| std::io::Error::from(error.why))?;
    let mut used: Option<HashSet<Hash>> = None;
    for fan in std::fs::read_dir(store.path())? {
        let fan = fan?;
        if fan.file_name().len() != 2 || !fan.file_type()?.is_dir() {
            continue;
        }
        for blob in std::fs::read_dir(fan.path())? {
            let (fan, name) = (fan.file_name(), blob?.file_name());
            let Some((hash, traits)) = BlobName::parse(fan.as_bytes(), name.as_bytes()) else { continue };
            let path = [fan.as_bytes(), b"/", name.as_bytes()].concat();
            let stat = statat(store.dir(), &path[..], AtFlags::SYMLINK_NOFOLLOW)?;
            let needed = match traits {
                Some(_) => names_of(&stat) > 1,
                None => match &used {
                    Some(used) => used.contains(&hash),
                    None => used.insert(used_hashes(app)?).contains(&hash),
                },
            };
            if !needed {
                atomic::effect();
                unlinkat(store.dir(), &path[..], AtFlags::empty())?;
                swept.blobs += 1;
                swept.bytes += stat.st_size as u64;
            }
        }
    }
    Ok(swept)
}

fn contents(manifest: &Manifest) -> impl Iterator<Item = Hash> {
    manifest.entries().filter_map(|(_, entry)| match &entry.kind {
        Kind::File { hash, .. } => Some(*hash),
        Kind::Dir | Kind::Link { .. } => None,
    })
}

/// Every content that a manifest names.
pub(crate) fn used_hashes(app: &release::App) -> std::io::Result<HashSet<Hash>> {
    let mut used = HashSet::new();
    for entry in std::fs::read_dir(app.manifests()).into_iter().flatten() {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| ReleaseId::parse(name).ok()) else { continue };
        let Some(dir) = manifest::find(app, &id) else { continue };
        if let Ok(Some(manifest)) = manifest::load_at(app, &id, &dir) {
            used.extend(contents(&manifest));
        }
    }
    // What lost its slot lives on here alone.
    used.extend(slot::stored(app)?.iter().flat_map(contents));
    Ok(used)
}
