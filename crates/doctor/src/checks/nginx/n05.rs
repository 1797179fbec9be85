//! N05: nginx decides by the link, at one moment, what it then opens, or hands to PHP, at another.

use super::fix;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::Level;
use crate::facts::nginx::parse::Directive;
use crate::finding::{Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N05",
    severity: Severity::Warning,
    title: "try_files and files go through the link",
    visitor: "During a flip some requests find neither the file of the old release nor that of the new one: errors 404 for pages that exist.",
    page: include_str!("../../../../../docs/doctor/N05.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let servers = facts.nginx.iter().flat_map(|nginx| nginx.servers().map(move |server| (nginx, server)));
    servers.filter_map(|(nginx, server)| judged(nginx, server)).collect()
}

fn judged(nginx: &Nginx, server: &Level) -> Option<Finding> {
    let within: Vec<&Level> = nginx.levels.within(server.id).collect();
    let script = |level: &&Level| {
        let own = level.last("fastcgi_pass").is_some();
        own.then(|| nginx.param(level.id, "SCRIPT_FILENAME"))
            .flatten()
            .map(|it| nginx.leads(level.id, it.arg(1)))
    };
    // While PHP goes through the link itself, N01 has more to say than this.
    if within.iter().filter_map(script).any(|lead| matches!(lead, Lead::Link(_))) {
        return None;
    }
    let decides = |level: &&Level| {
        level.last("try_files").is_some() || matches!(script(level), Some(Lead::Resolved | Lead::Pinned(_)))
    };
    let (level, through) =
        within.iter().filter(|level| decides(level)).find_map(|level| match nginx.root_leads(level.id) {
            Lead::Link(through) => Some((level, through)),
            Lead::Resolved | Lead::Pinned(_) | Lead::Fixed | Lead::Unknown(_) => None,
        })?;
    let (_, root) = nginx.levels.root(level.id)?;
    let what = format!(
        "{}: each look goes through the link {} anew: what try_files found may be gone when it is opened",
        server.told(),
        through.link.display()
    );
    let mut finding = Finding::at(root.at_arg(0), what, pinned(nginx, server, root));
    for level in within.iter().filter(|level| decides(level)).take(3) {
        if let Some(tries) = level.last("try_files") {
            finding = finding.also("decided here", tries.at());
        }
    }
    Some(nginx.as_sure(finding, through.seen))
}

fn pinned(nginx: &Nginx, server: &Level, root: &Directive) -> Fix {
    let text = "pin the whole request: resolve the root once, behind a map, and use that directory everywhere; \
                `cutover nginx` prints how (docs/nginx.md)";
    Fix { text: text.into(), edits: fix::pin(nginx, server, root).unwrap_or_default() }
}
