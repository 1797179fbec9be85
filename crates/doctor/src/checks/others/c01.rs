//! C01: Caddy gives PHP-FPM paths through the link.

use super::caddy;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::caddy::{Does, Handler};
use crate::finding::{Edit, Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C01",
    severity: Severity::Error,
    title: "Caddy gives PHP-FPM paths through the link",
    visitor: "A request beside a flip gets parts of two releases, and old code goes on answering for minutes.",
    page: include_str!("../../../../../docs/doctor/C01.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    caddy(facts, |handler, flipping| {
        if handler.does != (Does::Fpm { resolves: false }) || facts.gateways.named_in(&handler.at.text) {
            return None;
        }
        let link = told(&flipping.link);
        let what = format!("{} gives PHP-FPM paths through the link {link}", handler.name);
        let fix = "set resolve_root_symlink; or put cutover serve in its place, which also decides about files in the release";
        let fix = edit(handler).into_iter().fold(Fix::from(fix), Fix::edit);
        Some(Finding::at(&handler.at, what, fix).also("the root", &flipping.place.at))
    })
}

fn edit(handler: &Handler) -> Option<Edit> {
    let line = &handler.at.text;
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    if handler.block? {
        // Where the block is written on the line itself, or goes on behind it, the line is not ours to guess at.
        let opens = line.trim_end().ends_with('{');
        return opens.then(|| Edit::Below {
            at: handler.at.clone(),
            lines: format!("{indent}\tresolve_root_symlink"),
        });
    }
    let with = format!("{} {{\n{indent}\tresolve_root_symlink\n{indent}}}", handler.at.meant());
    Some(Edit::Replace { at: handler.at.clone(), with })
}
