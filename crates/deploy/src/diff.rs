//! Diff: what two sealed releases have that the other has not; by their manifests, so nothing is read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use release::manifest::{Entry, Kind, Manifest};

/// What is different in the second release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Only the second has these, sorted by path.
    pub added: Vec<Change>,
    /// Both have them, with another content, mode, target or kind.
    pub changed: Vec<Change>,
    /// Only the first has these.
    pub removed: Vec<Change>,
    /// How many files and links are the same in both.
    pub same: u64,
}

/// One file or link. Directories are not listed: they come and go with what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Below the release.
    pub path: PathBuf,
    /// Its bytes in the first release; `None`: not there, or no file.
    pub before: Option<u64>,
    /// Its bytes in the second.
    pub after: Option<u64>,
    /// What changed, where both have it.
    pub what: What,
}

/// What is different about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Only one release has it.
    Presence,
    /// The content of a file.
    Content,
    /// Only the mode of a file.
    Mode,
    /// The target of a link.
    Target,
    /// It is a file in one and a link or a directory in the other.
    Kind,
}

/// Compares two releases. A file's time is not compared: it is no part of what a visitor gets.
pub fn diff(first: &Manifest, second: &Manifest) -> Diff {
    let mut diff = Diff::default();
    for (path, after) in second.entries().filter(listed) {
        match first.get(path) {
            None | Some(Entry { kind: Kind::Dir, .. }) => {
                diff.added.push(Change::new(path, None, size(after), What::Presence));
            }
            Some(before) => match between(before, after) {
                None => diff.same += 1,
                Some(what) => diff.changed.push(Change::new(path, size(before), size(after), what)),
            },
        }
    }
    for (path, before) in first.entries().filter(listed) {
        if second.get(path).is_none_or(|entry| entry.kind == Kind::Dir) {
            diff.removed.push(Change::new(path, size(before), None, What::Presence));
        }
    }
    diff
}

impl Change {
    fn new(path: &[u8], before: Option<u64>, after: Option<u64>, what: What) -> Change {
        Change { path: PathBuf::from(OsStr::from_bytes(path)), before, after, what }
    }
}

fn listed((_, entry): &(&[u8], &Entry)) -> bool {
    entry.kind != Kind::Dir
}

fn between(before: &Entry, after: &Entry) -> Option<What> {
    match (&before.kind, &after.kind) {
        (Kind::File { hash: old, .. }, Kind::File { hash: new, .. }) if old != new => Some(What::Content),
        (Kind::File { .. }, Kind::File { .. }) => (before.mode != after.mode).then_some(What::Mode),
        (Kind::Link { target: old }, Kind::Link { target: new }) => (old != new).then_some(What::Target),
        (Kind::File { .. } | Kind::Link { .. } | Kind::Dir, _) => Some(What::Kind),
    }
}

fn size(entry: &Entry) -> Option<u64> {
    match &entry.kind {
        Kind::File { size, .. } => Some(*size),
        Kind::Dir | Kind::Link { .. } => None,
    }
}
