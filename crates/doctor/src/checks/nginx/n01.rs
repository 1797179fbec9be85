//! N01: PHP is handed the script by a path through the link.

use super::fix;
use super::overridden;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::lead::Lead;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N01",
    severity: Severity::Error,
    title: "SCRIPT_FILENAME goes through the link",
    visitor: "For seconds to minutes after a deploy pages are made of parts of both releases.",
    page: include_str!("../../../../../docs/doctor/N01.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::clean();
    for nginx in &facts.nginx {
        for level in nginx.fastcgi() {
            let Some(script) = nginx.param(level.id, "SCRIPT_FILENAME") else { continue };
            if overridden(nginx, level.id, "SCRIPT_FILENAME").is_some() {
                // N03 tells that, and how to put it right.
                continue;
            }
            match nginx.leads(level.id, script.arg(1)) {
                Lead::Link(through) => {
                    let what = format!(
                        "{}: PHP is handed {}, which goes through the link {}",
                        level.told(),
                        script.arg(1),
                        through.link.display()
                    );
                    let fix = fix::resolved(nginx, level, &["SCRIPT_FILENAME", "DOCUMENT_ROOT"]);
                    let mut finding = Finding::at(fix::place(nginx, script, 1), what, fix);
                    if let Some((_, root)) = nginx.levels.root(level.id) {
                        finding = finding.also("the root", root.at_arg(0));
                    }
                    verdict.findings.push(nginx.as_sure(finding, through.seen));
                }
                Lead::Unknown(mut blind) => {
                    blind.at = Some(script.at_arg(1).clone());
                    verdict.blind.push(blind);
                }
                Lead::Resolved | Lead::Pinned(_) | Lead::Fixed => {}
            }
        }
    }
    verdict
}
