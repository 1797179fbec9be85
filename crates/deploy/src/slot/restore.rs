//! Restore: a release that lost its slot is put together from its manifest, the store and the slots.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Instant;

use release::ReleaseId;
use release::atomic;
use release::manifest::{self, Entry, Kind, Manifest};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

use crate::fsck::donors::Donors;
use crate::slot::base::{below, open_above};
use crate::slot::stage::Turn;
use crate::slot::turn::{SlotError, Turns};
use crate::stage::create::{Creator, open_below, open_dir};
use crate::stage::{Progress, Rules, StageError, Staged, content, unwritten};
use crate::store::Store;
use crate::store::blob::{Hash, Traits};

/// Brings a release back that lost its slot to another: into a slot that nobody uses, from what the store and the slots
/// still have. Its seal is to be written anew, for the tree is another.
pub fn restore(
    turns: &Turns<'_>,
    rules: &Rules,
    id: &ReleaseId,
    progress: &mut dyn FnMut(Progress),
) -> Result<Staged, StageError> {
    let began = Instant::now();
    let app = turns.app();
    let unknown = |why: String| SlotError::Unknown { release: id.clone(), why };
    let manifest = match manifest::recorded(app, id) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Err(unknown("it has no manifest".into()).into()),
        Err(error) => return Err(unknown(error.to_string()).into()),
    };
    let store = Store::open(app)?;
    let donors = Donors::new(app);
    let turn = Turn::begin(turns, id)?;
    atomic::make_dir(&turn.next)?;
    let top = open_dir(CWD, &turn.next).map_err(unwritten(&turn.next))?;
    let creator = Creator::new(rules.owner(), &top).map_err(unwritten(&turn.next))?;
    let work = Work { turn: &turn, top: &top, creator, donors: &donors };
    let mut staged = work.all(&manifest, id, progress)?;
    turn.take(turns, rules, id, &store)?;
    staged.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(staged)
}

struct Work<'w> {
    turn: &'w Turn,
    top: &'w OwnedFd,
    creator: Creator,
    donors: &'w Donors,
}

impl Work<'_> {
    /// Puts together all that the slot has not; or says what nobody has any more.
    fn all(
        &self,
        manifest: &Manifest,
        id: &ReleaseId,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Staged, StageError> {
        let mut staged = Staged::default();
        let mut missing = Vec::new();
        let mut modes = BTreeMap::new();
        let files_last_time = manifest.len() as u64;
        // Sorted by path, so directories come before what is in them.
        for (path, entry) in manifest.entries() {
            match &entry.kind {
                Kind::Dir => {
                    staged.dirs += 1;
                    modes.insert(path, entry.mode);
                    if !path.is_empty() {
                        let (dir, name) = self.above(path)?;
                        self.creator.dir(&dir, name).map_err(self.unwritten(path))?;
                    }
                }
                Kind::Link { target } => {
                    staged.links += 1;
                    let (dir, name) = self.above(path)?;
                    self.creator.link(&dir, name, target).map_err(self.unwritten(path))?;
                }
                Kind::File { hash, size, mtime_ns } => {
                    staged.files += 1;
                    staged.bytes += size;
                    match self.file(path, entry, hash, *mtime_ns)? {
                        Some(copied) => staged.bytes_copied += copied,
                        None => missing.push(PathBuf::from(OsStr::from_bytes(path))),
                    }
                    let (files, bytes_copied) = (staged.files, staged.bytes_copied);
                    if files % 64 == 0 {
                        progress(Progress { files, files_last_time, bytes_copied });
                    }
                }
            }
        }
        if !missing.is_empty() {
            return Err(SlotError::Lost { release: id.clone(), missing }.into());
        }
        for (path, mode) in modes.into_iter().rev() {
            let dir = open_below(self.top, path, OFlags::RDONLY | OFlags::DIRECTORY)
                .map_err(self.unwritten(path))?;
            self.creator.finish_dir(&dir, mode).map_err(self.unwritten(path))?;
        }
        Ok(staged)
    }

    /// One file: as it stands in the slot, or from whoever has its content. Gives the bytes copied; `None`: nobody has.
    fn file(
        &self,
        path: &[u8],
        entry: &Entry,
        hash: &Hash,
        mtime_ns: i64,
    ) -> Result<Option<u64>, StageError> {
        let owner = self.creator.owner();
        let mtime_ns = self.turn.base.later(path, mtime_ns);
        let traits = Traits { mode: entry.mode, uid: owner.uid, gid: owner.gid, mtime_ns };
        if self.turn.base.keep(path, hash, &traits).is_some() {
            return Ok(Some(0));
        }
        let Some(donor) = self.donors.find(hash) else { return Ok(None) };
        let (dir, name) = self.above(path)?;
        let name = CString::new(name).map_err(|_| self.unwritten(path)(Errno::INVAL))?;
        let to = self.creator.file(&dir, &name, entry.mode).map_err(self.unwritten(path))?;
        let size = rustix::fs::fstat(&donor).map_or(0, |stat| stat.st_size as u64);
        let lacking = content::copy(&donor, &to, size, |_| {}).map_err(|end| match end {
            content::End::Source(why) | content::End::Release(why) => self.unwritten(path)(why),
        })?;
        if lacking > 0 {
            return Err(self.unwritten(path)(Errno::NODATA));
        }
        self.creator.finish_file(&to, &traits).map_err(self.unwritten(path))?;
        Ok(Some(size))
    }

    fn above<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8]), StageError> {
        open_above(self.top, path).map_err(self.unwritten(path))
    }

    fn unwritten(&self, path: &[u8]) -> impl FnOnce(Errno) -> StageError {
        let path = below(&self.turn.next, path);
        move |why| unwritten(&path)(why)
    }
}
