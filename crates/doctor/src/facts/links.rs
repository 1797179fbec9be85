//! Links: how a path leads to what it names, link by link.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::finding::Blind;
use crate::machine::{Kind, Machine, NoLook, Why};

/// How a path leads to what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The path.
    pub path: PathBuf,
    /// The links on the way, in order: where each stands and its text.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Where it ends.
    pub end: End,
}

/// Where a way ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// There: its canonical path and what it is.
    There(PathBuf, Kind),
    /// This part of the way is missing.
    Missing(PathBuf),
    /// It leads in a circle.
    Circle,
    /// A part of the way could not be looked at.
    Blind(Blind),
}

/// Links followed before a way counts as a circle, as in the kernel (path_resolution(7)).
const LINKS_MAX: usize = 40;

impl Way {
    /// Follows an absolute path.
    pub fn follow(machine: &dyn Machine, path: &Path) -> Way {
        let mut way = Way { path: path.to_owned(), links: Vec::new(), end: End::Circle };
        way.end = way.walk(machine);
        way
    }

    fn walk(&mut self, machine: &dyn Machine) -> End {
        let mut at = PathBuf::from("/");
        let mut kind = Kind::Directory;
        let mut rest: Vec<OsString> = parts(&self.path).rev().collect();
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            let seen = machine.stat(&next).and_then(|stat| {
                let to = if stat.kind == Kind::Link { Some(machine.link(&next)?) } else { None };
                Ok((stat.kind, to))
            });
            match seen {
                Ok((_, Some(to))) => {
                    if self.links.len() == LINKS_MAX {
                        return End::Circle;
                    }
                    if to.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    rest.extend(parts(&to).rev());
                    self.links.push((next, to));
                }
                Ok((seen, None)) => {
                    kind = seen;
                    at = next;
                }
                Err(NoLook { why: Why::Absent, .. }) => return End::Missing(next),
                Err(why) => return End::Blind(why.into()),
            }
        }
        if at == Path::new("/") {
            kind = Kind::Directory;
        }
        End::There(at, kind)
    }

    /// The canonical path, if the way leads somewhere.
    pub fn real(&self) -> Option<&Path> {
        match &self.end {
            End::There(path, _) => Some(path),
            End::Missing(_) | End::Circle | End::Blind(_) => None,
        }
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
