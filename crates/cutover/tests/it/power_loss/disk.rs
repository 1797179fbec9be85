//! Disk: every change of a story, and when a sync brought it to disk; so, what may be there after a power cut.
//!
//! POSIX promises nothing without a sync, and no more is assumed here: a file's bytes, length, mode and time are on
//! disk when that file was synced (fsync, fdatasync), a name when its directory was, and all when the file system was
//! (syncfs). Until then any of it may be there or not. What is assumed is what ext4, xfs and btrfs document: a rename
//! is one transaction, and so is a link with its text.

use super::tree::{Change, Ino, Kept, Node, Tree};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

/// A change.
#[derive(Debug, Clone)]
pub struct Op {
    pub change: Change,
    /// When it was done.
    pub at: usize,
    /// When a sync that covers it ended.
    pub durable_at: Option<usize>,
}

#[derive(Debug, Clone)]
pub struct Disk {
    /// With all that is on disk for good, up to `folded`.
    base: Tree,
    folded: usize,
    /// As the running system sees it.
    pub now: Tree,
    pub ops: Vec<Op>,
    /// The moments after which something was changed or synced.
    pub moments: Vec<usize>,
}

impl Disk {
    /// What stands at a path, long since on disk.
    pub fn of(path: &Path) -> Disk {
        let mut tree = Tree::new();
        load(&mut tree, 0, path);
        Disk { base: tree.clone(), folded: 0, now: tree, ops: Vec::new(), moments: Vec::new() }
    }

    /// A new inode, that nothing names yet.
    pub fn born(&mut self, node: Node) -> Ino {
        self.base.nodes.push(node.clone());
        self.now.nodes.push(node);
        self.now.nodes.len() - 1
    }

    pub fn change(&mut self, change: Change, at: usize) {
        self.now.apply(&change, Kept::All);
        self.ops.push(Op { change, at, durable_at: None });
        self.moment(at);
    }

    /// What was changed in an inode (or in all) before a sync began is on disk when it ended.
    pub fn sync(&mut self, ino: Option<Ino>, began: usize, ended: usize) {
        let covered = |op: &&mut Op| {
            op.durable_at.is_none() && op.at < began && ino.is_none_or(|ino| op.change.of().contains(&ino))
        };
        for op in self.ops.iter_mut().filter(covered) {
            op.durable_at = Some(ended);
        }
        self.moment(ended);
    }

    /// A moment at which the power may fail.
    pub fn moment(&mut self, at: usize) {
        if self.moments.last() != Some(&at) {
            self.moments.push(at);
        }
    }

    /// The changes done by then that a power cut may still undo. Moments must not go back.
    pub fn pending(&mut self, moment: usize) -> Vec<usize> {
        let durable = |op: &Op| op.durable_at.is_some_and(|at| at <= moment);
        while let Some(op) = self.ops.get(self.folded).filter(|op| durable(op)) {
            self.base.apply(&op.change, Kept::All);
            self.folded += 1;
        }
        let recent = self.ops.iter().enumerate().skip(self.folded);
        recent.filter(|(_, op)| op.at <= moment && !durable(op)).map(|(number, _)| number).collect()
    }

    /// The tree after a power cut at this moment, the last that [`Disk::pending`] was asked for, with so much kept of
    /// each change that is not on disk for sure.
    pub fn after(&self, moment: usize, mut kept: impl FnMut(usize) -> Kept) -> Tree {
        let mut tree = self.base.clone();
        for (number, op) in self.ops.iter().enumerate().skip(self.folded).filter(|(_, op)| op.at <= moment) {
            let sure = op.durable_at.is_some_and(|at| at <= moment);
            tree.apply(&op.change, if sure { Kept::All } else { kept(number) });
        }
        tree
    }
}

fn load(tree: &mut Tree, ino: Ino, path: &Path) {
    let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        let mode = meta.permissions().mode() & 0o7777;
        let node = if meta.is_symlink() {
            Node::Link { text: std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes() }
        } else if meta.is_dir() {
            Node::dir(mode)
        } else {
            let data = Arc::new(std::fs::read(&path).unwrap());
            let mtime_ns = Some(meta.mtime() * 1_000_000_000 + meta.mtime_nsec());
            Node::File { data, mode, mtime_ns }
        };
        tree.nodes.push(node);
        let child = tree.nodes.len() - 1;
        let name = entry.file_name().into_encoded_bytes();
        tree.apply(&Change::Enter { dir: ino, name, ino: child }, Kept::All);
        if meta.is_dir() {
            load(tree, child, &path);
        }
    }
}
