//! Apache: its configuration as the server reads it, its sites, and what is known of the server itself.
//!
//! ```text
//!   find (which servers) ──> syntax (lines) ──> expand (includes, variables, conditions, macros) ──> site (paths)
//! ```
//!
//! `.htaccess` files are not read: they belong to releases.

pub mod directive;
pub mod find;
pub mod handler;
pub mod modules;
pub mod pinning;
pub mod section;
pub mod site;
pub mod syntax;

mod condition;
mod expand;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::directive::{Directive, Seen, seen};
use self::expand::Expander;
use self::find::Start;
use self::modules::Modules;
use self::pinning::Pinning;
use self::site::{Mapped, Site};
use super::allowance::Allowance;
use super::asked::Asked;
use super::{Facts, Targets, procs};
use crate::finding::Blind;
use crate::machine::{Machine, Program};
use crate::source::{Sources, Span};

/// One Apache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apache {
    /// Its configuration file.
    pub config: PathBuf,
    /// What it has loaded.
    pub modules: Modules,
    /// The main server.
    pub main: Site,
    /// Its virtual hosts, in order.
    pub vhosts: Vec<Site>,
    /// What sees to it that a request sees one release, if a module for that is loaded.
    pub pinning: Option<Pinning>,
    /// What its own test says of its configuration.
    pub test: Asked,
    /// What could not be made sense of.
    pub blind: Vec<Blind>,
}

/// For each site the main server's directives are looked through: so many at most, in all.
const PAIRS_MAX: usize = 20_000_000;

/// Looks at the servers that were named, else at those that run, else at Debian's.
pub fn look(machine: &dyn Machine, targets: &Targets, facts: &mut Facts) {
    let starts = if targets.searches() {
        find::searched(machine, &procs::all(machine))
    } else {
        targets.apache.iter().map(|config| find::named(machine, config)).collect()
    };
    facts.apache = starts.iter().map(|start| Apache::look(machine, &mut facts.sources, start)).collect();
}

impl Apache {
    fn look(machine: &dyn Machine, sources: &mut Sources, start: &Start) -> Apache {
        let mut reader = Expander {
            machine,
            sources,
            root: start.root.clone(),
            defines: start.defines.iter().map(|name| (name.clone(), String::new())).collect(),
            environment: start.environment.clone(),
            modules: Modules::default(),
            version: version(machine, start),
            included: Vec::new(),
            blind: Vec::new(),
            macros: BTreeMap::new(),
            allowance: Allowance::default(),
            open: Vec::new(),
        };
        let mut all = Vec::new();
        reader.file(&start.config, None, 0, &mut all);
        let (root, modules, mut blind, included) =
            (reader.root, reader.modules, reader.blind, reader.included);
        let mut main = Site::main(machine, &root, &all);
        main.mapped.extend(included.into_iter().map(|(path, at)| Mapped::included(machine, path, at)));
        let sections: Vec<&Directive> = all.iter().filter(|it| it.name == "virtualhost").collect();
        let few = (PAIRS_MAX / size(&main.directives).max(1)).max(1);
        if sections.len() > few {
            let what = format!("{} virtual hosts of {}", sections.len() - few, start.config.display());
            blind.push(Blind { what, why: "too many to judge each".into(), at: None });
        }
        let vhosts = sections.into_iter().take(few);
        let vhosts: Vec<Site> = vhosts.map(|section| Site::vhost(machine, &root, section, &main)).collect();
        let places = vhosts
            .iter()
            .chain([&main])
            .flat_map(|site| site.docroot.iter().chain(site.mapped.iter().map(|mapped| &mapped.place)));
        blind.extend(places.filter_map(|place| place.blind()));
        blind.sort();
        blind.dedup();
        let test = test(machine, sources, start, &root, &blind);
        Apache {
            config: start.config.clone(),
            pinning: Pinning::look(machine, &modules),
            main,
            vhosts,
            modules,
            test,
            blind,
        }
    }

