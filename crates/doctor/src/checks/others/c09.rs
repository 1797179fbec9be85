//! C09: lighttpd does not accept its configuration.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::asked::Asked;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C09",
    severity: Severity::Error,
    title: "lighttpd does not accept its configuration",
    visitor: "Nothing yet; but at the next restart lighttpd stays down.",
    page: include_str!("../../../../../docs/doctor/C09.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::clean();
    for server in &facts.lighttpd {
        match &server.test {
            Asked::Accepted => {}
            Asked::Refused(said, _) => {
                let what = format!("lighttpd -tt refuses {}: {said}", told(&server.config));
                let fix = "put right what it says, and ask again: lighttpd -tt -f FILE";
                verdict.findings.push(Finding::anywhere(what, fix));
            }
            Asked::Blind(blind) => verdict.blind.push(blind.clone()),
        }
    }
    verdict
}
