//! Find: which masters of PHP-FPM there are.

use std::path::{Path, PathBuf};

use crate::facts::{glob, procs};
use crate::finding::Blind;
use crate::machine::Machine;

/// A master that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub conf: PathBuf,
    pub pid: Option<u32>,
    pub root: PathBuf,
}

/// Where main files lie that nobody started: Debian, Alpine and the official images, Red Hat.
const INSTALLED: [&str; 4] = [
    "/etc/php/*/fpm/php-fpm.conf",
    "/etc/php*/php-fpm.conf",
    "/usr/local/etc/php-fpm.conf",
    "/etc/php-fpm.conf",
];

/// How a master names itself (sapi/fpm/fpm/fpm_process_ctl.c).
const TITLE: &str = "php-fpm: master process (";

pub(super) fn masters(machine: &dyn Machine, named: &[PathBuf], search: bool) -> (Vec<Found>, Vec<Blind>) {
    let running: Vec<(u32, PathBuf)> =
        if named.is_empty() && !search { Vec::new() } else { running(machine) };
    if !named.is_empty() {
        let found = named.iter().map(|conf| {
            let pid = running.iter().find(|(_, is)| is == conf).map(|(pid, _)| *pid);
            Found { conf: conf.clone(), pid, root: "/".into() }
        });
        return (found.collect(), Vec::new());
    }
    if !search {
        return (Vec::new(), Vec::new());
    }
    if !running.is_empty() {
        let found =
            running.into_iter().map(|(pid, conf)| Found { conf, pid: Some(pid), root: root(machine, pid) });
        return (found.collect(), Vec::new());
    }
    let (mut found, mut blind) = (Vec::new(), Vec::new());
    for pattern in INSTALLED {
        match glob::expand(machine, Path::new(pattern)) {
            Ok(paths) => found.extend(paths.into_iter().filter(|path| machine.stat(path).is_ok())),
            Err(why) => blind.push(why.into()),
        }
    }
    found.dedup();
    (found.into_iter().map(|conf| Found { conf, pid: None, root: "/".into() }).collect(), blind)
}

fn running(machine: &dyn Machine) -> Vec<(u32, PathBuf)> {
    let masters = procs::all(machine).into_iter().filter_map(|proc| {
        let conf = proc.line.strip_prefix(TITLE)?.strip_suffix(')')?;
        Some((proc.pid, PathBuf::from(conf)))
    });
    masters.collect()
}

/// A master in a container has another `/`.
fn root(machine: &dyn Machine, pid: u32) -> PathBuf {
    match procs::is_apart(machine, pid, procs::Sees::Files) {
        Some(true) => procs::dir(pid).join("root"),
        Some(false) | None => PathBuf::from("/"),
    }
}
