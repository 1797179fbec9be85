//! Lighttpd: its settings with their conditions, and where its document roots lead.

pub mod lex;
pub mod parse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::parse::{Condition, Reader, Setting};
use super::allowance::Allowance;
use super::asked::Asked;
use super::place::Place;
use super::{Facts, Targets, procs};
use crate::finding::Blind;
use crate::machine::{Machine, Program};
use crate::source::{Sources, Span};

/// One lighttpd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lighttpd {
    /// Its configuration file.
    pub config: PathBuf,
    /// All settings, in order.
    pub settings: Vec<Setting>,
    /// What it serves from.
    pub roots: Vec<Root>,
    /// What its own test says of its configuration.
    pub test: Asked,
    /// What could not be made sense of.
    pub blind: Vec<Blind>,
}

/// A directory that requests are served from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The setting that names it.
    pub setting: String,
    /// Where it leads.
    pub place: Place,
    /// The conditions around the setting.
    pub when: Vec<Condition>,
}

/// Roots of one configuration: more than anybody has.
const ROOTS_MAX: usize = 2_000;

/// Looks at the servers that were named, else at those that run, else at Debian's.
pub fn look(machine: &dyn Machine, targets: &Targets, facts: &mut Facts) {
    let configs = if targets.searches() { searched(machine) } else { targets.lighttpd.clone() };
    facts.lighttpd =
        configs.into_iter().map(|config| Lighttpd::look(machine, &mut facts.sources, config)).collect();
}

fn searched(machine: &dyn Machine) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for proc in procs::all(machine).iter().filter(|proc| proc.name() == "lighttpd") {
        let config = proc.switch("-f").map(PathBuf::from).filter(|path| path.is_absolute());
        found.extend(config.filter(|path| !found.contains(path)));
    }
    let debian = Path::new("/etc/lighttpd/lighttpd.conf");
    if found.is_empty() && machine.stat(debian).is_ok() {
        found.push(debian.to_owned());
    }
    found
}

impl Lighttpd {
    fn look(machine: &dyn Machine, sources: &mut Sources, config: PathBuf) -> Lighttpd {
        let mut reader = Reader {
            machine,
            sources,
            vars: BTreeMap::new(),
            settings: Vec::new(),
            last: BTreeMap::new(),
            allowance: Allowance::default(),
            blind: Vec::new(),
            open: Vec::new(),
            runs: false,
        };
        reader.file(&config, None, &mut Vec::new());
        let (settings, mut blind, runs) = (reader.settings, reader.blind, reader.runs);
        let mut roots = Vec::new();
        for setting in &settings {
            if roots.len() >= ROOTS_MAX {
                let (what, why) = (config.display().to_string(), "too many roots to judge each".to_owned());
                blind.push(Blind { what, why, at: Some(setting.at.clone()) });
                break;
            }
            match rooted(machine, setting, &settings) {
                Ok(found) => roots.extend(found),
                Err(unknown) => blind.push(unknown),
            }
        }
        blind.extend(roots.iter().filter_map(|root| root.place.blind()));
        blind.sort();
        blind.dedup();
        // Its test would run what `include_shell` names.
        let try_it = Program::new("lighttpd", ["-tt", "-f", &config.display().to_string()]);
        let test = if runs { Asked::Accepted } else { Asked::ask(machine, &try_it, &config, &blind) };
        Lighttpd { config, settings, roots, test, blind }
    }

    /// The settings of a name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Setting> {
        self.settings.iter().filter(move |setting| setting.name == name)
    }

    /// The setting that hands PHP below a root to FastCGI.
    pub fn php<'a>(&'a self, root: &Root) -> Option<&'a Setting> {
        let hands = |setting: &&Setting| {
            let keys = setting.value.list().iter().filter_map(|(key, ..)| key.as_deref());
            let mut php = keys.filter(|key| key.contains(".php") || key.starts_with('/'));
            php.next().is_some() && together(&setting.when, &root.when)
        };
        self.all("fastcgi.server").rfind(hands)
    }
}

/// Whether two settings may hold for the same request: not, where one thing is asked to be this and to be that.
pub fn together(a: &[Condition], b: &[Condition]) -> bool {
    let apart = |one: &Condition, other: &Condition| {
        one.of == other.of && one.is != other.is && one.is.starts_with("==") && other.is.starts_with("==")
    };
    !a.iter().any(|one| b.iter().any(|other| apart(one, other)))
}

fn rooted(machine: &dyn Machine, setting: &Setting, all: &[Setting]) -> Result<Vec<Root>, Blind> {
    let text = || setting.value.text().map(str::to_owned);
    let named: Vec<(String, Span)> = match setting.name.as_str() {
        "server.document-root" | "userdir.basepath" => vec![(known(setting, text())?, setting.at.clone())],
        "evhost.path-pattern" => vec![(wild(&known(setting, text())?), setting.at.clone())],
        "simple-vhost.server-root" => {
            let below = all.iter().rev().find(|set| set.name == "simple-vhost.document-root");
            let below = below.and_then(|set| set.value.text()).unwrap_or_default();
            let root = known(setting, text())?;
            let path = format!("{}/*/{}", root.trim_end_matches('/'), below.trim_start_matches('/'));
            vec![(path, setting.at.clone())]
        }
        "alias.url" => {
            let entries = setting.value.list().iter();
            entries.filter_map(|(_, value, at)| Some((value.text()?.to_owned(), at.clone()))).collect()
        }
        _ => return Ok(Vec::new()),
    };
    let root = |(path, at): (String, Span)| Root {
        setting: setting.name.clone(),
        place: Place::look_like(machine, Path::new(&path), &at),
        when: setting.when.clone(),
    };
    Ok(named.into_iter().filter(|(path, _)| path.starts_with('/')).map(root).collect())
}

fn known(setting: &Setting, text: Option<String>) -> Result<String, Blind> {
    let at = &setting.at;
    text.ok_or_else(|| Blind {
        what: format!("{} in {}:{}", setting.name, at.file.display(), at.line),
        why: "its value is not known".into(),
        at: Some(at.clone()),
    })
}

/// `%0`, `%_`, `%{1.2}` of mod_evhost as wildcards.
fn wild(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        let mut chars = behind.chars();
        rest = match chars.next() {
            Some('%') => {
                out.push('%');
                chars.as_str()
            }
            Some('{') => {
                out.push('*');
                behind.split_once('}').map_or("", |(_, after)| after)
            }
            Some(_) => {
                out.push('*');
                chars.as_str()
            }
            None => "",
        };
    }
    out + rest
}
