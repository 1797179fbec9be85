//! Recorded: a machine as somebody else's doctor collected it, or as a fixture draws it.
//!
//! ```text
//! <dir>/
//!   root/           what stood on the machine's disk: files, links, directories
//!   looked.jsonl    a line for each answer that a tree of files cannot give (see [`Line`]); optional
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use fastcgi::Address;
use serde::{Deserialize, Serialize};

use super::here::{Here, words};
use super::{Kind, Machine, NoLook, Program, Question, Ran, Stat, Why};

/// A recorded machine, all in memory.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    nodes: BTreeMap<PathBuf, Node>,
    ran: Vec<(Program, Ran)>,
    asked: Vec<(String, String, String)>,
}

/// One line of `looked.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Line {
    /// What stood at a path, where it matters: a fresh checkout of a fixture has other owners and times.
    Stat {
        /// The path.
        path: PathBuf,
        /// Permission bits, octal in people's heads, decimal here.
        #[serde(default)]
        mode: Option<u32>,
        /// The owner.
        #[serde(default)]
        uid: Option<u32>,
        /// The owning group.
        #[serde(default)]
        gid: Option<u32>,
        /// Seconds since 1970.
        #[serde(default)]
        mtime: Option<i64>,
    },
    /// What stood at a path that was looked at; its bytes, if it was read, are below `root/`.
    Node {
        /// The path.
        path: PathBuf,
        /// What it was.
        kind: Kind,
        /// Permission bits.
        mode: u32,
        /// The owner.
        uid: u32,
        /// The owning group.
        gid: u32,
        /// In bytes.
        size: u64,
        /// Seconds since 1970.
        mtime: i64,
        /// The text of a link.
        #[serde(default)]
        to: Option<PathBuf>,
    },
    /// A path that was there but could not be read.
    Denied {
        /// The path.
        path: PathBuf,
    },
    /// A program's answer.
    Ran {
        /// Its file as it was asked for.
        file: PathBuf,
        /// Its switches.
        #[serde(default)]
        switches: Vec<String>,
        /// Its exit status.
        #[serde(default)]
        status: Option<i32>,
        /// What it wrote to standard output.
        #[serde(default)]
        stdout: String,
        /// What it wrote to standard error.
        #[serde(default)]
        stderr: String,
    },
    /// A PHP-FPM pool's answer.
    Asked {
        /// Where it listens, as `unix:/path` or `host:port`.
        pool: String,
        /// The question's name.
        question: String,
        /// The answer.
        answer: serde_json::Value,
    },
}

#[derive(Debug, Clone)]
struct Node {
    stat: Stat,
    is: Is,
}

#[derive(Debug, Clone)]
enum Is {
    File(Vec<u8>),
    Directory,
    Link(PathBuf),
    /// A file that nobody read.
    Unread,
    Denied,
    Other,
}

/// What a pack may hold, in bytes.
const PACK_MAX: u64 = 512 << 20;

/// Links followed before a path counts as a circle, as in the kernel (path_resolution(7)).
const LINKS_MAX: usize = 40;

impl Recorded {
    /// Reads a recorded machine from a directory, or from a pack (a tar of such a directory).
    pub fn open(dir: &Path) -> Result<Recorded, NoLook> {
        if fs::metadata(dir).map_err(|why| NoLook::io(dir, &why))?.is_file() {
            return Recorded::unpack(dir);
        }
        let mut recorded = Recorded::default();
        recorded.take(&dir.join("root"), Path::new("/"))?;
        match Here.read(&dir.join("looked.jsonl")) {
            Ok(bytes) => recorded.lines(&String::from_utf8_lossy(&bytes), dir)?,
            Err(absent) if absent.is_absent() => {}
            Err(why) => return Err(why),
        }
        Ok(recorded)
    }

