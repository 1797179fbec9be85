//! Replay: the system calls of a trace as changes and syncs of a disk. What nobody modelled is a panic, not a gap.

use super::disk::Disk;
use super::trace::{Arg, Call, bytes};
use super::tree::{Change, Ino, Node};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Replays what happens below one directory.
#[derive(Clone)]
pub struct Replay {
    root: Vec<u8>,
    umask: u32,
    pub disk: Disk,
    /// Where the next write to an open file goes; `None`: to its end. One process writes a file at a time.
    cursors: HashMap<Ino, Option<usize>>,
    /// Lines of the traces before.
    before: usize,
}

impl Replay {
    /// Of what stands there, which is its real path.
    pub fn of(root: &Path) -> Replay {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
        Replay {
            root: root.as_os_str().as_encoded_bytes().to_vec(),
            umask: u32::from_str_radix(umask.trim(), 8).unwrap(),
            disk: Disk::of(root),
            cursors: HashMap::new(),
            before: 0,
        }
    }

    /// Replays a command; gives the moment of its end.
    pub fn command(&mut self, calls: &[&Call]) -> usize {
        for call in calls {
            self.call(call);
        }
        let end = self.before + calls.iter().map(|call| call.ended).max().unwrap_or(0) + 1;
        self.disk.moment(end);
        self.before = end + 1;
        end
    }

    fn call(&mut self, call: &Call) {
        let at = self.before + call.ended;
        match call.name.as_str() {
            "openat" => self.open(call, &self.path(call, 0, 1), call.word(2), at),
            "openat2" => self.open(call, &self.path(call, 0, 1), call.word(2), at),
            "write" => self.write(call, call.text(1).to_vec(), at),
            "writev" => self.write(call, vectors(call), at),
            "pwrite64" => {
                let Some(ino) = self.opened(call, 0) else { return };
                let bytes = call.text(1)[..call.result as usize].to_vec();
                self.disk.change(Change::Write { ino, offset: call.number(3) as usize, bytes }, at);
            }
            "copy_file_range" => self.copy(call, 0, 2, at),
            "sendfile" => self.copy(call, 1, 0, at),
            "ftruncate" => {
                let Some(ino) = self.opened(call, 0) else { return };
                self.disk.change(Change::Cut { ino, len: call.number(1) as usize }, at);
            }
            "ioctl" => assert!(self.opened(call, 0).is_none(), "what is this? {call:?}"),
            "mkdir" => self.make(self.lone(call, 0), Node::dir(self.mode(call.number(1))), at),
            "mkdirat" => self.make(self.path(call, 0, 1), Node::dir(self.mode(call.number(2))), at),
            "symlink" => self.make(self.lone(call, 1), Node::Link { text: call.text(0).to_vec() }, at),
            "symlinkat" => self.make(self.path(call, 1, 2), Node::Link { text: call.text(0).to_vec() }, at),
            "link" => self.link(self.lone(call, 0), self.lone(call, 1), at),
            "linkat" => self.link(self.path(call, 0, 1), self.path(call, 2, 3), at),
            "unlink" | "rmdir" => self.leave(self.lone(call, 0), at),
            "unlinkat" => self.leave(self.path(call, 0, 1), at),
            "rename" => self.rename(self.lone(call, 0), self.lone(call, 1), at),
            "renameat" => self.rename(self.path(call, 0, 1), self.path(call, 2, 3), at),
            "renameat2" => {
                assert!(["0", "RENAME_NOREPLACE"].contains(&call.word(4)), "{call:?}");
                self.rename(self.path(call, 0, 1), self.path(call, 2, 3), at);
            }
            "fchmod" => {
                let Some(ino) = self.opened(call, 0) else { return };
                self.disk.change(Change::Mode { ino, mode: call.number(1) as u32 }, at);
            }
            "chmod" | "fchmodat" => {
                let first = usize::from(call.name == "fchmodat");
                let path = if first == 1 { self.path(call, 0, 1) } else { self.lone(call, 0) };
                let Some(ino) = path.and_then(|path| self.disk.now.find(&path, true)) else { return };
                self.disk.change(Change::Mode { ino, mode: call.number(first + 1) as u32 }, at);
            }
            "utimensat" => {
                let ino = match &call.args[1] {
                    // Through an open file; else by path, at whose end a link may be meant.
                    Arg::Word(_) => self.opened(call, 0),
                    Arg::Text(_) | Arg::Open { .. } => {
                        let follow = !call.word(3).contains("AT_SYMLINK_NOFOLLOW");
                        self.path(call, 0, 1).and_then(|path| self.disk.now.find(&path, follow))
                    }
                };
                let Some(ino) = ino else { return };
                self.disk.change(Change::Time { ino, mtime_ns: time(call.word(2)) }, at);
            }
            "fsync" | "fdatasync" => {
                let Some(ino) = self.opened(call, 0) else { return };
                self.disk.sync(Some(ino), self.before + call.began, at);
            }
            "syncfs" | "sync" => self.disk.sync(None, self.before + call.began, at),
            _ => {
                let ours = |arg: &Arg| match arg {
                    Arg::Text(text) => self.inside(text).is_some(),
                    Arg::Open { path, .. } => self.inside(path).is_some(),
                    Arg::Word(_) => false,
                };
                assert!(!call.args.iter().any(ours), "what is this? {call:?}");
            }
        }
    }

