//! Putting one file of the source into the release: linked, cloned or copied.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, ioctl_ficlone, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::stage::content::{self, BUFFER, End, read_up_to, stream, write_all};
use crate::stage::grant::lies_in;
use crate::stage::sharing::Sharing;
use crate::stage::traits::{mode_of, sane_time};
use crate::stage::tree::Plan;
use crate::stage::{StageError, TRIES};
use crate::store::blob::{BlobName, Hash, Traits};
use crate::store::index::{Fate, Row, Stamp};
use crate::store::{NoLink, Store};

/// One thread's means to put files.
pub(crate) struct Putter<'p> {
    plan: &'p Plan<'p>,
    buffer: Vec<u8>,
    copied: &'p AtomicU64,
}

/// Where a file is and where it goes: open directories, and its name in both.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'s> {
    pub from: &'s OwnedFd,
    pub to: &'s OwnedFd,
    pub name: &'s CStr,
    /// Below the top of the tree.
    pub path: &'s [u8],
}

/// What was seen of a file before it was put: which state it is in, and how that is shared.
#[derive(Clone, Copy)]
struct Seen {
    stamp: Stamp,
    mode: u32,
    sharing: Sharing,
}

/// One attempt's outcome.
enum Put {
    Done(Row),
    /// The file changed meanwhile; what was made of it is gone again.
    Changed,
}

impl<'p> Putter<'p> {
    pub fn new(plan: &'p Plan<'p>, copied: &'p AtomicU64) -> Putter<'p> {
        Putter { plan, buffer: Vec::new(), copied }
    }

    /// Puts the file in its place; `stat` is what was seen of it. Tries again when it changes meanwhile.
    pub fn put(&mut self, spot: Spot<'_>, stat: &Stat) -> Result<Row, StageError> {
        let mut stat = *stat;
        for round in 0..TRIES {
            match self.once(spot, &stat)? {
                Put::Done(row) => return Ok(row),
                Put::Changed => std::thread::sleep(Duration::from_millis(20 << round)),
            }
            stat = statat(spot.from, spot.name, AtFlags::SYMLINK_NOFOLLOW).map_err(|why| match why {
                Errno::NOENT => StageError::Changing { path: self.source(spot) },
                why => self.unreadable(spot)(why),
            })?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                break;
            }
        }
        Err(StageError::Changing { path: self.source(spot) })
    }