    /// Reads a pack into memory; nothing of it is written to the disk.
    fn unpack(pack: &Path) -> Result<Recorded, NoLook> {
        let failed = |why: std::io::Error| NoLook::io(pack, &why);
        let mut recorded = Recorded::default();
        let mut looked = String::new();
        let mut left = PACK_MAX;
        let mut archive = tar::Archive::new(fs::File::open(pack).map_err(failed)?);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let path = entry.path().map_err(failed)?.into_owned();
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let size = entry.size();
            left = left.checked_sub(size).ok_or_else(|| NoLook::at(pack, Why::TooLarge))?;
            let mut bytes = Vec::new();
            entry.by_ref().take(size).read_to_end(&mut bytes).map_err(failed)?;
            if let Ok(inner) = path.strip_prefix("root") {
                recorded.file(&Path::new("/").join(inner), bytes);
            } else if path == Path::new("looked.jsonl") {
                looked = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        recorded.lines(&looked, pack)?;
        Ok(recorded)
    }

    /// Adds a file, and the directories above it.
    pub fn file(&mut self, path: &Path, bytes: Vec<u8>) {
        let stat = Stat { kind: Kind::File, mode: 0o644, uid: 0, gid: 0, size: bytes.len() as u64, mtime: 1 };
        self.put(path, Node { stat, is: Is::File(bytes) });
    }

    /// Adds a link, and the directories above it.
    pub fn link_to(&mut self, path: &Path, to: &Path) {
        let stat = Stat { kind: Kind::Link, mode: 0o777, uid: 0, gid: 0, size: 0, mtime: 1 };
        self.put(path, Node { stat, is: Is::Link(to.to_owned()) });
    }

    /// Adds what one line of `looked.jsonl` says.
    pub fn line(&mut self, line: Line) {
        match line {
            Line::Stat { path, mode, uid, gid, mtime } => {
                if let Some(Node { stat, .. }) = self.nodes.get_mut(&path) {
                    stat.mode = mode.unwrap_or(stat.mode);
                    stat.uid = uid.unwrap_or(stat.uid);
                    stat.gid = gid.unwrap_or(stat.gid);
                    stat.mtime = mtime.unwrap_or(stat.mtime);
                }
            }
            Line::Node { path, kind, mode, uid, gid, size, mtime, to } => {
                let known = self.nodes.remove(&path).map(|node| node.is);
                let is = match (kind, to, known) {
                    (Kind::Link, Some(to), _) => Is::Link(to),
                    (Kind::Directory, _, _) => Is::Directory,
                    (Kind::File, _, Some(is @ Is::File(_))) => is,
                    (Kind::File, _, _) => Is::Unread,
                    (Kind::Link | Kind::Socket | Kind::Other, _, _) => Is::Other,
                };
                self.put(&path, Node { stat: Stat { kind, mode, uid, gid, size, mtime }, is });
            }
            Line::Denied { path } => {
                let stat = Stat { kind: Kind::File, mode: 0, uid: 0, gid: 0, size: 0, mtime: 1 };
                self.put(&path, Node { stat, is: Is::Denied });
            }
            Line::Ran { file, switches, status, stdout, stderr } => {
                let switches = switches.into_iter().map(OsString::from).collect();
                self.ran.push((Program { file, switches }, Ran { status, stdout, stderr }));
            }
            Line::Asked { pool, question, answer } => self.asked.push((pool, question, answer.to_string())),
        }
    }

    fn lines(&mut self, text: &str, dir: &Path) -> Result<(), NoLook> {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line = serde_json::from_str(line).map_err(|said| NoLook {
                what: format!("{}/looked.jsonl:{}", dir.display(), number + 1),
                why: Why::Failed(said.to_string()),
            })?;
            self.line(line);
        }
        Ok(())
    }

