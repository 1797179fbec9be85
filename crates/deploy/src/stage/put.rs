//! Putting one file of the source into the release: linked, cloned or copied.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, copy_file_range, fstat, ioctl_ficlone, openat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::stage::sharing::Sharing;
use crate::stage::tree::Plan;
use crate::stage::{StageError, TRIES};
use crate::store::blob::{BlobName, Hash, Traits};
use crate::store::index::{Fate, Row, Stamp};
use crate::store::{NoLink, Store};

/// Files up to this size are read whole before it is decided whether they need to be written.
const BUFFER: usize = 1 << 20;

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

/// One attempt's outcome.
enum Put {
    Done(Row),
    /// The file changed meanwhile; what was made of it is gone again.
    Changed,
}

/// Which of the two ends of a copy failed.
enum End {
    Source(Errno),
    Release(Errno),
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
        let stamp = Stamp::of(stat);
        let mode = mode_of(stat);
        let sharing = self.sharing(spot.path, mode);
        if let Some(row) = self.plan.index.and_then(|index| index.unchanged(spot.path, &stamp)) {
            let traits = self.traits(mode, row.traits.mtime_ns);
            if let Some(fate) = self.share(spot, sharing, &row.hash, &traits)? {
                return Ok(Put::Done(Row { stamp, traits, fate, hash: row.hash }));
            }
            let file = match self.open(spot)? {
                Some(file) => file,
                None => return Ok(Put::Changed),
            };
            return self.copy_known(spot, &file, stamp, traits, fate(sharing), row.hash);
        }
        let Some(file) = self.open(spot)? else { return Ok(Put::Changed) };
        let stat = fstat(&file).map_err(self.unreadable(spot))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Put::Changed);
        }
        let (stamp, mode) = (Stamp::of(&stat), mode_of(&stat));
        if stamp.size <= BUFFER as u64 {
            self.put_small(spot, &file, stamp, mode, sharing)
        } else {
            self.put_large(spot, &file, stamp, mode, sharing)
        }
    }

    /// Reads it whole, and writes it only if no release has it yet.
    fn put_small(
        &mut self,
        spot: Spot<'_>,
        file: &OwnedFd,
        stamp: Stamp,
        mode: u32,
        sharing: Sharing,
    ) -> Result<Put, StageError> {
        let len = stamp.size as usize;
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() < BUFFER {
            buffer.resize(BUFFER, 0);
        }
        let read = read_up_to(file, buffer.get_mut(..len).unwrap_or_default());
        let outcome = self.put_read(
            spot,
            file,
            stamp,
            mode,
            sharing,
            read.map(|n| buffer.get(..n).unwrap_or_default()),
        );
        self.buffer = buffer;
        outcome
    }

    fn put_read(
        &self,
        spot: Spot<'_>,
        file: &OwnedFd,
        stamp: Stamp,
        mode: u32,
        sharing: Sharing,
        content: Result<&[u8], Errno>,
    ) -> Result<Put, StageError> {
        let content = content.map_err(self.unreadable(spot))?;
        if content.len() as u64 != stamp.size || self.changed(spot, file, &stamp)? {
            return Ok(Put::Changed);
        }
        let hash = *blake3::hash(content).as_bytes();
        let traits = self.traits(mode, self.time(spot.path, mode, &hash, stamp.mtime_ns));
        if let Some(fate) = self.share(spot, sharing, &hash, &traits)? {
            return Ok(Put::Done(Row { stamp, traits, fate, hash }));
        }
        let to = self.create(spot, mode)?;
        write_all(&to, content)
            .and_then(|()| self.plan.creator.finish_file(&to, &traits))
            .map_err(self.unwritten(spot))?;
        self.copied.fetch_add(stamp.size, Ordering::Relaxed);
        Ok(Put::Done(Row { stamp, traits, fate: fate(sharing), hash }))
    }

    /// Where releases share files, hashes it first; else hashes it while it is copied.
    fn put_large(
        &mut self,
        spot: Spot<'_>,
        file: &OwnedFd,
        stamp: Stamp,
        mode: u32,
        sharing: Sharing,
    ) -> Result<Put, StageError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() < BUFFER {
            buffer.resize(BUFFER, 0);
        }
        let outcome = self.put_streamed(spot, file, stamp, mode, sharing, &mut buffer);
        self.buffer = buffer;
        outcome
    }

    fn put_streamed(
        &self,
        spot: Spot<'_>,
        file: &OwnedFd,
        stamp: Stamp,
        mode: u32,
        sharing: Sharing,
        buffer: &mut [u8],
    ) -> Result<Put, StageError> {
        if sharing != Sharing::Nothing && self.plan.index.is_some() {
            let hash = stream(file, buffer, |_| Ok(())).map_err(self.ended(spot))?;
            if self.changed(spot, file, &stamp)? {
                return Ok(Put::Changed);
            }
            let traits = self.traits(mode, self.time(spot.path, mode, &hash, stamp.mtime_ns));
            if let Some(fate) = self.share(spot, sharing, &hash, &traits)? {
                return Ok(Put::Done(Row { stamp, traits, fate, hash }));
            }
            rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0)).map_err(self.unreadable(spot))?;
        }
        let to = self.create(spot, mode)?;
        let hash = stream(file, buffer, |bytes| {
            write_all(&to, bytes)?;
            self.copied.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(())
        })
        .map_err(self.ended(spot))?;
        if self.changed(spot, file, &stamp)? {
            return self.take_back(spot);
        }
        let traits = self.traits(mode, self.time(spot.path, mode, &hash, stamp.mtime_ns));
        self.plan.creator.finish_file(&to, &traits).map_err(self.unwritten(spot))?;
        Ok(Put::Done(Row { stamp, traits, fate: fate(sharing), hash }))
    }

    /// Copies a file whose hash is known from last time, without looking at its bytes.
    fn copy_known(
        &self,
        spot: Spot<'_>,
        file: &OwnedFd,
        stamp: Stamp,
        traits: Traits,
        fate: Fate,
        hash: Hash,
    ) -> Result<Put, StageError> {
        let to = self.create(spot, traits.mode)?;
        let mut left = stamp.size;
        while left > 0 {
            let step = usize::try_from(left.min(64 << 20)).unwrap_or(usize::MAX);
            match copy_file_range(file, None, &to, None, step) {
                Ok(0) => break,
                Ok(n) => {
                    left = left.saturating_sub(n as u64);
                    self.copied.fetch_add(n as u64, Ordering::Relaxed);
                }
                Err(Errno::INTR) => {}
                // Not between these two file systems: by hand, from where it stopped.
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    let mut buffer = vec![0; BUFFER];
                    stream(file, &mut buffer, |bytes| {
                        left = left.saturating_sub(bytes.len() as u64);
                        self.copied.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        write_all(&to, bytes)
                    })
                    .map_err(self.ended(spot))?;
                    break;
                }
                Err(why @ Errno::IO) => return Err(self.unreadable(spot)(why)),
                Err(why) => return Err(self.unwritten(spot)(why)),
            }
        }
        if left > 0 || self.changed(spot, file, &stamp)? {
            return self.take_back(spot);
        }
        self.plan.creator.finish_file(&to, &traits).map_err(self.unwritten(spot))?;
        Ok(Put::Done(Row { stamp, traits, fate, hash }))
    }

    /// Takes the content from the store, if it is there.
    fn share(
        &self,
        spot: Spot<'_>,
        sharing: Sharing,
        hash: &Hash,
        traits: &Traits,
    ) -> Result<Option<Fate>, StageError> {
        let Some(store) = self.plan.store else { return Ok(None) };
        match sharing {
            Sharing::Nothing => Ok(None),
            Sharing::Links { asked } => {
                match store.link_out(&BlobName::linked(hash, traits), spot.to, spot.name.to_bytes()) {
                    Ok(()) => Ok(Some(Fate::Linked)),
                    Err(NoLink::Missing | NoLink::Full) => Ok(None),
                    Err(NoLink::Impossible(why)) if asked => {
                        Err(StageError::NoSharing { mode: "hardlink", path: self.release(spot), why })
                    }
                    Err(NoLink::Impossible(_)) => Ok(None),
                    Err(NoLink::Failed(why)) => Err(self.unwritten(spot)(why)),
                }
            }
            Sharing::Clones => self.clone_blob(store, spot, hash, traits),
        }
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

    /// How this file is shared: not at all where something may write to it.
    fn sharing(&self, path: &[u8], mode: u32) -> Sharing {
        let private = self.plan.private.iter().any(|place| lies_in(path, place));
        match self.plan.sharing {
            _ if private => Sharing::Nothing,
            Sharing::Links { asked: false } if mode & 0o022 != 0 => Sharing::Nothing,
            sharing @ (Sharing::Links { .. } | Sharing::Clones | Sharing::Nothing) => sharing,
        }
    }

    fn traits(&self, mode: u32, mtime_ns: i64) -> Traits {
        let owner = self.plan.creator.owner();
        Traits { mode, uid: owner.uid, gid: owner.gid, mtime_ns }
    }

    /// The time the release's file gets.
    fn time(&self, path: &[u8], mode: u32, hash: &Hash, mtime_ns: i64) -> i64 {
        match self.plan.index.and_then(|index| index.get(path)) {
            Some(row) if row.hash == *hash && row.traits.mode == mode => row.traits.mtime_ns,
            Some(_) | None => sane_time(mtime_ns, self.plan.now_ns),
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

/// What becomes of a file that is written anew.
fn fate(sharing: Sharing) -> Fate {
    match sharing {
        Sharing::Links { .. } => Fate::Fresh,
        Sharing::Clones => Fate::FreshToClone,
        Sharing::Nothing => Fate::Private,
    }
}

/// The permission bits, without set-user-ID and set-group-ID: the release has another owner than its source had.
pub(crate) fn mode_of(stat: &Stat) -> u32 {
    stat.st_mode & 0o1777
}

/// A time that opcache accepts: it caches nothing of 1970-01-01 00:00:00, nothing from the future, and nothing that is
/// younger than two seconds (opcache.file_update_protection).
pub(crate) fn sane_time(mtime_ns: i64, now_ns: i64) -> i64 {
    const SECOND: i64 = 1_000_000_000;
    match mtime_ns {
        young if young > now_ns.saturating_sub(3 * SECOND) => now_ns.saturating_sub(3 * SECOND).max(SECOND),
        old => old.max(SECOND),
    }
}

/// Whether a path is `place` or lies below it.
pub(crate) fn lies_in(path: &[u8], place: &[u8]) -> bool {
    path.strip_prefix(place).is_some_and(|rest| place.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
}

fn read_up_to(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match rustix::io::read(file, room) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(filled)
}

/// Reads a file to its end, hands on its bytes, and gives their hash.
fn stream(
    file: &OwnedFd,
    buffer: &mut [u8],
    mut sink: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<Hash, End> {
    let mut hasher = blake3::Hasher::new();
    loop {
        let n = read_up_to(file, buffer).map_err(End::Source)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(*hasher.finalize().as_bytes());
        }
        hasher.update(bytes);
        sink(bytes).map_err(End::Release)?;
    }
}

/// The hash of a file's content.
pub(crate) fn read_hash(file: &OwnedFd) -> Result<Hash, Errno> {
    let mut buffer = vec![0; 256 << 10];
    stream(file, &mut buffer, |_| Ok(())).map_err(|end| match end {
        End::Source(why) | End::Release(why) => why,
    })
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_opcache_would_not_cache_are_corrected() {
        const S: i64 = 1_000_000_000;
        for (mtime, wanted) in
            [(0, S), (-5 * S, S), (1, S), (500 * S + 1, 500 * S + 1), (999 * S, 997 * S), (5000 * S, 997 * S)]
        {
            assert_eq!(sane_time(mtime, 1000 * S), wanted, "{mtime}");
        }
    }

    #[test]
    fn a_place_covers_itself_and_what_is_below() {
        assert!(lies_in(b"a/b", b"a") && lies_in(b"a", b"a") && lies_in(b"x", b""));
        assert!(!lies_in(b"ab", b"a") && !lies_in(b"a", b"a/b"));
    }
}
