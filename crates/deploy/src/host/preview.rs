//! Preview: what a deploy of a listed tree would change, told by the list alone.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use release::manifest::{self, Kind};
use release::{App, live};

use super::list::{Entry, Is};
use crate::stage::{Change, Oddity, Preview, Rules};

/// Compares a tree with the release that is live. Without one, everything is added.
pub fn preview(app: &App, rules: &Rules, entries: &[Entry]) -> Preview {
    let live = live::read(app).ok().and_then(|live| manifest::load(app, &live).ok().flatten());
    let mut had = HashSet::new();
    for (_, entry) in live.iter().flat_map(|live| live.entries()) {
        if let Kind::File { hash, .. } = &entry.kind {
            had.insert(*hash);
        }
    }
    let shared = rules.shared_dirs.iter().chain(&rules.shared_files);
    let shared: Vec<&[u8]> = shared.map(|path| path.as_os_str().as_bytes()).collect();
    let is_shared = |path: &[u8]| {
        let below =
            |place: &&[u8]| path.strip_prefix(*place).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        shared.iter().any(below)
    };
    let mut preview = Preview::default();
    let mut met = HashSet::new();
    for Entry { path, mode, is } in entries.iter().filter(|entry| !is_shared(&entry.path)) {
        let there = live.as_ref().and_then(|live| live.get(path)).filter(|there| there.kind != Kind::Dir);
        let (bytes, same) = match is {
            Is::Dir => continue,
            Is::File { size, hash, .. } => {
                if !had.contains(hash) {
                    preview.bytes_new += size;
                }
                let same = there.is_some_and(|there| {
                    there.mode == *mode
                        && matches!(&there.kind, Kind::File { hash: other, .. } if other == hash)
                });
                (*size, same)
            }
            Is::Link { text } => {
                if text.starts_with(b"/") {
                    preview.oddities.push(Oddity::Absolute { path: path_of(path), target: path_of(text) });
                }
                let same = there
                    .is_some_and(|there| matches!(&there.kind, Kind::Link { target } if **target == **text));
                (0, same)
            }
        };
        met.insert(path.as_slice());
        let change = Change { path: path_of(path), bytes };
        match (there.is_some(), same) {
            (_, true) => preview.same += 1,
            (true, false) => preview.changed.push(change),
            (false, false) => preview.added.push(change),
        }
    }
    for (path, entry) in live.iter().flat_map(|live| live.entries()) {
        let bytes = match &entry.kind {
            Kind::Dir => continue,
            Kind::File { size, .. } => *size,
            Kind::Link { .. } => 0,
        };
        if !met.contains(path) && !is_shared(path) {
            preview.removed.push(Change { path: path_of(path), bytes });
        }
    }
    for list in [&mut preview.added, &mut preview.changed, &mut preview.removed] {
        list.sort();
    }
    preview
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
