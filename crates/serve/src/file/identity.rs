//! Identity: which version of which file this is, as far as the file system tells; and the hashes known by it.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use rustix::fs::Stat;

use crate::file::held::Name;

/// A file changed so recently may change again without its times telling: they are as coarse as a tick (10 ms on
/// slow kernels, 2 s on FAT).
const FRESH: Duration = Duration::from_secs(2);

/// Hashes remembered at most, in two generations of this many.
const GENERATION: usize = 8192;

/// What changes whenever a file is replaced or written to. The time of change (ctime) cannot be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    dev: u64,
    ino: u64,
    size: u64,
    mtime_ns: i128,
    ctime_ns: i128,
    fresh: bool,
}

/// Hashes by identity: the young ones, and those not asked for since the young were few.
#[derive(Default)]
pub(crate) struct Known {
    young: HashMap<Identity, [u8; 32]>,
    old: HashMap<Identity, [u8; 32]>,
}

impl Identity {
    pub(crate) fn of(stat: &Stat) -> Identity {
        Identity {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            fresh: Self::is_fresh(stat),
        }
    }

    /// Whether it was changed a moment ago, or in what the clock calls the future.
    pub(crate) fn is_fresh(stat: &Stat) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let before = (now.saturating_sub(FRESH)).as_nanos();
        let changed = nanoseconds(stat.st_mtime, stat.st_mtime_nsec)
            .max(nanoseconds(stat.st_ctime, stat.st_ctime_nsec));
        changed >= i128::try_from(before).unwrap_or(0)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// A name for a file whose content was not read.
    pub(crate) fn unnamed(&self) -> Name {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cutover file identity");
        for number in [self.dev, self.ino, self.size] {
            hasher.update(&number.to_le_bytes());
        }
        for time in [self.mtime_ns, self.ctime_ns] {
            hasher.update(&time.to_le_bytes());
        }
        let hash = *hasher.finalize().as_bytes();
        if self.fresh { Name::Moving(hash) } else { Name::Place(hash) }
    }
}

impl Known {
    pub(crate) fn get(&mut self, identity: &Identity) -> Option<[u8; 32]> {
        if let Some(hash) = self.young.get(identity) {
            return Some(*hash);
        }
        let hash = self.old.remove(identity)?;
        self.learn(*identity, hash);
        Some(hash)
    }

    pub(crate) fn learn(&mut self, identity: Identity, hash: [u8; 32]) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(identity, hash);
    }
}

fn nanoseconds(seconds: impl Into<i128>, nanoseconds: impl TryInto<i128>) -> i128 {
    seconds.into() * 1_000_000_000 + nanoseconds.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, statat, utimensat};

    #[test]
    fn a_file_changed_just_now_is_fresh_even_if_its_mtime_lies() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let long_ago = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
        let times = Timestamps { last_access: long_ago, last_modification: long_ago };
        utimensat(CWD, file.path(), &times, AtFlags::empty()).unwrap();
        let mut stat = statat(CWD, file.path(), AtFlags::empty()).unwrap();
        assert!(Identity::is_fresh(&stat), "its ctime is now");
        stat.st_ctime -= 3;
        assert!(!Identity::is_fresh(&stat));
        stat.st_mtime += 2_000_000_000;
        assert!(Identity::is_fresh(&stat), "the future may come again");
    }

    #[test]
    fn the_memory_of_hashes_is_bounded_and_keeps_what_is_asked_for() {
        let mut known = Known::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        let base = Identity::of(&statat(CWD, file.path(), AtFlags::empty()).unwrap());
        let at = |ino: usize| Identity { ino: ino as u64, ..base };
        for ino in 0..5 * GENERATION {
            known.learn(at(ino), [1; 32]);
            assert_eq!(known.get(&at(0)), Some([1; 32]), "asked for all the time");
        }
        assert!(known.young.len() + known.old.len() <= 2 * GENERATION);
        assert_eq!(known.get(&at(1)), None);
    }
}
