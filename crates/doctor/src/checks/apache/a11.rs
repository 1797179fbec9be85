//! A11: Apache does not accept its configuration.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::asked::Asked;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A11",
    severity: Severity::Error,
    title: "Apache does not accept its configuration",
    visitor: "Nothing yet; but at the next restart Apache stays down, and a reload leaves it as it was.",
    page: include_str!("../../../../../docs/doctor/A11.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::clean();
    for apache in &facts.apache {
        match &apache.test {
            Asked::Accepted => {}
            Asked::Blind(blind) => verdict.blind.push(blind.clone()),
            Asked::Refused(said, at) => {
                let what = format!("apache2 -t refuses {}: {said}", told(&apache.config));
                let fix = "put right what it says, and ask again: apache2ctl configtest";
                let finding = at.as_ref().map(|at| Finding::at(at, what.clone(), fix));
                verdict.findings.push(finding.unwrap_or_else(|| Finding::anywhere(what, fix)));
            }
        }
    }
    verdict
}
