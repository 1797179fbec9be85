//! Orders: command lines that somebody else runs: hooks and scripts of deploys, cron, systemd, supervisor.

mod cron;
mod scripts;
mod supervisor;
mod systemd;

use std::path::Path;

use super::app::App;
use super::tree;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::{Sources, Span};

/// A command line, or the directory that one begins in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who runs it.
    pub by: By,
    /// What it is there: `after_flip`, `ExecStart`, `directory`; for cron its times.
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

/// All orders of this machine, and of these apps.
pub fn look(
    machine: &dyn Machine,
    sources: &mut Sources,
    apps: &[App],
    system: bool,
) -> (Vec<Order>, Vec<Blind>) {
    let (mut orders, mut blind) = (Vec::new(), Vec::new());
    for app in apps {
        scripts::hooks(app, &mut orders);
        scripts::look(machine, sources, app, &mut orders);
    }
    if system {
        cron::look(machine, sources, &mut orders, &mut blind);
        systemd::look(machine, sources, &mut orders, &mut blind);
        supervisor::look(machine, sources, &mut orders, &mut blind);
    }
    (orders, blind)
}

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
