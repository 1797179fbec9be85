//! Index: what was staged last, by path: which state of which file had which hash, and what became of it.
//!
//! A memory, not a truth: it spares reading files that did not change, and a damaged or missing one costs time only.
//!
//! ```text
//! "cutover index 1\n"  id len u8, id  from i64  until i64  count u32  then rows, then BLAKE3 of all before
//! row: path len u32, path, dev u64, ino u64, size u64, mtime i64, ctime i64 (of the source's file),
//!      mtime i64, mode u32, uid u32, gid u32, fate u8, hash 32 (of the release's file)
//! ```
//! Numbers are little-endian, times nanoseconds since 1970. `from` and `until` are when staging began
//! and ended.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::path::Path;

use release::atomic::{self, AtomicError};
use release::{App, ReleaseId};
use rustix::fs::Stat;

use crate::store::blob::{Hash, Traits};

const MAGIC: &[u8] = b"cutover index 1\n";
const SUM: usize = 32;

/// Which state of a file was read: as long as stat(2) says the same, it holds the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The device it lies on.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When anything about it last changed, in nanoseconds since 1970.
    pub ctime_ns: i64,
}

/// How a file came into a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As a further name of a blob: other releases share it.
    Linked,
    /// As a file of its own that is to become a blob when it is on disk.
    Fresh,
    /// As a clone of a blob (reflink).
    Cloned,
    /// As a file of its own that is to be cloned into the store when it is on disk.
    FreshToClone,
    /// As a file of its own, for good: it may be written to, or nothing is shared at all.
    Private,
    /// It stood in the slot already.
    Kept,
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The source's file.
    pub stamp: Stamp,
    /// What the release's file has beside its content.
    pub traits: Traits,
    /// How it came there.
    pub fate: Fate,
    /// Its content.
    pub hash: Hash,
}

/// Everything that was staged last.
#[derive(Debug)]
pub struct Index {
    release: ReleaseId,
    from_ns: i64,
    until_ns: i64,
    bytes: Vec<u8>,
    /// From a path's hash to where its row begins in `bytes`.
    places: HashMap<u64, u32, BuildSame>,
    seed: std::hash::RandomState,
}

/// Rows in the making, by one thread.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    count: u32,
}

