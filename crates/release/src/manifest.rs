//! Manifest: the seal of a release. What is in it, by path; and the proof that it is whole.
//!
//! ```text
//! cutover manifest 1 NUL id NUL inode NUL born NUL count NUL
//! path NUL type NUL mode NUL size NUL mtime NUL hash NUL target NUL      once per entry, sorted by path
//! end NUL sum newline
//! ```
//! `type` is `f`, `d` or `l`; `mode` is octal; `born` and `mtime` are nanoseconds since 1970; `hash` is BLAKE3 in hex,
//! of files only; `target` is the text of links only. The release itself is the entry with the empty path. The inode
//! and the time of birth name the tree that was sealed: a directory that was remade under the same name, even with
//! the same inode, is another.

use crate::app::App;
use crate::id::ReleaseId;
use crate::live::Live;
use crate::sum::sum;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "seal")]
pub use crate::seal::{SealError, seal};

const MAGIC: &[u8] = b"cutover manifest 1";
const END: &[u8] = b"end\0";
/// Sixteen hex digits and the newline.
const SUM_LEN: usize = 17;
const VACANT: u32 = u32::MAX;

/// What a sealed release holds. About a hundred bytes of memory per entry; lookups take one hash and one comparison.
#[derive(Clone)]
pub struct Manifest {
    id: ReleaseId,
    tree: TreeId,
    paths: Box<[u8]>,
    rows: Box<[Row]>,
    /// Open addressing, at most half full: indexes into `rows`.
    table: Box<[u32]>,
}

#[derive(Clone, Debug)]
struct Row {
    at: u32,
    len: u32,
    entry: Entry,
}

/// One file, directory or link of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The permission bits, as in stat(2), without the type.
    pub mode: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// BLAKE3 of its content.
        hash: [u8; 32],
        /// Its length in bytes.
        size: u64,
        /// When it was last written, in nanoseconds since 1970.
        mtime_ns: i64,
    },
    /// A directory.
    Dir,
    /// A symbolic link.
    Link {
        /// Its text.
        target: Box<[u8]>,
    },
}

/// Which tree was sealed: a directory's inode, and when it was made (0 where the file system does not know).
///
/// Not the device: its number may be another after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeId {
    /// The inode.
    pub ino: u64,
    /// The time of birth, in nanoseconds since 1970.
    pub born_ns: i64,
}

/// The proof that a release was sealed: only this module and its `seal` make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    id: ReleaseId,
    dir: PathBuf,
    tree: TreeId,
}

/// Why there is no manifest to rely on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// There is no release of this name.
    NoRelease {
        /// The release.
        id: ReleaseId,
    },
    /// The release was never sealed.
    Unsealed {
        /// The release.
        id: ReleaseId,
    },
    /// The manifest or the release could not be read.
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// Its end is missing or its sum is wrong.
    Torn,
    /// It is not written as it should be.
    Malformed {
        /// What was wrong.
        what: &'static str,
        /// In which entry, counted from 0.
        entry: usize,
    },
    /// It was written for another tree than stands there now.
    OtherTree {
        /// The release.
        id: ReleaseId,
    },
}

/// The manifest of the release that is live; `None` if it was never sealed.
pub fn load(app: &App, live: &Live) -> Result<Option<Manifest>, ManifestError> {
    load_at(app, &live.id, &live.dir)
}

/// The manifest of the release of this name at `dir`; `None` if it was never sealed.
pub fn load_at(app: &App, id: &ReleaseId, dir: &Path) -> Result<Option<Manifest>, ManifestError> {
    let path = app.manifest(id);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let why = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            return Err(ManifestError::Unreadable { path, why });
        }
    };
    let manifest = Manifest::parse(&bytes)?;
    let tree = TreeId::of(dir).map_err(|why| ManifestError::Unreadable { path: dir.to_owned(), why })?;
    if manifest.id != *id || manifest.tree != tree {
        return Err(ManifestError::OtherTree { id: id.clone() });
    }
    Ok(Some(manifest))
}

/// The proof that this release is sealed, or why it is not.
pub fn sealed(app: &App, id: &ReleaseId) -> Result<Sealed, ManifestError> {
    let dir = find(app, id).ok_or_else(|| ManifestError::NoRelease { id: id.clone() })?;
    match load_at(app, id, &dir)? {
        Some(manifest) => Ok(Sealed { id: id.clone(), dir, tree: manifest.tree }),
        None => Err(ManifestError::Unsealed { id: id.clone() }),
    }
}

/// Where the release of this name stands: the first of its places that is a directory.
pub fn find(app: &App, id: &ReleaseId) -> Option<PathBuf> {
    app.places(id)
        .into_iter()
        .find(|place| rustix::fs::lstat(place).is_ok_and(|stat| crate::live::is_directory(&stat)))
}

