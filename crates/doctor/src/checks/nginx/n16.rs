//! N16: `non_idempotent` lets nginx repeat what must not be repeated; a deploy that ends workers makes that likely.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N16",
    severity: Severity::Warning,
    title: "a request may be sent twice",
    visitor: "An order is placed twice: a POST whose worker died is sent to the next one.",
    page: include_str!("../../../../../docs/doctor/N16.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let mut findings = Vec::new();
    for directive in nginx.levels.all().flat_map(|level| &level.own) {
        if !directive.is("fastcgi_next_upstream") && !directive.is("proxy_next_upstream") {
            continue;
        }
        let Some(word) = directive.args.iter().find(|word| &*word.text == "non_idempotent") else { continue };
        let what = "nginx sends POST, LOCK and PATCH again to the next server after an error";
        let mut fix = Fix::from("take `non_idempotent` out");
        if nginx.owned(&word.at.file) && directive.args.len() > 1 {
            let mut at = word.at.clone();
            // With the blank before it.
            at.from -= usize::from(at.text.get(..at.from).is_some_and(|before| before.ends_with(' ')));
            fix = fix.edit(Edit::Replace { at, with: String::new() });
        }
        findings.push(nginx.as_sure(Finding::at(&word.at, what, fix), true));
    }
    findings
}