    /// The part of an absolute path below the root.
    fn inside(&self, path: &[u8]) -> Option<Vec<u8>> {
        let rest = path.strip_prefix(self.root.as_slice())?;
        (rest.is_empty() || rest.starts_with(b"/")).then(|| rest.to_vec())
    }

    /// The path that a directory and a name make.
    fn path(&self, call: &Call, dir: usize, name: usize) -> Option<Vec<u8>> {
        let name = call.text(name);
        if name.starts_with(b"/") {
            return self.inside(name);
        }
        let Arg::Open { path, deleted: false } = &call.args[dir] else { return None };
        Some([&self.inside(path)?, &b"/"[..], name].concat())
    }

    /// A path without a directory beside it.
    fn lone(&self, call: &Call, at: usize) -> Option<Vec<u8>> {
        let path = call.text(at);
        assert!(path.starts_with(b"/"), "relative to what? {call:?}");
        self.inside(path)
    }

    /// The inode of an open file that has a name below the root.
    fn opened(&self, call: &Call, at: usize) -> Option<Ino> {
        let Arg::Open { path, deleted: false } = &call.args[at] else { return None };
        let path = self.inside(path)?;
        Some(self.disk.now.find(&path, false).unwrap_or_else(|| panic!("not there: {call:?}")))
    }

    fn mode(&self, asked: u64) -> u32 {
        asked as u32 & 0o7777 & !self.umask
    }

    fn open(&mut self, call: &Call, path: &Option<Vec<u8>>, how: &str, at: usize) {
        let flags: Vec<&str> =
            how.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
        let has = |flag| flags.contains(&flag);
        let Some(path) = path else { return };
        if !(has("O_WRONLY") || has("O_RDWR") || has("O_CREAT")) || has("O_DIRECTORY") {
            return;
        }
        let (dir, name) = self.disk.now.place(path, !has("O_NOFOLLOW") && !has("O_EXCL")).unwrap();
        let ino = match self.disk.now.child(dir, &name) {
            Some(ino) => ino,
            None => {
                let asked = if call.name == "openat" {
                    call.number(3)
                } else {
                    let mode = how.split("mode=").nth(1).unwrap().split([',', '}']).next().unwrap();
                    u64::from_str_radix(mode, 8).unwrap()
                };
                let ino = self.disk.born(Node::file(self.mode(asked)));
                self.disk.change(Change::Enter { dir, name, ino }, at);
                ino
            }
        };
        if has("O_TRUNC") && self.length(ino) > 0 {
            self.disk.change(Change::Cut { ino, len: 0 }, at);
        }
        self.cursors.insert(ino, (!has("O_APPEND")).then_some(0));
    }

