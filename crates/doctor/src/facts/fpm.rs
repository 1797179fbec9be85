//! FPM: masters of PHP-FPM with their pools, from their files and from the pools themselves.

mod find;
pub mod pool;
pub mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use pool::Pool;
pub use status::{Status, Worker};

use fastcgi::Address;

use super::ini::{Entry, Ini};
use super::mounts::{self, Mount};
use super::php::Files;
use super::procs::Sees;
use super::{glob, procs};
use crate::finding::Blind;
use crate::machine::{Machine, NoLook, Question, Why};
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
    /// Whether it has a network of its own: an address of its is another one's here.
    pub own_network: bool,
    /// Whether it has processes of its own: an id that it tells is another one's here.
    pub own_processes: bool,
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
    let mut masters: Vec<Master> =
        found.into_iter().map(|found| Master::look(machine, sources, found)).collect();
    ask(machine, &mut masters);
    for master in &mut masters {
        master.php = Arc::new(master.php_files(machine, sources));
        for pool in &mut master.pools {
            pool.php.files = Arc::clone(&master.php);
        }
    }
    (masters, blind)
}

/// Asks the pools of all masters how they stand, at once: some may hang.
fn ask(machine: &dyn Machine, masters: &mut [Master]) {
    let mut pools: Vec<(Apart, &mut Pool)> = Vec::new();
    for master in masters.iter_mut() {
        let apart = Apart { files: master.root != Path::new("/"), processes: master.own_processes };
        pools.extend(master.pools.iter_mut().map(|pool| (apart, pool)));
    }
    let asked = pools.iter().enumerate();
    let asked = asked.flat_map(|(at, (_, pool))| pool.questions().into_iter().map(move |asked| (at, asked)));
    let asked: Vec<(usize, (Address, Question))> = asked.collect();
    let (whose, asked): (Vec<usize>, Vec<_>) = asked.into_iter().unzip();
    let mut heard: Vec<Vec<_>> = pools.iter().map(|_| Vec::new()).collect();
    for ((at, (_, question)), answer) in whose.into_iter().zip(&asked).zip(machine.ask_all(&asked)) {
        heard[at].push((question.clone(), answer));
    }
    for ((apart, pool), heard) in pools.iter_mut().zip(heard) {
        pool.answered(machine, *apart, heard);
    }
}

/// What a master and its pools do not share with this process.
#[derive(Debug, Clone, Copy)]
struct Apart {
    files: bool,
    processes: bool,
}

impl Master {
    fn look(machine: &dyn Machine, sources: &mut Sources, found: find::Found) -> Master {
        let find::Found { conf, pid, root } = found;
        let mounts = pid.filter(|_| root != Path::new("/")).map(|pid| mounts::of(machine, &procs::dir(pid)));
        let mounts = mounts.and_then(Result::ok).unwrap_or_default();
        let apart = |sees| pid.and_then(|pid| procs::is_apart(machine, pid, sees)) == Some(true);
        let mut master = Master {
            mounts,
            own_network: apart(Sees::Network),
            own_processes: apart(Sees::Processes),
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
        if let (Some(pid), true, Some(blind)) = (pid, master.files.is_empty(), master.blind.first_mut()) {
            blind.why += &format!(" (process {pid}, a php-fpm, was started with it)");
        }
        master.pools = pool::of(&master);
        if master.pools.len() > pool::POOLS_MAX {
            master.pools.truncate(pool::POOLS_MAX);
            let why = format!("more than {} pools: the rest is left out", pool::POOLS_MAX);
            master.blind.push(Blind { what: master.conf.display().to_string(), why, at: None });
        }
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
    fn php_files(&self, machine: &dyn Machine, sources: &mut Sources) -> Files {
        let told = self.pools.iter().find_map(|pool| pool.php.inside());
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
