//! Look: finds nginx, reads it, and asks it what it thinks of its own files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::level::{Id, Levels};
use super::load::{Broken, load};
use super::parse::Directive;
use super::value;
use super::{Master, Nginx, Version};
use crate::facts::allowance::Allowance;
use crate::facts::links::Way;
use crate::facts::procs;
use crate::facts::{Facts, Targets};
use crate::finding::Blind;
use crate::machine::{Machine, Program};

/// Where Debian's nginx has its files.
const USUAL: &str = "/etc/nginx/nginx.conf";
const USUAL_PREFIX: &str = "/usr/share/nginx";

/// Levels, times what holds at each: ten thousand locations that inherit some thousand lines each.
const PAIRS_MAX: usize = 40_000_000;

/// An nginx before it is read.
#[derive(Debug, Clone)]
struct Found {
    conf: PathBuf,
    prefix: Option<PathBuf>,
    master: Option<Master>,
}

/// Looks at the nginx that are named, or else at those that run, or else at the usual file.
pub fn look(machine: &dyn Machine, targets: &Targets, facts: &mut Facts) {
    let masters = masters(machine);
    let mut found: Vec<Found> = targets
        .nginx
        .iter()
        .map(|conf| match masters.iter().find(|master| master.conf == *conf) {
            Some(master) => master.clone(),
            None => Found { conf: conf.clone(), prefix: None, master: None },
        })
        .collect();
    if targets.searches() {
        found = masters;
        if found.is_empty() && machine.stat(Path::new(USUAL)).is_ok() {
            found.push(Found { conf: USUAL.into(), prefix: None, master: None });
        }
    }
    for one in found {
        if one.master.as_ref().is_some_and(|master| master.apart) {
            let what = one.conf.display().to_string();
            let why = "this nginx runs in a container: run `cutover doctor` in there".into();
            facts.blind.push(Blind { what, why, at: None });
            continue;
        }
        match read(machine, facts, &one) {
            Ok(nginx) => facts.nginx.push(nginx),
            Err(Broken(blind)) => facts.blind.push(blind),
        }
    }
}

fn read(machine: &dyn Machine, facts: &mut Facts, found: &Found) -> Result<Nginx, Broken> {
    let tree = load(machine, &mut facts.sources, &found.conf)?;
    let said = machine.run(&Program::new("nginx", ["-V"])).ok();
    let said = said.map(|ran| ran.stderr + &ran.stdout).unwrap_or_default();
    let prefix = found.prefix.clone().or_else(|| {
        let words = said.split_whitespace();
        words.filter_map(|word| word.strip_prefix("--prefix=")).next().map(PathBuf::from)
    });
    let mut nginx = Nginx {
        conf: found.conf.clone(),
        prefix: prefix.unwrap_or_else(|| USUAL_PREFIX.into()),
        version: Version::parse(&said),
        started_with: found.prefix.clone(),
        master: found.master.clone(),
        levels: Levels::of(tree.top),
        files: tree.files,
        blind: tree.blind,
        ..Nginx::default()
    };
    for http in nginx.levels.of_kind(super::level::Kind::Http) {
        for directive in &http.own {
            if directive.is("map") && directive.args.len() == 2 {
                let name = directive.arg(1).trim_start_matches('$').to_owned();
                nginx.maps.insert(name, directive.clone());
            }
            if directive.is("upstream") {
                nginx.upstreams.insert(directive.arg(0).to_owned(), directive.clone());
            }
        }
    }
    if let Some(blind) = too_many(&nginx) {
        return Err(Broken(blind));
    }
    let mut ways = Ways::default();
    for level in nginx.levels.all() {
        level.own.iter().for_each(|directive| follow(machine, directive, &nginx.prefix, &mut ways));
    }
    follow_one(machine, &nginx.prefix.join("html"), &mut ways);
    for file in nginx.files.keys() {
        if let Some(dir) = file.parent() {
            follow_one(machine, dir, &mut ways);
        }
    }
    nginx.ways = ways.found;
    nginx.blind.extend(refused(machine, &nginx));
    facts.blind.extend(nginx.blind.iter().cloned());
    Ok(nginx)
}