impl TreeId {
    /// The identity of the directory at this path.
    pub fn of(path: &Path) -> Result<TreeId, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        TreeId::of_dir(&openat(CWD, path, flags, Mode::empty())?)
    }

    pub(crate) fn of_dir(dir: &OwnedFd) -> Result<TreeId, Errno> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let stat = statx(dir, c"", AtFlags::EMPTY_PATH, wanted)?;
        let knows_birth = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        let born_ns =
            if knows_birth { nanoseconds(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec) } else { 0 };
        Ok(TreeId { ino: stat.stx_ino, born_ns })
    }
}

impl Sealed {
    /// The release's name.
    pub fn id(&self) -> &ReleaseId {
        &self.id
    }

    /// Where it stands.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which tree was sealed.
    pub fn tree(&self) -> TreeId {
        self.tree
    }

    #[cfg(feature = "seal")]
    pub(crate) fn new(id: ReleaseId, dir: PathBuf, tree: TreeId) -> Sealed {
        Sealed { id, dir, tree }
    }
}

impl Manifest {
    /// Takes the text of a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let body = checked(bytes)?;
        let mut fields = Fields { rest: body, entry: 0 };
        if fields.next()? != MAGIC {
            return Err(fields.malformed("it does not begin with `cutover manifest 1`"));
        }
        let id = std::str::from_utf8(fields.next()?).ok().and_then(|id| ReleaseId::parse(id).ok());
        let id = id.ok_or_else(|| fields.malformed("the release's name"))?;
        let tree = TreeId { ino: fields.number("the inode")?, born_ns: fields.number("the time of birth")? };
        let count: usize = fields.number("the count")?;
        // An entry has seven NULs at least, so a greater count is a lie: do not reserve memory for it.
        if count > body.len() / 7 || body.len() > VACANT as usize {
            return Err(fields.malformed("the count"));
        }
        let mut rows = Vec::with_capacity(count);
        let mut paths = Vec::new();
        for index in 0..count {
            fields.entry = index;
            let path = fields.next()?;
            if !ordinary(path) {
                return Err(fields.malformed("the path is not a plain relative one"));
            }
            if index > 0 && last_path(&rows, &paths) >= path {
                return Err(fields.malformed("the paths are not sorted"));
            }
            let entry = fields.entry()?;
            rows.push(Row { at: narrow(paths.len()), len: narrow(path.len()), entry });
            paths.extend_from_slice(path);
        }
        if !fields.rest.is_empty() {
            return Err(fields.malformed("something follows the last entry"));
        }
        let table = table(&rows, &paths);
        Ok(Manifest { id, tree, paths: paths.into(), rows: rows.into(), table })
    }

    /// The release that was sealed.
    pub fn id(&self) -> &ReleaseId {
        &self.id
    }

    /// The tree that was sealed.
    pub fn tree(&self) -> TreeId {
        self.tree
    }

    /// What stands at this path: relative to the release, without `.`, `..` or doubled slashes; the release itself
    /// is the empty path. Links on the way are not followed.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        let mask = self.table.len().wrapping_sub(1);
        let mut slot = spot(path, mask);
        loop {
            let row = self.rows.get(*self.table.get(slot)? as usize)?;
            if path_of(row, &self.paths) == path {
                return Some(&row.entry);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Every entry with its path, sorted by path.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&[u8], &Entry)> {
        self.rows.iter().map(|row| (path_of(row, &self.paths), &row.entry))
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest").field("id", &self.id).field("tree", &self.tree).finish_non_exhaustive()
    }
}

/// Writes a manifest; the entries are sorted by path, each path once.
#[cfg(any(test, feature = "seal"))]
pub(crate) fn write(id: &ReleaseId, tree: TreeId, entries: &[(Vec<u8>, Entry)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 160 + 128);
    let mut field = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        out.push(0);
    };
    field(MAGIC);
    field(id.as_str().as_bytes());
    field(tree.ino.to_string().as_bytes());
    field(tree.born_ns.to_string().as_bytes());
    field(entries.len().to_string().as_bytes());
    for (path, entry) in entries {
        field(path);
        let (kind, size, mtime, hash, target): (&[u8], _, _, _, &[u8]) = match &entry.kind {
            Kind::File { hash, size, mtime_ns } => {
                (b"f", size.to_string(), mtime_ns.to_string(), hex(hash), b"")
            }
            Kind::Dir => (b"d", String::new(), String::new(), String::new(), b""),
            Kind::Link { target } => (b"l", String::new(), String::new(), String::new(), target),
        };
        field(kind);
        field(format!("{:o}", entry.mode).as_bytes());
        field(size.as_bytes());
        field(mtime.as_bytes());
        field(hash.as_bytes());
        field(target);
    }
    out.extend_from_slice(END);
    let sum = sum(&out);
    out.extend_from_slice(format!("{sum:016x}\n").as_bytes());
    out
}

