//! App: the directory that holds a link and its releases, as it stands on disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use config::Config;

use super::links::Way;
use super::mounts::{self, Mount};
use super::tree::{File, Tree};
use super::users;
use crate::finding::Blind;
use crate::machine::{Kind, Machine, NoLook, Stat, Why};
use crate::source::{Source, Sources};

/// An app as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its root.
    pub root: PathBuf,
    /// The link, and how it leads.
    pub current: Way,
    /// Its cutover.toml, if it has one that can be read.
    pub ours: Option<Ours>,
    /// The names beside its link.
    pub beside: Vec<PathBuf>,
    /// The directories below `releases/`.
    pub releases: Vec<PathBuf>,
    /// The trees of `slots/`, if it has slots: two at most.
    pub slots: Vec<Tree>,
    /// Paths of files that have the same time and other content in two slots.
    pub slots_alike: Vec<PathBuf>,
    /// The live release.
    pub live: Option<Tree>,
    /// The directories down to its live release, with how they stand, the highest first.
    pub above: Vec<(PathBuf, Stat)>,
    /// The file system that its releases are on.
    pub mount: Option<Mount>,
    /// The mount that stands in place of its link.
    pub mounted: Option<Mount>,
    /// What could not be looked at.
    pub blind: Vec<Blind>,
}

/// An app's cutover.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// What it says.
    pub config: Config,
    /// Its text.
    pub source: Source,
}

impl App {
    /// Looks at an app. Its cutover.toml says how its link is called, else `link`, else it is `current`.
    pub fn look(machine: &dyn Machine, sources: &mut Sources, root: &Path, link: Option<&OsStr>) -> App {
        let mut blind = Vec::new();
        let ours = ours(machine, sources, root).unwrap_or_else(|why| {
            blind.push(why.into());
            None
        });
        let usual = || PathBuf::from(link.unwrap_or(OsStr::new("current")));
        let link = ours.as_ref().map_or_else(usual, |ours| ours.config.host.app.link.clone());
        let current = Way::follow(machine, &root.join(link));
        let mounts = mounts::of(machine, Path::new("/proc/self")).unwrap_or_default();
        let releases = dirs(machine, &root.join("releases"), &mut blind);
        let on = current.real().map_or(root.join("releases"), Path::to_owned);
        let mount = mounts::above(&mounts, &on).cloned();
        let mounted = mounts.into_iter().rfind(|mount| mount.point == current.path);
        let live = match &current.end {
            super::links::End::There(real, Kind::Directory) => {
                Some(Tree::look(machine, sources, real, &current.path))
            }
            super::links::End::There(..)
            | super::links::End::Missing(_)
            | super::links::End::Circle
            | super::links::End::Blind(_) => None,
        };
        let slots = dirs(machine, &root.join("slots"), &mut blind);
        let slots: Vec<Tree> =
            slots.iter().take(2).map(|slot| Tree::look(machine, sources, slot, &current.path)).collect();
        let slots_alike = alike(machine, &slots);
        let beside = current.path.parent().map(|dir| machine.entries(dir).unwrap_or_default());
        let beside = beside.unwrap_or_default().into_iter().map(PathBuf::from).collect();
        blind.extend(live.iter().flat_map(|tree| tree.blind.clone()));
        let mut app = App {
            above: Vec::new(),
            root: root.to_owned(),
            current,
            ours,
            beside,
            releases,
            slots,
            slots_alike,
            live,
            mount,
            mounted,
            blind,
        };
        app.above = users::above(machine, &app);
        app
    }

    /// Whether a path is the app's link, or leads through it.
    pub fn is_through_link(&self, path: &Path) -> bool {
        !self.current.links.is_empty() && path.starts_with(&self.current.path)
    }

    /// Whether a canonical path is one of its releases, or in one.
    pub fn is_in_releases(&self, path: &Path) -> bool {
        path.starts_with(self.root.join("releases")) || path.starts_with(self.root.join("slots"))
    }
}

fn ours(machine: &dyn Machine, sources: &mut Sources, root: &Path) -> Result<Option<Ours>, NoLook> {
    let file = root.join("cutover.toml");
    let source = match sources.read(machine, &file) {
        Ok(source) => source,
        Err(absent) if absent.is_absent() => return Ok(None),
        Err(why) => return Err(why),
    };
    match Config::parse(&source.text, &file) {
        Ok(config) => Ok(Some(Ours { config, source })),
        Err(said) => Err(NoLook::at(&file, Why::Failed(said.to_string()))),
    }
}

/// Files of one path in two slots whose times are the same and whose contents are not, so that opcache takes one for
/// the other.
fn alike(machine: &dyn Machine, slots: &[Tree]) -> Vec<PathBuf> {
    let [one, two] = slots else { return Vec::new() };
    let theirs: BTreeMap<&Path, &File> = two.php.iter().map(|file| (file.path.as_path(), file)).collect();
    let pairs = one.php.iter().filter_map(|file| Some((file, *theirs.get(file.path.as_path())?)));
    let mut to_read = COMPARED_MAX;
    let differ = pairs.filter(|(mine, other)| mine.mtime == other.mtime).filter(|(mine, other)| {
        if mine.size != other.size {
            return true;
        }
        let Some(left) = to_read.checked_sub(mine.size) else { return false };
        to_read = left;
        let read = |tree: &Tree| machine.read(&tree.root.join(&mine.path));
        matches!((read(one), read(two)), (Ok(one), Ok(two)) if one != two)
    });
    differ.map(|(file, _)| file.path.clone()).collect()
}

/// Bytes of files of equal time and size that are read to compare them; what is beyond is taken to be equal.
const COMPARED_MAX: u64 = 16 << 20;

/// The directories in a directory; none, if it is not there.
fn dirs(machine: &dyn Machine, dir: &Path, blind: &mut Vec<Blind>) -> Vec<PathBuf> {
    let names = match machine.entries(dir) {
        Ok(names) => names,
        Err(absent) if absent.is_absent() => return Vec::new(),
        Err(why) => {
            blind.push(why.into());
            return Vec::new();
        }
    };
    let paths = names.into_iter().map(|name| dir.join(name));
    paths.filter(|path| machine.stat(path).is_ok_and(|stat| stat.kind == Kind::Directory)).collect()
}
