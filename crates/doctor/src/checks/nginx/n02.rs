//! N02: PHP is handed a resolved script, and a document root through the link.

use super::{fix, overridden};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::Level;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N02",
    severity: Severity::Error,
    title: "the script is resolved, but DOCUMENT_ROOT goes through the link",
    visitor: "A script of one release includes files of the other by its document root.",
    page: include_str!("../../../../../docs/doctor/N02.md"),
    look,
};

/// Parameters by which applications find their files.
const PATHS: [&str; 3] = ["DOCUMENT_ROOT", "CONTEXT_DOCUMENT_ROOT", "PATH_TRANSLATED"];

fn look(facts: &Facts) -> Verdict {
    let levels = facts.nginx.iter().flat_map(|nginx| nginx.fastcgi().map(move |level| (nginx, level)));
    levels.flat_map(|(nginx, level)| judged(nginx, level)).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Vec<Finding> {
    let Some(script) = nginx.param(level.id, "SCRIPT_FILENAME") else { return Vec::new() };
    if !matches!(nginx.leads(level.id, script.arg(1)), Lead::Resolved | Lead::Pinned(_)) {
        return Vec::new();
    }
    let one = |name: &&str| {
        let param = nginx.param(level.id, name)?;
        if overridden(nginx, level.id, name).is_some() {
            return None;
        }
        let Lead::Link(through) = nginx.leads(level.id, param.arg(1)) else { return None };
        let what = format!("{}: {name} is {}, which goes through the link", level.told(), param.arg(1));
        let finding = Finding::at(fix::place(nginx, param, 1), what, fix::resolved(nginx, level, &[name]))
            .also("the script is resolved", script.at_arg(1));
        Some(nginx.as_sure(finding, through.seen))
    };
    PATHS.iter().filter_map(one).collect()
}