/// Seconds and nanoseconds in one number; good until the year 2262.
pub(crate) fn nanoseconds(seconds: i64, nanoseconds: u32) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanoseconds))
}

/// Checks the sum, and gives what stands before the end mark.
fn checked(bytes: &[u8]) -> Result<&[u8], ManifestError> {
    let split = bytes.len().checked_sub(SUM_LEN).ok_or(ManifestError::Torn)?;
    let (summed, end) = bytes.split_at(split);
    if end != format!("{:016x}\n", sum(summed)).as_bytes() {
        return Err(ManifestError::Torn);
    }
    summed.strip_suffix(END).ok_or(ManifestError::Torn)
}

/// Whether this is a relative path without empty, `.` or `..` parts. The empty path is the release itself.
fn ordinary(path: &[u8]) -> bool {
    path.is_empty() || path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

fn last_path<'a>(rows: &[Row], paths: &'a [u8]) -> &'a [u8] {
    rows.last().map_or(b"", |row| path_of(row, paths))
}

fn path_of<'a>(row: &Row, paths: &'a [u8]) -> &'a [u8] {
    paths.get(row.at as usize..row.at as usize + row.len as usize).unwrap_or_default()
}

fn table(rows: &[Row], paths: &[u8]) -> Box<[u32]> {
    let mut table = vec![VACANT; (rows.len() * 2).next_power_of_two().max(2)].into_boxed_slice();
    let mask = table.len() - 1;
    for (index, row) in rows.iter().enumerate() {
        let mut slot = spot(path_of(row, paths), mask);
        while let Some(taken) = table.get_mut(slot) {
            if *taken == VACANT {
                *taken = narrow(index);
                break;
            }
            slot = (slot + 1) & mask;
        }
    }
    table
}

fn spot(path: &[u8], mask: usize) -> usize {
    sum(path) as usize & mask
}

/// Lengths were checked against [`VACANT`] before.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(VACANT)
}

struct Fields<'a> {
    rest: &'a [u8],
    entry: usize,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a [u8], ManifestError> {
        let field = CStr::from_bytes_until_nul(self.rest).map_err(|_| self.malformed("it ends early"))?;
        self.rest = self.rest.get(field.count_bytes() + 1..).unwrap_or_default();
        Ok(field.to_bytes())
    }

    fn number<N: std::str::FromStr>(&mut self, what: &'static str) -> Result<N, ManifestError> {
        let text = std::str::from_utf8(self.next()?).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.malformed(what))
    }

    fn nothing(&mut self, what: &'static str) -> Result<(), ManifestError> {
        if self.next()?.is_empty() { Ok(()) } else { Err(self.malformed(what)) }
    }

    fn entry(&mut self) -> Result<Entry, ManifestError> {
        let kind = self.next()?;
        let mode = std::str::from_utf8(self.next()?).ok().and_then(|mode| u32::from_str_radix(mode, 8).ok());
        let mode = mode.ok_or_else(|| self.malformed("the mode"))?;
        let kind = match kind {
            b"f" => {
                let (size, mtime_ns) = (self.number("the size")?, self.number("the time")?);
                let hash = unhex(self.next()?).ok_or_else(|| self.malformed("the hash"))?;
                self.nothing("a file has no target")?;
                Kind::File { hash, size, mtime_ns }
            }
            b"d" | b"l" => {
                self.nothing("only a file has a size")?;
                self.nothing("only a file has a time")?;
                self.nothing("only a file has a hash")?;
                let target = self.next()?;
                match (kind, target) {
                    (b"l", b"") => return Err(self.malformed("a link has a target")),
                    (b"l", target) => Kind::Link { target: target.into() },
                    (_, b"") => Kind::Dir,
                    (_, _) => return Err(self.malformed("a directory has no target")),
                }
            }
            _ => return Err(self.malformed("the type is none of f, d, l")),
        };
        Ok(Entry { kind, mode })
    }

    fn malformed(&self, what: &'static str) -> ManifestError {
        ManifestError::Malformed { what, entry: self.entry }
    }
}

#[cfg(any(test, feature = "seal"))]
fn hex(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_chunks::<2>();
    let mut hash = [0; 32];
    if pairs.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::NoRelease { id } => write!(f, "there is no release {id}"),
            ManifestError::Unsealed { id } => {
                write!(
                    f,
                    "release {id} is not sealed, so it may be half built: `cutover seal {id}` if it is whole"
                )
            }
            ManifestError::Unreadable { path, why } => write!(f, "cannot read {}: {why}", path.display()),
            ManifestError::Torn => {
                write!(f, "the manifest is damaged: its end is missing or its sum is wrong")
            }
            ManifestError::Malformed { what, entry } => {
                write!(f, "the manifest is malformed at entry {entry}: {what}")
            }
            ManifestError::OtherTree { id } => write!(
                f,
                "the directory of release {id} was replaced since it was sealed: `cutover seal {id}` if it is whole"
            ),
        }
    }
}

