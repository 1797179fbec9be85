//! Caddy: what of its configuration, a Caddyfile or JSON, leads requests to files and to PHP.
//!
//! ```text
//!   find (which servers) ──> Caddyfile: lex ──> parse (imports, snippets) ──> walk ─┐
//!                            JSON ───────────────────────────────────────────> json ─┴─> handlers with their roots
//! ```

mod json;
pub mod lex;
pub mod parse;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::parse::Reader;
use super::allowance::Allowance;
use super::asked::Asked;
use super::place::Place;
use super::procs::Proc;
use super::{Facts, Targets, procs};
use crate::finding::Blind;
use crate::machine::{Machine, Program};
use crate::source::{Sources, Span};

/// One Caddy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caddy {
    /// Its configuration file.
    pub config: PathBuf,
    /// What hands requests to files or to PHP, in order.
    pub handlers: Vec<Handler>,
    /// What its own test says of its configuration.
    pub test: Asked,
    /// What could not be made sense of.
    pub blind: Vec<Blind>,
}

/// What hands requests to files or to PHP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// What it does.
    pub does: Does,
    /// The directive, or the name of the handler in JSON.
    pub name: String,
    /// Where it stands.
    pub at: Span,
    /// Whether it has a block that lines can be added to, in a Caddyfile; `None`: it stands in JSON.
    pub block: Option<bool>,
    /// Its root, or those from which it has one, depending on the request.
    pub roots: Vec<Place>,
}

/// What a handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Serves files.
    Files,
    /// Hands requests to PHP-FPM.
    Fpm {
        /// Whether it resolves the root for each request.
        resolves: bool,
    },
    /// Runs PHP in itself: FrankenPHP.
    Franken,
}

/// Looks at the servers that were named, else at those that run, else at Debian's.
pub fn look(machine: &dyn Machine, targets: &Targets, facts: &mut Facts) {
    let starts = if targets.searches() {
        searched(machine, &procs::all(machine))
    } else {
        targets.caddy.iter().map(|config| (config.clone(), BTreeMap::new())).collect()
    };
    facts.caddy = starts
        .into_iter()
        .map(|(config, env)| Caddy::look(machine, &mut facts.sources, config, env))
        .collect();
}

/// A configuration file, and the environment of who reads it.
type Start = (PathBuf, BTreeMap<String, String>);

fn searched(machine: &dyn Machine, procs: &[Proc]) -> Vec<Start> {
    let is = |proc: &&Proc| {
        let runs =
            proc.words.get(1).is_some_and(|word| matches!(word.as_str(), "run" | "start" | "php-server"));
        matches!(proc.name(), "caddy" | "frankenphp") && runs
    };
    let mut found: Vec<Start> = Vec::new();
    for proc in procs.iter().filter(is) {
        let config = proc.switch("--config").or_else(|| proc.switch("-c")).map(PathBuf::from);
        // Without one Caddy takes that of the directory it was started in, or none.
        let config =
            config.or_else(|| Some(machine.link(&procs::dir(proc.pid).join("cwd")).ok()?.join("Caddyfile")));
        let start = config.filter(|path| path.is_absolute()).map(|path| (path, proc.environment(machine)));
        found.extend(start.filter(|start| !found.contains(start)));
    }
    let debian = Path::new("/etc/caddy/Caddyfile");
    if found.is_empty() && machine.stat(debian).is_ok() {
        found.push((debian.to_owned(), BTreeMap::new()));
    }
    found
}

impl Caddy {
    fn look(
        machine: &dyn Machine,
        sources: &mut Sources,
        config: PathBuf,
        environment: BTreeMap<String, String>,
    ) -> Caddy {
        let json = config.extension().is_some_and(|end| end == "json");
        let mut reader = Reader {
            machine,
            sources,
            environment,
            blind: Vec::new(),
            snippets: BTreeMap::new(),
            open: Vec::new(),
            allowance: Allowance::default(),
        };
        let mut handlers = Vec::new();
        if json {
            match reader.sources.read(machine, &config) {
                Ok(source) => match json::handlers(machine, &source) {
                    Ok(found) => handlers = found,
                    Err(blind) => reader.blind.push(blind),
                },
                Err(no) => reader.blind.push(no.into()),
            }
        } else {
            let lines = reader.file(&config, None);
            handlers = walk::handlers(&mut reader, &lines);
        }
        let mut blind = reader.blind;
        blind.extend(handlers.iter().flat_map(|handler| handler.roots.iter().filter_map(Place::blind)));
        blind.sort();
        blind.dedup();
        let test = asked(machine, &config, json, &blind);
        Caddy { config, handlers, test, blind }
    }
}

/// What Caddy itself says of a configuration. To adapt a Caddyfile starts nothing, and JSON need not be adapted.
fn asked(machine: &dyn Machine, config: &Path, json: bool, met: &[Blind]) -> Asked {
    let file = config.display().to_string();
    let adapt = Program::new("caddy", ["adapt", "--adapter", "caddyfile", "--config", &file]);
    if json { Asked::Accepted } else { Asked::ask(machine, &adapt, config, met) }
}

/// The root as a path; placeholders stand for anything.
fn place(machine: &dyn Machine, text: &str, at: &Span) -> Result<Place, Blind> {
    let mut like = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((_, after)) = behind.split_once('}') else { break };
        like.push_str(before);
        like.push('*');
        rest = after;
    }
    like.push_str(rest);
    let path = Path::new(&like);
    if !path.is_absolute() || like.starts_with("/*") {
        let what = format!("root {text} in {}:{}", at.file.display(), at.line);
        let why = "depends on where Caddy is started, or on the request";
        return Err(Blind { what, why: why.into(), at: Some(at.clone()) });
    }
    Ok(Place::look_like(machine, path, at))
}