impl Stamp {
    /// What stat(2) says.
    pub fn of(stat: &Stat) -> Stamp {
        Stamp {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size as u64,
            mtime_ns: time(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime_ns: time(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }
}

/// Seconds and nanoseconds in one number; good until the year 2262.
pub(crate) fn time(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

impl Rows {
    /// Adds the row of a file.
    pub fn add(&mut self, path: &[u8], row: &Row) {
        let out = &mut self.bytes;
        out.extend_from_slice(&(path.len() as u32).to_le_bytes());
        out.extend_from_slice(path);
        let Stamp { dev, ino, size, mtime_ns, ctime_ns } = row.stamp;
        for number in [dev, ino, size, mtime_ns as u64, ctime_ns as u64, row.traits.mtime_ns as u64] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [row.traits.mode, row.traits.uid, row.traits.gid] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(match row.fate {
            Fate::Linked => 0,
            Fate::Fresh => 1,
            Fate::Cloned => 2,
            Fate::FreshToClone => 3,
            Fate::Private => 4,
            Fate::Kept => 5,
        });
        out.extend_from_slice(&row.hash);
        self.count += 1;
    }
}

/// Writes down what was staged from one moment until another.
pub fn save(
    app: &App,
    release: &ReleaseId,
    (from_ns, until_ns): (i64, i64),
    rows: Vec<Rows>,
) -> Result<(), AtomicError> {
    save_at(&path(app), release, (from_ns, until_ns), rows)
}

/// The same, elsewhere.
pub(crate) fn save_at(
    path: &Path,
    release: &ReleaseId,
    (from_ns, until_ns): (i64, i64),
    rows: Vec<Rows>,
) -> Result<(), AtomicError> {
    let room: usize = rows.iter().map(|rows| rows.bytes.len()).sum();
    let mut out = Vec::with_capacity(room + 256);
    out.extend_from_slice(MAGIC);
    out.push(release.as_str().len() as u8);
    out.extend_from_slice(release.as_str().as_bytes());
    out.extend_from_slice(&from_ns.to_le_bytes());
    out.extend_from_slice(&until_ns.to_le_bytes());
    let count: u32 = rows.iter().map(|rows| rows.count).sum();
    out.extend_from_slice(&count.to_le_bytes());
    for rows in rows {
        out.extend_from_slice(&rows.bytes);
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    atomic::replace(path, &out)
}

/// What was staged last; `None` if that is not known.
pub fn load(app: &App) -> Option<Index> {
    load_at(&path(app))
}

/// What was written elsewhere.
pub(crate) fn load_at(path: &Path) -> Option<Index> {
    Index::parse(std::fs::read(path).ok()?)
}

fn path(app: &App) -> std::path::PathBuf {
    app.store().join("index")
}

impl Index {
    fn parse(mut bytes: Vec<u8>) -> Option<Index> {
        let body = bytes.len().checked_sub(SUM)?;
        if blake3::hash(bytes.get(..body)?).as_bytes() != bytes.get(body..)? || u32::try_from(body).is_err() {
            return None;
        }
        bytes.truncate(body);
        let mut reader = Reader { bytes: &bytes, at: 0 };
        if reader.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let len = reader.take(1)?.first().copied()?;
        let release = ReleaseId::parse(std::str::from_utf8(reader.take(usize::from(len))?).ok()?).ok()?;
        let (from_ns, until_ns) = (reader.u64()? as i64, reader.u64()? as i64);
        let count = reader.u32()?;
        let seed = std::hash::RandomState::new();
        let mut places = HashMap::with_capacity_and_hasher((count as usize).min(body / 100), BuildSame);
        for _ in 0..count {
            let at = reader.at as u32;
            let (path, _) = reader.row()?;
            places.insert(seed.hash_one(path), at);
        }
        let done = reader.at == body;
        done.then_some(Index { release, from_ns, until_ns, bytes, places, seed })
    }

    /// The release that was staged.
    pub fn release(&self) -> &ReleaseId {
        &self.release
    }

    /// When staging ended, by the clock of the file system, in nanoseconds since 1970: what changed later has a
    /// greater ctime.
    pub fn until_ns(&self) -> i64 {
        self.until_ns
    }

    /// How many files were staged.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The file that was staged at this path, if its source is still what it was.
    ///
    /// A file that had changed shortly before it was read may have changed once more within the same tick of the
    /// clock, and would look the same: that is not believed. Two seconds are enough for every file system's clock.
    pub fn unchanged(&self, path: &[u8], stamp: &Stamp) -> Option<Row> {
        const SHORTLY_NS: i64 = 2_000_000_000;
        let settled = stamp.ctime_ns < self.from_ns.saturating_sub(SHORTLY_NS);
        self.get(path).filter(|row| settled && row.stamp == *stamp)
    }

    /// The file that was staged at this path.
    pub fn get(&self, path: &[u8]) -> Option<Row> {
        let at = *self.places.get(&self.seed.hash_one(path))?;
        let (found, row) = Reader { bytes: &self.bytes, at: at as usize }.row()?;
        (found == path).then_some(row)
    }

    /// Every file with its path, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], Row)> {
        self.places.values().filter_map(|at| Reader { bytes: &self.bytes, at: *at as usize }.row())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn row(&mut self) -> Option<(&'a [u8], Row)> {
        let len = self.u32()?;
        let path = self.take(len as usize)?;
        let (dev, ino, size) = (self.u64()?, self.u64()?, self.u64()?);
        let (mtime_ns, ctime_ns) = (self.u64()? as i64, self.u64()? as i64);
        let stamp = Stamp { dev, ino, size, mtime_ns, ctime_ns };
        let mtime_ns = self.u64()? as i64;
        let traits = Traits { mode: self.u32()?, uid: self.u32()?, gid: self.u32()?, mtime_ns };
        let fate = match self.take(1)? {
            [0] => Fate::Linked,
            [1] => Fate::Fresh,
            [2] => Fate::Cloned,
            [3] => Fate::FreshToClone,
            [4] => Fate::Private,
            [5] => Fate::Kept,
            _ => return None,
        };
        let hash = self.take(32)?.try_into().ok()?;
        Some((path, Row { stamp, traits, fate, hash }))
    }
}

/// The keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct BuildSame;

#[derive(Debug, Default)]
struct Same(u64);

impl BuildHasher for BuildSame {
    type Hasher = Same;

    fn build_hasher(&self) -> Same {
        Same(0)
    }
}

impl std::hash::Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(seed: u64) -> Row {
        let stamp = Stamp { dev: 1, ino: seed, size: seed * 3, mtime_ns: -(seed as i64), ctime_ns: 7 };
        let traits = Traits { mode: 0o644, uid: 1, gid: 2, mtime_ns: seed as i64 };
        let fates = [Fate::Linked, Fate::Fresh, Fate::Cloned, Fate::FreshToClone, Fate::Private];
        Row { stamp, traits, fate: fates[seed as usize % 5], hash: [seed as u8; 32] }
    }

    proptest! {
        #[test]
        fn what_is_saved_is_found_again_and_a_changed_byte_is_noticed(paths in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 1..20), 0..20), at: usize, by in 1u8..) {
            let dir = tempfile::tempdir().unwrap();
            let app = App::new(dir.path(), std::path::Path::new("current"), &[]).unwrap();
            atomic::make_dir(&app.store()).unwrap();
            let id = ReleaseId::parse("r1").unwrap();
            let mut threads = vec![Rows::default(), Rows::default()];
            for (n, one) in paths.iter().enumerate() {
                threads[n % 2].add(one, &row(n as u64));
            }
            save(&app, &id, (41, 42), threads).unwrap();
            let index = load(&app).unwrap();
            prop_assert_eq!((index.release(), index.until_ns(), index.len()), (&id, 42, paths.len()));
            for (n, one) in paths.iter().enumerate() {
                prop_assert_eq!(index.get(one), Some(row(n as u64)));
            }
            prop_assert_eq!(index.get(b"never-there-it-is-too-long-for-that"), None);
            let mut bytes = std::fs::read(path(&app)).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= by;
            prop_assert!(Index::parse(bytes).is_none());
        }
    }
}