impl std::error::Error for ManifestError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let kind =
            prop_oneof![
                (any::<[u8; 32]>(), any::<u64>(), any::<i64>())
                    .prop_map(|(hash, size, mtime_ns)| Kind::File { hash, size, mtime_ns }),
                Just(Kind::Dir),
                vec(1u8.., 1..20).prop_map(|target| Kind::Link { target: target.into() }),
            ];
        (kind, 0u32..0o10000).prop_map(|(kind, mode)| Entry { kind, mode })
    }

    fn entries() -> impl Strategy<Value = Vec<(Vec<u8>, Entry)>> {
        let part = vec(prop_oneof![Just(b'a'), Just(b'\n'), 1u8..], 1..4)
            .prop_filter("ordinary", |part| !part.contains(&b'/') && !matches!(&part[..], b"." | b".."));
        let path = vec(part, 1..4).prop_map(|parts| parts.join(&b'/'));
        btree_map(path, entry(), 0..40).prop_map(|map| map.into_iter().collect())
    }

    fn id() -> ReleaseId {
        ReleaseId::parse("r1").unwrap()
    }

    const TREE: TreeId = TreeId { ino: 7, born_ns: -1 };

    proptest! {
        #[test]
        fn what_was_written_is_read(entries in entries()) {
            let manifest = Manifest::parse(&write(&id(), TREE, &entries)).unwrap();
            prop_assert_eq!((manifest.id(), manifest.tree(), manifest.len()), (&id(), TREE, entries.len()));
            let read: Vec<_> = manifest.entries().map(|(path, entry)| (path.to_vec(), entry.clone())).collect();
            prop_assert_eq!(&read, &entries);
            for (path, entry) in &entries {
                prop_assert_eq!(manifest.get(path), Some(entry));
                let other = [&path[..], b"/none"].concat();
                prop_assert_eq!(manifest.get(&other), entries.iter().find(|e| e.0 == other).map(|e| &e.1));
            }
        }

        #[test]
        fn any_bytes_give_a_manifest_or_an_error(bytes in vec(any::<u8>(), 0..300), entries in entries(), at: usize) {
            prop_assert!(Manifest::parse(&bytes).is_err());
            // With a right sum the parser proper is reached.
            let mut text = write(&id(), TREE, &entries);
            text.truncate(text.len() - SUM_LEN - END.len());
            let at = at % (text.len() + 1);
            text.splice(at..(at + bytes.len() / 9).min(text.len()), bytes.iter().copied().take(9));
            text.extend_from_slice(END);
            let sum = sum(&text);
            text.extend_from_slice(format!("{sum:016x}\n").as_bytes());
            // Not that it is refused (a changed path may be a fine path), but that it comes back.
            if let Ok(manifest) = Manifest::parse(&text) {
                for (path, entry) in manifest.entries() {
                    prop_assert_eq!(manifest.get(path), Some(entry));
                }
            }
        }
    }

    #[test]
    fn a_torn_or_rotten_manifest_is_refused_at_every_byte() {
        let entries = vec![
            (b"".to_vec(), Entry { kind: Kind::Dir, mode: 0o755 }),
            (b"a".to_vec(), Entry { kind: Kind::File { hash: [9; 32], size: 3, mtime_ns: 5 }, mode: 0o644 }),
            (b"b".to_vec(), Entry { kind: Kind::Link { target: (*b"a").into() }, mode: 0o777 }),
        ];
        let text = write(&id(), TREE, &entries);
        assert!(Manifest::parse(&text).is_ok());
        for end in 0..text.len() {
            assert_eq!(Manifest::parse(&text[..end]).err(), Some(ManifestError::Torn), "cut at {end}");
            let mut rotten = text.clone();
            rotten[end] ^= 1;
            assert_eq!(Manifest::parse(&rotten).err(), Some(ManifestError::Torn), "changed at {end}");
        }
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for path in ["/etc", "a//b", "../a", "a/../b", "./a", "a/"] {
            let entries = vec![(path.as_bytes().to_vec(), Entry { kind: Kind::Dir, mode: 0o755 })];
            let error = Manifest::parse(&write(&id(), TREE, &entries)).err();
            assert!(matches!(error, Some(ManifestError::Malformed { entry: 0, .. })), "{path}: {error:?}");
        }
    }
}
