//! N17: a path that nginx resolved means nothing, or something else, in another container or on another host.

use super::fix;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::Level;
use crate::facts::nginx::pass::Pass;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N17",
    severity: Severity::Warning,
    title: "nginx and PHP-FPM see different file systems",
    visitor: "PHP is asked for a path that it does not have: File not found, or another release than nginx saw.",
    page: include_str!("../../../../../docs/doctor/N17.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let levels = facts.nginx.iter().flat_map(|nginx| nginx.fastcgi().map(move |level| (nginx, level)));
    levels.filter_map(|(nginx, level)| judged(nginx, level)).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Option<Finding> {
    let script = nginx.param(level.id, "SCRIPT_FILENAME")?;
    if !matches!(nginx.leads(level.id, script.arg(1)), Lead::Resolved | Lead::Pinned(_)) {
        return None;
    }
    let far = nginx.passes(level.id).into_iter().find(|to| match to {
        Pass::Address(..) | Pass::Host(_) => !to.is_here(),
        Pass::Unix(_) | Pass::Unknown(_) => false,
    })?;
    let what = format!("{}: nginx resolves the link here, {far} opens the script there", level.told());
    let text = "hand over the path as PHP-FPM sees it: php.path_map in cutover.toml, from which `cutover nginx` and \
                `cutover serve` make it";
    let finding = Finding::at(fix::place(nginx, script, 1), what, text);
    let pass = level.last("fastcgi_pass")?;
    // That the same tree stands at the same path over there cannot be seen from here.
    Some(nginx.as_sure(finding.also("handed to", pass.at_arg(0)), false))
}
