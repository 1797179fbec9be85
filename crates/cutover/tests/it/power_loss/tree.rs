//! Tree: files, directories and links as they are at one moment, or may be after a power cut.

use std::collections::BTreeMap;
use std::sync::Arc;

/// An inode: a number into [`Tree::nodes`]. The top is 0.
pub type Ino = usize;

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    File {
        data: Arc<Vec<u8>>,
        mode: u32,
        /// `None`: whenever it was written.
        mtime_ns: Option<i64>,
    },
    Dir {
        entries: BTreeMap<Vec<u8>, Ino>,
        mode: u32,
    },
    Link {
        text: Vec<u8>,
    },
}

/// What a system call changes, in terms of inodes: so it can be done even if one before it was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Enter {
        dir: Ino,
        name: Vec<u8>,
        ino: Ino,
    },
    Leave {
        dir: Ino,
        name: Vec<u8>,
        ino: Ino,
    },
    /// One transaction in each file system that is worth the name: never half done.
    Rename {
        from: (Ino, Vec<u8>),
        to: (Ino, Vec<u8>),
        ino: Ino,
    },
    Write {
        ino: Ino,
        offset: usize,
        bytes: Vec<u8>,
    },
    Cut {
        ino: Ino,
        len: usize,
    },
    Mode {
        ino: Ino,
        mode: u32,
    },
    Time {
        ino: Ino,
        mtime_ns: i64,
    },
}

/// How much of a change is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    All,
    /// Of a write the length, but zeros where its bytes should be.
    Zeros,
    /// Of a write so many bytes.
    Torn(usize),
    Nothing,
}

/// All inodes, those that nothing names included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub nodes: Vec<Node>,
}

impl Node {
    pub fn dir(mode: u32) -> Node {
        Node::Dir { entries: BTreeMap::new(), mode }
    }

    pub fn file(mode: u32) -> Node {
        Node::File { data: Arc::default(), mode, mtime_ns: None }
    }
}

impl Change {
    /// The inodes whose sync brings it to disk; either does.
    pub fn of(&self) -> [Ino; 2] {
        match self {
            Change::Enter { dir, .. } | Change::Leave { dir, .. } => [*dir, *dir],
            Change::Rename { from, to, .. } => [from.0, to.0],
            Change::Write { ino, .. }
            | Change::Cut { ino, .. }
            | Change::Mode { ino, .. }
            | Change::Time { ino, .. } => [*ino, *ino],
        }
    }

    /// Whether it changes a directory's entries.
    pub fn is_name(&self) -> bool {
        matches!(self, Change::Enter { .. } | Change::Leave { .. } | Change::Rename { .. })
    }
}

impl Tree {
    pub fn new() -> Tree {
        Tree { nodes: vec![Node::dir(0o755)] }
    }

    /// Does so much of a change.
    pub fn apply(&mut self, change: &Change, kept: Kept) {
        if kept == Kept::Nothing {
            return;
        }
        match change {
            Change::Enter { dir, name, ino } => {
                self.entries(*dir).insert(name.clone(), *ino);
            }
            Change::Leave { dir, name, ino } => self.leave(*dir, name, *ino),
            Change::Rename { from, to, ino } => {
                self.leave(from.0, &from.1, *ino);
                self.entries(to.0).insert(to.1.clone(), *ino);
            }
            Change::Write { ino, offset, bytes } => {
                let len = match kept {
                    Kept::Torn(len) => len.min(bytes.len()),
                    Kept::All | Kept::Zeros | Kept::Nothing => bytes.len(),
                };
                let Node::File { data, .. } = &mut self.nodes[*ino] else { panic!("a write to no file") };
                let data = Arc::make_mut(data);
                if data.len() < offset + len {
                    data.resize(offset + len, 0);
                }
                if kept != Kept::Zeros {
                    data[*offset..offset + len].copy_from_slice(&bytes[..len]);
                }
            }
            Change::Cut { ino, len } => {
                let Node::File { data, .. } = &mut self.nodes[*ino] else { panic!("a cut of no file") };
                Arc::make_mut(data).resize(*len, 0);
            }
            Change::Mode { ino, mode: new } => match &mut self.nodes[*ino] {
                Node::File { mode, .. } | Node::Dir { mode, .. } => *mode = *new,
                Node::Link { .. } => {}
            },
            Change::Time { ino, mtime_ns: new } => {
                if let Node::File { mtime_ns, .. } = &mut self.nodes[*ino] {
                    *mtime_ns = Some(*new);
                }
            }
        }
    }

    /// As if nobody had ever set a file's time.
    pub fn forget_times(&mut self) {
        for node in &mut self.nodes {
            if let Node::File { mtime_ns, .. } = node {
                *mtime_ns = None;
            }
        }
    }

    fn leave(&mut self, dir: Ino, name: &[u8], ino: Ino) {
        let entries = self.entries(dir);
        if entries.get(name) == Some(&ino) {
            entries.remove(name);
        }
    }

    fn entries(&mut self, dir: Ino) -> &mut BTreeMap<Vec<u8>, Ino> {
        match &mut self.nodes[dir] {
            Node::Dir { entries, .. } => entries,
            other @ (Node::File { .. } | Node::Link { .. }) => panic!("no directory: {other:?}"),
        }
    }

    pub fn child(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        match &self.nodes[dir] {
            Node::Dir { entries, .. } => entries.get(name).copied(),
            Node::File { .. } | Node::Link { .. } => None,
        }
    }

    /// The directory and name that a path leads to, through links on its way; with `follow` through one at its end
    /// too. `None`: it leads out of the tree or through what is not there.
    pub fn place(&self, path: &[u8], follow: bool) -> Option<(Ino, Vec<u8>)> {
        let mut todo: Vec<Vec<u8>> = parts(path);
        let mut way: Vec<Ino> = vec![0];
        let mut hops = 0;
        while let Some(name) = todo.pop() {
            let dir = *way.last()?;
            if name == b".." {
                way.pop();
                continue;
            }
            let child = self.child(dir, &name);
            if let Some(Node::Link { text }) = child.map(|ino| &self.nodes[ino])
                && (follow || !todo.is_empty())
            {
                hops += 1;
                if hops > 16 || text.starts_with(b"/") {
                    return None;
                }
                todo.extend(parts(text));
                continue;
            }
            if todo.is_empty() {
                return Some((dir, name));
            }
            way.push(child?);
        }
        None
    }

    /// What a path leads to; the empty one to the top.
    pub fn find(&self, path: &[u8], follow: bool) -> Option<Ino> {
        if parts(path).is_empty() {
            return Some(0);
        }
        let (dir, name) = self.place(path, follow)?;
        self.child(dir, &name)
    }

    /// The content of the file at a path.
    pub fn read(&self, path: &[u8]) -> Option<&[u8]> {
        match &self.nodes[self.find(path, true)?] {
            Node::File { data, .. } => Some(data),
            Node::Dir { .. } | Node::Link { .. } => None,
        }
    }

    /// Everything that can be reached from a directory, by path below it, sorted.
    pub fn below(&self, top: Ino) -> Vec<(Vec<u8>, Ino)> {
        let mut found = Vec::new();
        let mut todo = vec![(Vec::new(), top)];
        while let Some((path, ino)) = todo.pop() {
            if let Node::Dir { entries, .. } = &self.nodes[ino] {
                for (name, child) in entries {
                    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                    todo.push(([&path, slash, name].concat(), *child));
                }
            }
            found.push((path, ino));
        }
        found.sort();
        found
    }
}

/// The names of a path, the last first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}
