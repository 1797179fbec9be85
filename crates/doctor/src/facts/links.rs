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

/// Whether a deploy may change where a way leads, while servers go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flips {
    /// No link is on the way but such as the system keeps.
    Never,
    /// By this link.
    By(PathBuf),
    /// Nothing is there, but this part of it is named as such links are.
    Named(PathBuf),
    /// It cannot be said.
    Blind(Blind),
}

/// How links are named that deploys flip.
const NAMES: [&str; 3] = ["current", "live", "current_release"];

/// Where links are the system's.
const SYSTEM: [&str; 9] = ["/", "/bin", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/var"];

/// Links followed before a way counts as a circle, as in the kernel (path_resolution(7)).
const LINKS_MAX: usize = 40;

impl Way {
    /// Follows an absolute path.
    pub fn follow(machine: &dyn Machine, path: &Path) -> Way {
        let mut way = Way { path: path.to_owned(), links: Vec::new(), end: End::Circle };
        way.end = way.walk(machine);
        way
    }

    /// Whether a deploy may change where this leads.
    pub fn flips(&self) -> Flips {
        if let Some((link, _)) = self.links.iter().find(|(link, to)| flippable(link, to)) {
            return Flips::By(link.clone());
        }
        match &self.end {
            End::There(..) => Flips::Never,
            End::Missing(_) | End::Circle => named(&self.path).map_or(Flips::Never, Flips::Named),
            End::Blind(blind) => Flips::Blind(blind.clone()),
        }
    }

    /// The last link on the way that a deploy may flip: two ways with the same one are flipped together.
    pub fn last_flip(&self) -> Option<&Path> {
        let links = self.links.iter().rev();
        links.filter(|(link, to)| flippable(link, to)).map(|(link, _)| link.as_path()).next()
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

/// Not a link that the system keeps, and not one that only says that a directory is on another disk: such a link
/// (`/var/www -> /mnt/www`) has the name of what it leads to.
fn flippable(link: &Path, to: &Path) -> bool {
    let system = link.parent().is_none_or(|dir| SYSTEM.iter().any(|is| dir == Path::new(is)));
    let moved = to.is_absolute() && to.file_name() == link.file_name();
    !system && !moved
}

/// The path down to the part that is named as links are that deploys flip.
fn named(path: &Path) -> Option<PathBuf> {
    let is = |part: &Path| part.file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known));
    path.ancestors().filter(|part| is(part)).last().map(Path::to_owned)
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_only_moves_a_directory_to_another_disk_is_no_link_that_flips() {
        for (link, to, flips) in [
            ("/srv/shop/current", "releases/r1", true),
            ("/srv/shop/current", "/srv/shop/releases/current-1", true),
            ("/srv/site", "site-a", true),
            ("/srv/www", "/mnt/disk2/www", false),
            ("/var/run", "/run", false),
            ("/etc/localtime", "/usr/share/zoneinfo/UTC", false),
        ] {
            assert_eq!(flippable(Path::new(link), Path::new(to)), flips, "{link} -> {to}");
        }
        assert_eq!(named(Path::new("/srv/shop/current/public")), Some("/srv/shop/current".into()));
        assert_eq!(named(Path::new("/srv/currently/public")), None);
    }
}
