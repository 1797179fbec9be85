//! Orders: command lines that somebody else runs: hooks and scripts of deploys, cron, systemd, supervisor.

mod cron;
mod held;
mod scripts;
mod supervisor;
mod systemd;

use std::path::{Path, PathBuf};

use super::app::App;
use super::{glob, tree};
use crate::finding::Blind;
use crate::machine::{Kind, Machine};
use crate::source::{Source, Sources, Span};

/// A command line, or the directory that one begins in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who runs it.
    pub by: By,
    /// What it is there: `after_flip`, `ExecStart`, `directory`; for cron its times, and its user where one stands there.
    pub key: String,
    /// The line.
    pub text: String,
    /// Where it stands.
    pub at: Span,
    /// Whether what it starts goes on for days.
    pub lives: bool,
}

/// Who runs an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A hook of cutover.toml.
    Hook,
    /// A script, recipe or pipeline that deploys.
    Script,
    /// Cron.
    Cron,
    /// systemd.
    Systemd,
    /// Supervisor.
    Supervisor,
}

/// Orders that are looked at; a machine has some thousands of lines of scripts.
const ORDERS_MAX: usize = 50_000;

/// All orders of this machine, and of these apps.
pub fn look(
    machine: &dyn Machine,
    sources: &mut Sources,
    apps: &[App],
    system: bool,
) -> (Vec<Order>, Vec<Blind>) {
    let mut looking = Looking { machine, sources, orders: Vec::new(), blind: Vec::new() };
    for app in apps {
        scripts::hooks(app, &mut looking);
        scripts::look(app, &mut looking);
    }
    if system {
        cron::look(&mut looking);
        systemd::look(&mut looking);
        supervisor::look(&mut looking);
    }
    (looking.orders, looking.blind)
}

/// What links mean where files are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// Files like others.
    Followed,
    /// Nothing that people of this machine wrote.
    LeftOut,
}

/// What was found so far, and where to look.
struct Looking<'a> {
    machine: &'a dyn Machine,
    sources: &'a mut Sources,
    orders: Vec<Order>,
    blind: Vec<Blind>,
}

impl Looking<'_> {
    /// The files that these patterns name; what is there and cannot be read is told.
    fn files(&mut self, patterns: &[&str], links: Links) -> Vec<Source> {
        patterns.iter().flat_map(|pattern| self.files_like(Path::new(pattern), links)).collect()
    }

    fn files_like(&mut self, pattern: &Path, links: Links) -> Vec<Source> {
        let is_link = |path: &Path| self.machine.stat(path).is_ok_and(|stat| stat.kind == Kind::Link);
        let paths = glob::expand(self.machine, pattern).unwrap_or_else(|why| {
            self.blind.extend((!why.is_absent()).then(|| why.into()));
            Vec::new()
        });
        let wanted = |path: &&PathBuf| links == Links::Followed || !is_link(path);
        let read =
            paths.iter().filter(wanted).filter_map(|path| match self.sources.read(self.machine, path) {
                Ok(source) => Some(source),
                Err(why) => {
                    // A directory, a pipe or a socket is none of the files that are meant.
                    self.blind.extend((!why.is_absent() && !why.is_no_file()).then(|| why.into()));
                    None
                }
            });
        read.collect()
    }

    fn found(&mut self, order: Order) {
        if self.orders.len() < ORDERS_MAX {
            self.orders.push(order);
        } else if self.orders.len() == ORDERS_MAX && !self.blind.iter().any(|blind| blind.what == TOO_MANY) {
            let why = format!("only {ORDERS_MAX} lines of them were looked at");
            self.blind.push(Blind { what: TOO_MANY.into(), why, at: Some(order.at) });
        }
    }
}

/// What is told where some are left out.
const TOO_MANY: &str = "hooks, scripts, cron and units";

impl Order {
    /// Whether it names a path, or something below it.
    pub fn names(&self, path: &Path) -> bool {
        let path = path.display().to_string();
        self.text
            .match_indices(&path)
            .any(|(at, _)| tree::ends(self.text.as_bytes().get(at + path.len()).copied()))
    }

    /// Whether it belongs to a deploy.
    pub fn deploys(&self) -> bool {
        matches!(self.by, By::Hook | By::Script)
    }

    /// Whether one of these words stands in it.
    pub fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }

    /// Its commands, one after the other, each as its words; a rough reading of what a shell makes of it.
    pub fn commands(&self) -> impl Iterator<Item = Vec<&str>> {
        let parts = self.text.split(['\n', ';', '|', '(', ')']).flat_map(|part| part.split("&&"));
        parts.map(|part| part.split_whitespace().map(unquoted).collect())
    }
}

/// Whether an order changes files below a path in place: a copy to it, or a fetch in it.
pub fn writes_into(order: &Order, path: &Path) -> bool {
    let path = path.display().to_string();
    let below = |word: &str| {
        // `user@host:/srv/shop/current/` names it on another machine of the same kind.
        let word = word.rsplit_once(':').map_or(word, |(_, path)| path);
        word.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut inside = false;
    order.commands().any(|words| {
        let has = |word: &str| words.contains(&word);
        let last = words.iter().rev().find(|word| !word.starts_with('-'));
        let to = last.is_some_and(|word| below(word));
        match words.first().copied().unwrap_or("") {
            "cd" => {
                inside = to;
                false
            }
            "git" => {
                (inside || words.iter().any(|word| below(word)))
                    && ["pull", "checkout", "reset", "merge"].iter().any(|verb| has(verb))
            }
            "svn" => (inside || to) && ["up", "update", "switch"].iter().any(|verb| has(verb)),
            _ if has("rsync") || has("scp") || has("cp") => to,
            _ => false,
        }
    })
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(|c| matches!(c, '"' | '\'' | '`' | ',' | '[' | ']'))
}
