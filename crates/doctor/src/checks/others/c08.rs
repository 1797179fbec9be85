//! C08: Caddy does not accept its configuration.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::asked::Asked;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C08",
    severity: Severity::Error,
    title: "Caddy does not accept its configuration",
    visitor: "Nothing yet; but at the next restart Caddy stays down.",
    page: include_str!("../../../../../docs/doctor/C08.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::clean();
    for server in &facts.caddy {
        match &server.test {
            Asked::Accepted => {}
            Asked::Refused(said, _) => {
                let what = format!("caddy adapt refuses {}: {said}", told(&server.config));
                let fix =
                    "put right what it says, and ask again: caddy validate --adapter caddyfile --config FILE";
                verdict.findings.push(Finding::anywhere(what, fix));
            }
            Asked::Blind(blind) => verdict.blind.push(blind.clone()),
        }
    }
    verdict
}