    fn length(&self, ino: Ino) -> usize {
        match &self.disk.now.nodes[ino] {
            Node::File { data, .. } => data.len(),
            other @ (Node::Dir { .. } | Node::Link { .. }) => panic!("no file: {other:?}"),
        }
    }

    fn write(&mut self, call: &Call, mut bytes: Vec<u8>, at: usize) {
        let Some(ino) = self.opened(call, 0) else { return };
        bytes.truncate(call.result as usize);
        let cursor = self.cursors.get(&ino).copied().unwrap_or_else(|| panic!("never opened: {call:?}"));
        let offset = cursor.unwrap_or_else(|| self.length(ino));
        if cursor.is_some() {
            self.cursors.insert(ino, Some(offset + bytes.len()));
        }
        self.disk.change(Change::Write { ino, offset, bytes }, at);
    }

    /// Both files are copied from their beginning on, so they have one cursor.
    fn copy(&mut self, call: &Call, from: usize, to: usize, at: usize) {
        let Some(ino) = self.opened(call, to) else { return };
        let offset = self.cursors[&ino].unwrap();
        let until = offset + call.result as usize;
        let source = match (self.opened(call, from), &call.args[from]) {
            (Some(from), _) => match &self.disk.now.nodes[from] {
                Node::File { data, .. } => Arc::clone(data),
                other @ (Node::Dir { .. } | Node::Link { .. }) => panic!("no file: {other:?}"),
            },
            // Not on this disk: it stands there unchanged.
            (None, Arg::Open { path, .. }) => {
                let path = std::str::from_utf8(path).unwrap();
                Arc::new(std::fs::read(path).unwrap())
            }
            (None, other) => panic!("{other:?}"),
        };
        self.cursors.insert(ino, Some(until));
        self.disk.change(Change::Write { ino, offset, bytes: source[offset..until].to_vec() }, at);
    }

    fn make(&mut self, path: Option<Vec<u8>>, node: Node, at: usize) {
        let Some((dir, name)) = path.and_then(|path| self.disk.now.place(&path, false)) else { return };
        let ino = self.disk.born(node);
        self.disk.change(Change::Enter { dir, name, ino }, at);
    }

    fn link(&mut self, from: Option<Vec<u8>>, to: Option<Vec<u8>>, at: usize) {
        let Some(to) = to else { return };
        let ino = self.disk.now.find(&from.unwrap(), false).unwrap();
        let (dir, name) = self.disk.now.place(&to, false).unwrap();
        self.disk.change(Change::Enter { dir, name, ino }, at);
    }

    fn leave(&mut self, path: Option<Vec<u8>>, at: usize) {
        let Some(path) = path else { return };
        let (dir, name) = self.disk.now.place(&path, false).unwrap();
        let ino = self.disk.now.child(dir, &name).unwrap();
        self.disk.change(Change::Leave { dir, name, ino }, at);
    }

    fn rename(&mut self, from: Option<Vec<u8>>, to: Option<Vec<u8>>, at: usize) {
        let (from, to) = match (from, to) {
            (Some(from), Some(to)) => (from, to),
            (None, None) => return,
            (from, to) => panic!("across the border: {from:?} to {to:?}"),
        };
        let (from, to) =
            (self.disk.now.place(&from, false).unwrap(), self.disk.now.place(&to, false).unwrap());
        let ino = self.disk.now.child(from.0, &from.1).unwrap();
        self.disk.change(Change::Rename { from, to, ino }, at);
    }
}

/// The buffers of a writev, one after the other.
fn vectors(call: &Call) -> Vec<u8> {
    let parts = call.word(1).split("iov_base=\"").skip(1);
    parts.flat_map(|part| bytes(part.split('"').next().unwrap())).collect()
}

/// The second of two times: `[UTIME_OMIT, {tv_sec=1, tv_nsec=2}]`.
fn time(times: &str) -> i64 {
    let number = |key: &str| -> i64 {
        let text = times.rsplit(key).next().unwrap();
        text.split(|letter: char| !letter.is_ascii_digit() && letter != '-').next().unwrap().parse().unwrap()
    };
    number("tv_sec=") * 1_000_000_000 + number("tv_nsec=")
}