/// Follows every path that a directive names.
fn follow(machine: &dyn Machine, directive: &Directive, prefix: &Path, ways: &mut Ways) {
    if directive.is("root") || directive.is("alias") {
        let value = directive.arg(0);
        if !value.starts_with(['/', '$']) {
            follow_one(machine, &prefix.join(value), ways);
        }
    }
    for word in &directive.args {
        if let Some((path, _)) = value::path(&word.text) {
            follow_one(machine, Path::new(path), ways);
        }
    }
    directive.inner().iter().for_each(|inner| follow(machine, inner, prefix, ways));
}

/// Paths that were followed.
#[derive(Default)]
struct Ways {
    found: BTreeMap<PathBuf, Way>,
    allowance: Allowance,
}

/// What nothing is left for was not looked at, and is told as that where it matters.
fn follow_one(machine: &dyn Machine, path: &Path, ways: &mut Ways) {
    if !ways.found.contains_key(path) && ways.allowance.is_left() {
        let way = Way::follow(machine, path);
        let links: usize = way.links.iter().map(|(at, to)| at.as_os_str().len() + to.as_os_str().len()).sum();
        if ways.allowance.words(way.links.len(), links + 3 * path.as_os_str().len()) {
            ways.found.insert(path.to_owned(), way);
        }
    }
}

/// Whether each level with all that it inherits, and each map at each level, are more than can be judged.
fn too_many(nginx: &Nginx) -> Option<Blind> {
    let entries: usize = nginx.maps.values().map(|map| 1 + map.inner().len()).sum();
    let mut inherited: BTreeMap<Id, usize> = BTreeMap::new();
    let mut pairs = 0;
    for level in nginx.levels.all() {
        let above = level.up.and_then(|up| inherited.get(&up)).copied().unwrap_or(0);
        inherited.insert(level.id, above + level.own.len());
        pairs += above + level.own.len() + entries;
    }
    let why = "too many blocks, with too much that holds in each, to judge them".to_owned();
    (pairs > PAIRS_MAX).then(|| Blind { what: nginx.conf.display().to_string(), why, at: None })
}

/// What nginx has against its own files.
///
/// Asked only of one that runs with them, by its own user or root, and only of files that no third person can write:
/// `nginx -t` opens its logs and makes its directories as a start does, and loads the modules that the files name.
fn refused(machine: &dyn Machine, nginx: &Nginx) -> Option<Blind> {
    let master = nginx.master.as_ref()?;
    let own = machine.stat(Path::new("/proc/self")).ok()?.uid;
    let trusted = |path: &Path| {
        Way::follow(machine, path)
            .real()
            .and_then(|real| machine.stat(real).ok())
            .is_some_and(|stat| (stat.uid == 0 || stat.uid == own) && stat.mode & 0o022 == 0)
    };
    if own != master.uid || !nginx.files.keys().all(|file| trusted(file)) {
        return None;
    }
    let ran = machine.run(&nginx.trial()).ok()?;
    if ran.status == Some(0) {
        return None;
    }
    let said = ran.stderr.lines().find(|line| line.contains("[emerg]")).unwrap_or("it does not say why");
    let said = said.split_once("[emerg] ").map_or(said, |(_, said)| said);
    let what = nginx.conf.display().to_string();
    Some(Blind { what, why: format!("nginx refuses what stands there now: {said}"), at: None })
}

/// The masters that run: `nginx: master process /usr/sbin/nginx -c … -p …`.
fn masters(machine: &dyn Machine) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for process in procs::all(machine) {
        let Some(words) = process.line.strip_prefix("nginx: master process ") else { continue };
        let words: Vec<&str> = words.split_whitespace().collect();
        let behind = |switch: &str| {
            let at = words.iter().position(|word| *word == switch)?;
            words.get(at + 1).map(PathBuf::from)
        };
        let prefix = behind("-p");
        let conf = behind("-c").unwrap_or_else(|| USUAL.into());
        let conf = prefix.as_deref().unwrap_or(Path::new(USUAL_PREFIX)).join(conf);
        if found.iter().any(|other| other.conf == conf) {
            continue;
        }
        let pid = process.pid;
        let uid = machine.stat(&procs::dir(pid)).map_or(0, |stat| stat.uid);
        let apart = procs::is_apart(machine, pid, procs::Sees::Files) == Some(true);
        found.push(Found { conf, prefix, master: Some(Master { pid, uid, apart }) });
    }
    found
}
