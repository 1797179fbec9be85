//! FPM: masters of PHP-FPM with their pools, from their files and from the pools themselves.

mod find;
pub mod pool;
pub mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use pool::Pool;
pub use status::{Status, Worker};

use super::ini::{Entry, Ini};
use super::mounts::{self, Mount};
use super::php::Files;
use super::{glob, procs};
use crate::finding::Blind;
use crate::machine::{Machine, NoLook, Why};
use crate::source::Sources;

/// A master: one configuration, one opcache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// Its main file, as it sees it.
    pub conf: PathBuf,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// Where its `/` is from here: `/`, or `/proc/PID/root` if it runs in a container.
    pub root: PathBuf,
    /// What it sees mounted, if it runs in a container.
    pub mounts: Vec<Mount>,
    /// Its files, in the order in which they are read.
    pub files: Vec<Ini>,
    /// php.ini and what is read with it.
    pub php: Arc<Files>,
    /// Its pools.
    pub pools: Vec<Pool>,
    /// What could not be looked at.
    pub blind: Vec<Blind>,
}

/// How deep includes may go, as in PHP-FPM (fpm_conf.c).
const DEPTH_MAX: usize = 5;

/// Files of one master; more are an accident.
const FILES_MAX: usize = 5_000;

/// Lines of one master, in all its files; a hundred pools have some thousands.
const LINES_MAX: usize = 200_000;

/// All masters: those whose files are named; else those that run; else those that are installed.
pub fn look(
    machine: &dyn Machine,
    sources: &mut Sources,
    named: &[PathBuf],
    search: bool,
) -> (Vec<Master>, Vec<Blind>) {
    let (found, blind) = find::masters(machine, named, search);
    let mut masters: Vec<Master> = Vec::new();
    for found in found {
        masters.push(Master::look(machine, sources, found));
    }
    (masters, blind)
}

impl Master {
    fn look(machine: &dyn Machine, sources: &mut Sources, found: find::Found) -> Master {
        let find::Found { conf, pid, root } = found;
        let mounts = pid.filter(|_| root != Path::new("/")).map(|pid| mounts::of(machine, &procs::dir(pid)));
        let mounts = mounts.and_then(Result::ok).unwrap_or_default();
        let mut master = Master {
            mounts,
            conf,
            pid,
            root,
            files: Vec::new(),
            php: Arc::default(),
            pools: Vec::new(),
            blind: Vec::new(),
        };
        let main = master.there(&master.conf);
        master.read(machine, sources, &main, 0);
        let mut pools = pool::of(&master);
        for pool in &mut pools {
            pool.ask(machine);
        }
        master.php = Arc::new(master.php_files(machine, sources, &pools));
        for pool in &mut pools {
            pool.php.files = Arc::clone(&master.php);
        }
        master.pools = pools;
        master
    }

    /// Where a path of its own is from here.
    pub fn there(&self, path: &Path) -> PathBuf {
        if self.root == Path::new("/") {
            return path.to_owned();
        }
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The line of `[global]` that sets a key: the last one.
    pub fn global(&self, key: &str) -> Option<&Entry> {
        let mut entries = self.files.iter().flat_map(|ini| &ini.entries);
        entries.rfind(|entry| entry.section.eq_ignore_ascii_case("global") && entry.key == key)
    }

    /// php.ini and what is read with it: as the running PHP says, else as Debian lays it out.
    fn php_files(&self, machine: &dyn Machine, sources: &mut Sources, pools: &[Pool]) -> Files {
        let told = pools.iter().find_map(|pool| pool.php.inside());
        if let Some(inside) = told {
            let paths =
                std::iter::once(&inside.loaded).chain(&inside.scanned).filter(|path| !path.is_empty());
            let paths: Vec<PathBuf> = paths.map(|path| self.there(Path::new(path))).collect();
            return Files::read(machine, sources, &paths);
        }
        let dir = self.there(self.conf.parent().unwrap_or(Path::new("/")));
        Files::beside(machine, sources, &dir)
    }

    fn read(&mut self, machine: &dyn Machine, sources: &mut Sources, path: &Path, depth: usize) {
        if self.files.len() >= FILES_MAX || depth > DEPTH_MAX {
            let why =
                if depth > DEPTH_MAX { "includes go in a circle, or too deep" } else { "too many files" };
            self.blind.push(NoLook::at(path, Why::Failed(why.into())).into());
            return;
        }
        let source = match sources.read(machine, path) {
            Ok(source) => source,
            Err(why) => {
                self.blind.push(why.into());
                return;
            }
        };
        let ini = Ini::parse(&source);
        let lines: usize = self.files.iter().map(|ini| ini.entries.len() + ini.heads.len()).sum();
        if ini.cut || lines > LINES_MAX {
            self.blind.push(NoLook::at(path, Why::TooMuch).into());
            return;
        }
        let includes: Vec<Entry> =
            ini.entries.iter().filter(|entry| entry.key == "include").cloned().collect();
        self.files.push(ini);
        for include in includes {
            let pattern = path.parent().unwrap_or(Path::new("/")).join(&include.value);
            let pattern = if Path::new(&include.value).is_absolute() {
                self.there(Path::new(&include.value))
            } else {
                pattern
            };
            match glob::expand(machine, &pattern) {
                Ok(paths) => paths.iter().for_each(|path| self.read(machine, sources, path, depth + 1)),
                Err(why) => self.blind.push(Blind { at: Some(include.at), ..why.into() }),
            }
        }
    }
}
