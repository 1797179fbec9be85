//! N19: `$realpath_root` in a header is resolved when the header is made, not when the request began.

use super::fix;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::{Nginx, value};
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N19",
    severity: Severity::Info,
    title: "a header or a log tells a release that is resolved anew",
    visitor: "The header names the new release on an answer of the old one: whoever looks for the fault is misled.",
    page: include_str!("../../../../../docs/doctor/N19.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let mut findings = Vec::new();
    for level in nginx.levels.all() {
        for header in level.all("add_header") {
            let anew = value::has(header.arg(1), "realpath_root");
            if anew && matches!(nginx.root_leads(level.id), Lead::Link(_)) {
                let what = format!("{} is made when the answer is sent, perhaps after a flip", header.arg(0));
                let text = format!("use the variable of a pinned root; {}", fix::PIN);
                findings.push(nginx.as_sure(Finding::at(header.at_arg(1), what, text), true));
            }
        }
    }
    findings
}
