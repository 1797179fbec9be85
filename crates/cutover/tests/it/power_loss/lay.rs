//! Lay: a tree of the model made in earnest, for the program that has to go on with it.

use super::tree::{Ino, Node, Tree};
use release::manifest::{Manifest, TreeId};
use std::collections::HashMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Makes the tree at a path that is not there yet.
pub fn out(tree: &Tree, at: &Path) {
    let mut laid: HashMap<Ino, PathBuf> = HashMap::new();
    for (path, ino) in tree.below(0) {
        let path = match path.as_slice() {
            b"" => at.to_owned(),
            path => at.join(std::ffi::OsStr::from_bytes(path)),
        };
        match &tree.nodes[ino] {
            Node::Dir { mode, .. } => {
                fs::create_dir(&path).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
            }
            Node::Link { text } => link(text, &path),
            // A further name of a file.
            Node::File { .. } if laid.contains_key(&ino) => fs::hard_link(&laid[&ino], &path).unwrap(),
            Node::File { data, mode, mtime_ns } => {
                fs::write(&path, data.as_slice()).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
                if let Some(mtime_ns) = mtime_ns.and_then(|time| u64::try_from(time).ok()) {
                    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_nanos(mtime_ns));
                    File::options().append(true).open(&path).unwrap().set_times(times).unwrap();
                }
            }
        }
        laid.entry(ino).or_insert(path);
    }
    for entry in fs::read_dir(at.join(".cutover/manifests")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let dir = at.join("releases").join(path.file_name().unwrap());
        if let Ok(tree) = TreeId::of(&dir) {
            let sealed = fs::read(&path).unwrap();
            fs::write(&path, sealed_as(&sealed, tree)).unwrap();
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a link as a power cut left it")]
fn link(text: &[u8], at: &Path) {
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(text), at).unwrap();
}

/// The seal with another tree's inode and time of birth: after a power cut they would be what they were. One that is
/// torn stays so.
fn sealed_as(seal: &[u8], tree: TreeId) -> Vec<u8> {
    if Manifest::parse(seal).is_err() {
        return seal.to_vec();
    }
    let summed = &seal[..seal.len() - 17];
    let mut fields: Vec<&[u8]> = summed.split(|byte| *byte == 0).collect();
    let (ino, born) = (tree.ino.to_string(), tree.born_ns.to_string());
    (fields[2], fields[3]) = (ino.as_bytes(), born.as_bytes());
    let mut out = fields.join(&0);
    let sum = sum(&out);
    out.extend_from_slice(format!("{sum:016x}\n").as_bytes());
    assert!(Manifest::parse(&out).is_ok(), "the form of manifests has changed");
    out
}

/// The sum at the end of a manifest, a part of its form.
fn sum(bytes: &[u8]) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = STEP ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(STEP).rotate_left(29);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    sum = (sum ^ u64::from_le_bytes(last)).wrapping_mul(STEP);
    sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}