    fn put(&mut self, path: &Path, node: Node) {
        for above in path.ancestors().skip(1) {
            self.nodes.entry(above.to_owned()).or_insert_with(directory);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    fn take(&mut self, from: &Path, to: &Path) -> Result<(), NoLook> {
        let stat = Here.stat(from)?;
        let is = match stat.kind {
            Kind::File => Is::File(Here.read(from)?),
            Kind::Link => Is::Link(Here.link(from)?),
            Kind::Directory => {
                for name in Here.entries(from)? {
                    self.take(&from.join(&name), &to.join(&name))?;
                }
                Is::Directory
            }
            Kind::Socket | Kind::Other => Is::Other,
        };
        let mode = fs::symlink_metadata(from).map_or(stat.mode, |stat| stat.permissions().mode() & 0o7777);
        self.put(to, Node { stat: Stat { uid: 0, gid: 0, mode, ..stat }, is });
        Ok(())
    }

    /// The node at a path, links above it followed; its own, if `last`.
    fn node(&self, path: &Path, last: bool) -> Result<&Node, NoLook> {
        let mut at = PathBuf::from("/");
        let mut rest: Vec<OsString> = parts(path).rev().collect();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(&part);
            let node = self.nodes.get(&at).ok_or_else(|| NoLook::at(path, Why::Absent))?;
            if let Is::Link(to) = &node.is
                && (last || !rest.is_empty())
            {
                links += 1;
                if links > LINKS_MAX {
                    return Err(NoLook::at(path, Why::Failed("leads in a circle".into())));
                }
                at.pop();
                if to.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(parts(to).rev());
            }
        }
        self.nodes.get(&at).ok_or_else(|| NoLook::at(path, Why::Absent))
    }
}

impl Machine for Recorded {
    fn read(&self, path: &Path) -> Result<Vec<u8>, NoLook> {
        let node = self.node(path, true)?;
        match &node.is {
            Is::File(bytes) => Ok(bytes.clone()),
            Is::Denied => Err(NoLook::at(path, Why::Denied)),
            Is::Unread => Err(NoLook::at(path, Why::Unrecorded)),
            Is::Directory | Is::Link(_) | Is::Other => {
                Err(NoLook::at(path, Why::Unlike(words(node.stat.kind).into())))
            }
        }
    }

    fn entries(&self, dir: &Path) -> Result<Vec<OsString>, NoLook> {
        let node = self.node(dir, true)?;
        if node.stat.kind != Kind::Directory {
            return Err(NoLook::at(dir, Why::Unlike(words(node.stat.kind).into())));
        }
        let real = self.real(dir)?;
        // Paths are ordered by their parts, so what is below a directory follows it.
        let below = self.nodes.range(real.clone()..).skip(1).take_while(|(path, _)| path.starts_with(&real));
        let inside = below.filter(|(path, _)| path.parent() == Some(&real));
        Ok(inside.filter_map(|(path, _)| path.file_name()).map(OsString::from).collect())
    }

    fn stat(&self, path: &Path) -> Result<Stat, NoLook> {
        self.node(path, false).map(|node| node.stat)
    }

    fn link(&self, path: &Path) -> Result<PathBuf, NoLook> {
        match &self.node(path, false)?.is {
            Is::Link(to) => Ok(to.clone()),
            Is::File(_) | Is::Unread | Is::Directory | Is::Denied | Is::Other => {
                Err(NoLook::at(path, Why::Unlike("no link".into())))
            }
        }
    }

    fn run(&self, program: &Program) -> Result<Ran, NoLook> {
        let known = self.ran.iter().find(|(known, _)| known == program);
        known.map(|(_, ran)| ran.clone()).ok_or_else(|| NoLook::at(&program.file, Why::Unrecorded))
    }

    fn ask(&self, pool: &Address, question: &Question) -> Result<String, NoLook> {
        let pool = pool.to_string();
        let known = self.asked.iter().find(|(at, name, _)| *at == pool && name == question.name());
        let unknown = || NoLook { what: format!("the pool {pool}"), why: Why::Unrecorded };
        known.map(|(.., answer)| answer.clone()).ok_or_else(unknown)
    }
}

impl Recorded {
    /// The canonical path of something that is there.
    fn real(&self, path: &Path) -> Result<PathBuf, NoLook> {
        let mut at = PathBuf::from("/");
        for part in parts(path) {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            at = match self.nodes.get(&next).map(|node| &node.is) {
                Some(Is::Link(to)) => {
                    self.node(&next, true)?;
                    self.real(&at.join(to))?
                }
                Some(Is::File(_) | Is::Unread | Is::Directory | Is::Denied | Is::Other) => next,
                None => return Err(NoLook::at(path, Why::Absent)),
            };
        }
        Ok(at)
    }
}

fn directory() -> Node {
    let stat = Stat { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 1 };
    Node { stat, is: Is::Directory }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