    /// All its sites, the main server first.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        std::iter::once(&self.main).chain(&self.vhosts)
    }

    /// The sites that can answer: the main server does so only if it has a document root of its own.
    pub fn served(&self) -> impl Iterator<Item = &Site> {
        self.sites().filter(|site| site.docroot.is_some())
    }

    /// What holds for a site by directives of this name: the main server's first, then its own.
    pub fn seen<'a>(&'a self, site: &'a Site, name: &str) -> Vec<Seen<'a>> {
        let mut found = seen(&self.main.directives, name);
        if site.at.is_some() {
            found.extend(site.own(name));
        }
        found
    }

    /// What leads to files in a site beside its document root: the main server's, then its own.
    pub fn mapped<'a>(&'a self, site: &'a Site) -> impl Iterator<Item = &'a Mapped> {
        let own = site.at.as_ref().map_or(&[][..], |_| &site.mapped);
        self.main.mapped.iter().chain(own)
    }

    /// The last directive of this name in the server's own context: the site's, else the main server's.
    pub fn setting<'a>(&'a self, site: &'a Site, name: &str) -> Option<&'a Directive> {
        self.seen(site, name).into_iter().rev().find(Seen::is_servers).map(|seen| seen.directive)
    }

    /// The same for what leads to files beside a document root: an alias, a URL of a FastCGI server.
    pub fn pins_beside(&self, site: &Site, link: &Path) -> bool {
        self.pins(site) && self.pinning.as_ref().is_some_and(|pinning| pinning.pins_beside(self, site, link))
    }

    /// Whether a request to this site sees one release by a module's doing.
    pub fn pins(&self, site: &Site) -> bool {
        self.pinning.as_ref().is_some_and(|pinning| pinning.acts_on(self, site))
    }
}

/// How many directives there are, those in sections too.
fn size(directives: &[Directive]) -> usize {
    directives.iter().map(|directive| 1 + size(directive.body())).sum()
}

/// `Server version: Apache/2.4.71 (Debian)`; 2.4, where nobody says.
fn version(machine: &dyn Machine, start: &Start) -> Vec<u32> {
    let said = machine.run(&Program::new(&start.program, ["-v"])).map(|ran| ran.stdout).unwrap_or_default();
    let number = said.split_once("Apache/").and_then(|(_, rest)| rest.split(' ').next());
    let parts = number.map(|number| number.trim().split('.').filter_map(|part| part.parse().ok()).collect());
    parts.filter(|parts: &Vec<u32>| parts.len() == 3).unwrap_or_else(|| vec![2, 4])
}

/// Asks the server itself whether it would start so.
fn test(machine: &dyn Machine, sources: &Sources, start: &Start, root: &Path, met: &[Blind]) -> Asked {
    let mut switches: Vec<String> = vec!["-t".into(), "-f".into(), start.config.display().to_string()];
    switches.extend(["-d".to_owned(), start.root.display().to_string()]);
    switches.extend(start.defines.iter().flat_map(|name| ["-D".to_owned(), name.clone()]));
    // The environment is not passed on, but what the configuration uses of it can be defined.
    let wanted = |name: &str| name.starts_with("APACHE_");
    let passed = start.environment.iter().filter(|(name, _)| wanted(name));
    switches.extend(passed.flat_map(|(name, value)| ["-C".to_owned(), format!("Define {name} {value}")]));
    match Asked::ask(machine, &Program::new(&start.program, switches), &start.config, met) {
        Asked::Refused(said, _) => {
            let at = named(sources, root, &said);
            Asked::Refused(said, at)
        }
        other @ (Asked::Accepted | Asked::Blind(_)) => other,
    }
}

/// `Syntax error on line 12 of /etc/apache2/apache2.conf: …`
fn named(sources: &Sources, root: &Path, said: &str) -> Option<Span> {
    let (_, rest) = said.split_once("yntax error on line ")?;
    let (line, rest) = rest.split_once(" of ")?;
    let (file, _) = rest.split_once(": ")?;
    Some(sources.get(&root.join(file))?.line(line.parse().ok()?))
}