    fn once(&mut self, spot: Spot<'_>, stat: &Stat) -> Result<Put, StageError> {
        let seen = self.seen(spot, stat);
        if let Some(row) = self.plan.index.and_then(|index| index.unchanged(spot.path, &seen.stamp)) {
            let traits = self.traits(spot.path, seen.mode, row.traits.mtime_ns);
            if let Some(row) = self.share(spot, seen, &row.hash, &traits)? {
                return Ok(Put::Done(row));
            }
            return match self.open(spot)? {
                Some(file) => self.copy_known(spot, &file, seen, traits, row.hash),
                None => Ok(Put::Changed),
            };
        }
        let Some(file) = self.open(spot)? else { return Ok(Put::Changed) };
        let stat = fstat(&file).map_err(self.unreadable(spot))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Put::Changed);
        }
        let seen = self.seen(spot, &stat);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BUFFER, 0);
        let outcome = match buffer.get_mut(..usize::try_from(seen.stamp.size).unwrap_or(usize::MAX)) {
            Some(room) => self.put_small(spot, &file, seen, room),
            None => self.put_large(spot, &file, seen, &mut buffer),
        };
        self.buffer = buffer;
        outcome
    }

    /// Reads it whole, and writes it only if no release has it yet.
    fn put_small(
        &self,
        spot: Spot<'_>,
        file: &OwnedFd,
        seen: Seen,
        room: &mut [u8],
    ) -> Result<Put, StageError> {
        let read = read_up_to(file, room).map_err(self.unreadable(spot))?;
        if read != room.len() || self.changed(spot, file, &seen.stamp)? {
            return Ok(Put::Changed);
        }
        let hash = *blake3::hash(room).as_bytes();
        let traits = self.traits(spot.path, seen.mode, self.time(spot.path, seen, &hash));
        if let Some(row) = self.share(spot, seen, &hash, &traits)? {
            return Ok(Put::Done(row));
        }
        let to = self.create(spot, seen.mode)?;
        write_all(&to, room).map_err(self.unwritten(spot))?;
        self.copied.fetch_add(seen.stamp.size, Ordering::Relaxed);
        self.finish(spot, &to, seen, traits, hash)
    }

    /// Where releases share files, hashes it first; else hashes it while it is copied.
    fn put_large(
        &self,
        spot: Spot<'_>,
        file: &OwnedFd,
        seen: Seen,
        buffer: &mut [u8],
    ) -> Result<Put, StageError> {
        if seen.sharing != Sharing::Nothing && self.plan.has_blobs || self.plan.base.is_some() {
            let hash = stream(file, buffer, |_| Ok(())).map_err(self.ended(spot))?;
            if self.changed(spot, file, &seen.stamp)? {
                return Ok(Put::Changed);
            }
            let traits = self.traits(spot.path, seen.mode, self.time(spot.path, seen, &hash));
            if let Some(row) = self.share(spot, seen, &hash, &traits)? {
                return Ok(Put::Done(row));
            }
            rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0)).map_err(self.unreadable(spot))?;
        }
        let to = self.create(spot, seen.mode)?;
        let hash = stream(file, buffer, |bytes| {
            write_all(&to, bytes)?;
            self.copied.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(())
        })
        .map_err(self.ended(spot))?;
        if self.changed(spot, file, &seen.stamp)? {
            return self.take_back(spot);
        }
        let traits = self.traits(spot.path, seen.mode, self.time(spot.path, seen, &hash));
        self.finish(spot, &to, seen, traits, hash)
    }

    /// Copies a file whose hash is known from last time, without looking at its bytes.
    fn copy_known(
        &self,
        spot: Spot<'_>,
        file: &OwnedFd,
        seen: Seen,
        traits: Traits,
        hash: Hash,
    ) -> Result<Put, StageError> {
        let to = self.create(spot, traits.mode)?;
        let count = |bytes| {
            self.copied.fetch_add(bytes, Ordering::Relaxed);
        };
        let lacking = content::copy(file, &to, seen.stamp.size, count).map_err(self.ended(spot))?;
        if lacking > 0 || self.changed(spot, file, &seen.stamp)? {
            return self.take_back(spot);
        }
        self.finish(spot, &to, seen, traits, hash)
    }

    /// Gives a file that was written anew all that it has beside its content.
    fn finish(
        &self,
        spot: Spot<'_>,
        to: &OwnedFd,
        seen: Seen,
        traits: Traits,
        hash: Hash,
    ) -> Result<Put, StageError> {
        self.plan.creator.finish_file(to, &traits).map_err(self.unwritten(spot))?;
        Ok(Put::Done(Row { stamp: seen.stamp, traits, fate: seen.sharing.fate(), hash }))
    }

    /// Leaves it as it stands in the slot, or takes the content from the store, if it is there.
    fn share(
        &self,
        spot: Spot<'_>,
        seen: Seen,
        hash: &Hash,
        traits: &Traits,
    ) -> Result<Option<Row>, StageError> {
        let private = self.is_private(spot.path);
        if let Some(base) = self.plan.base.filter(|_| !private)
            && let Some(row) = base.kept_row(spot.path, hash, traits, seen.stamp)
        {
            return Ok(Some(row));
        }
        let Some(store) = self.plan.store else { return Ok(None) };
        let fate = match seen.sharing {
            Sharing::Nothing => None,
            Sharing::Links { asked } => {
                match store.link_out(&BlobName::linked(hash, traits), spot.to, spot.name.to_bytes()) {
                    Ok(()) => Some(Fate::Linked),
                    Err(NoLink::Missing | NoLink::Full) => None,
                    Err(NoLink::Impossible(why)) if asked => {
                        return Err(StageError::NoSharing {
                            mode: "hardlink",
                            path: self.release(spot),
                            why,
                        });
                    }
                    Err(NoLink::Impossible(_)) => None,
                    Err(NoLink::Failed(why)) => return Err(self.unwritten(spot)(why)),
                }
            }
            Sharing::Clones => self.clone_blob(store, spot, hash, traits)?,
        };
        Ok(fate.map(|fate| Row { stamp: seen.stamp, traits: *traits, fate, hash: *hash }))
    }

    fn clone_blob(
        &self,
        store: &Store,
        spot: Spot<'_>,
        hash: &Hash,
        traits: &Traits,
    ) -> Result<Option<Fate>, StageError> {
        let Ok(blob) = store.read(&BlobName::cloned(hash)) else { return Ok(None) };
        let to = self.create(spot, traits.mode)?;
        if ioctl_ficlone(&to, &blob).is_err() {
            unlinkat(spot.to, spot.name, AtFlags::empty()).map_err(self.unwritten(spot))?;
            return Ok(None);
        }
        self.plan.creator.finish_file(&to, traits).map_err(self.unwritten(spot))?;
        Ok(Some(Fate::Cloned))
    }

    fn seen(&self, spot: Spot<'_>, stat: &Stat) -> Seen {
        let mode = mode_of(stat);
        Seen { stamp: Stamp::of(stat), mode, sharing: self.sharing(spot.path, mode) }
    }

    /// How this file is shared: not at all where something may write to it.
    fn sharing(&self, path: &[u8], mode: u32) -> Sharing {
        match self.plan.sharing {
            _ if self.is_private(path) => Sharing::Nothing,
            Sharing::Links { asked: false } if mode & 0o022 != 0 => Sharing::Nothing,
            sharing @ (Sharing::Links { .. } | Sharing::Clones | Sharing::Nothing) => sharing,
        }
    }

    fn is_private(&self, path: &[u8]) -> bool {
        self.plan.private.iter().any(|place| lies_in(path, place))
    }

    fn traits(&self, path: &[u8], mode: u32, mtime_ns: i64) -> Traits {
        let mtime_ns = self.plan.base.map_or(mtime_ns, |base| base.later(path, mtime_ns));
        let owner = self.plan.creator.owner();
        Traits { mode, uid: owner.uid, gid: owner.gid, mtime_ns }
    }

    /// The time the release's file gets.
    fn time(&self, path: &[u8], seen: Seen, hash: &Hash) -> i64 {
        match self.plan.index.and_then(|index| index.get(path)) {
            Some(row) if row.hash == *hash && row.traits.mode == seen.mode => row.traits.mtime_ns,
            Some(_) | None => sane_time(seen.stamp.mtime_ns, self.plan.now_ns),
        }
    }

    /// `None`: it is not there any more, or something else is.
    fn open(&self, spot: Spot<'_>) -> Result<Option<OwnedFd>, StageError> {
        // Without NONBLOCK a fifo that took the file's place would hang us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(spot.from, spot.name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(why) => Err(self.unreadable(spot)(why)),
        }
    }

    fn create(&self, spot: Spot<'_>, mode: u32) -> Result<OwnedFd, StageError> {
        self.plan.creator.file(spot.to, spot.name, mode).map_err(self.unwritten(spot))
    }

    fn changed(&self, spot: Spot<'_>, file: &OwnedFd, stamp: &Stamp) -> Result<bool, StageError> {
        fstat(file).map(|stat| Stamp::of(&stat) != *stamp).map_err(self.unreadable(spot))
    }

    fn take_back(&self, spot: Spot<'_>) -> Result<Put, StageError> {
        unlinkat(spot.to, spot.name, AtFlags::empty()).map_err(self.unwritten(spot))?;
        Ok(Put::Changed)
    }

    fn source(&self, spot: Spot<'_>) -> PathBuf {
        self.plan.from.join(OsStr::from_bytes(spot.path))
    }

    fn release(&self, spot: Spot<'_>) -> PathBuf {
        self.plan.to.join(OsStr::from_bytes(spot.path))
    }

    fn unreadable(&self, spot: Spot<'_>) -> impl Fn(Errno) -> StageError {
        move |why| StageError::Unreadable { path: self.source(spot), why }
    }

    fn unwritten(&self, spot: Spot<'_>) -> impl Fn(Errno) -> StageError {
        move |why| StageError::Unwritten { path: self.release(spot), why }
    }

    fn ended(&self, spot: Spot<'_>) -> impl Fn(End) -> StageError {
        move |end| match end {
            End::Source(why) => StageError::Unreadable { path: self.source(spot), why },
            End::Release(why) => StageError::Unwritten { path: self.release(spot), why },
        }
    }
}
