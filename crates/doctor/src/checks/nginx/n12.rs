//! N12: `disable_symlinks` without `from=` looks at the whole path, and the link is on it.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::finding::{Edit, Finding, Fix};
use crate::source::Span;

/// The check.
pub const CHECK: Check = Check {
    id: "N12",
    severity: Severity::Info,
    title: "disable_symlinks forbids the link itself",
    visitor: "Every file of the site is refused with 403: the way to it goes through a link.",
    page: include_str!("../../../../../docs/doctor/N12.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let mut told: Vec<&Span> = Vec::new();
    let mut findings = Vec::new();
    for level in nginx.servers().flat_map(|server| nginx.serving(server.id)) {
        let Some((_, rule)) = nginx.levels.effective(level.id, "disable_symlinks") else { continue };
        let Lead::Link(through) = nginx.root_leads(level.id) else { continue };
        if rule.arg(0) == "off" || rule.arg(1).starts_with("from=") || told.contains(&rule.at()) {
            continue;
        }
        told.push(rule.at());
        let what = format!("{} is a link too", through.link.display());
        let mut fix = Fix::from("`from=$document_root` behind it, and a pinned root (docs/nginx.md)");
        if nginx.owned(&rule.at().file) {
            let at = rule.at_arg(0);
            let with = format!("{} from=$document_root", at.meant());
            fix = fix.edit(Edit::Replace { at: at.clone(), with });
        }
        findings.push(nginx.as_sure(Finding::at(rule.at(), what, fix), through.seen));
    }
    findings
}
