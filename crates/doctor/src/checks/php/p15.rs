//! P15: opcache.use_cwd is off: scripts that are included by a relative path are kept under that path alone.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "P15",
    severity: Severity::Warning,
    title: "opcache takes relative paths of two releases for one",
    visitor: "A page may include a file of the other release.",
    page: include_str!("../../../../../docs/doctor/P15.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let keeps = facts.phps().filter(|php| php.keeps_code());
    let found = keeps.map(|php| php.ini("opcache.use_cwd")).filter(|setting| !setting.on());
    found
        .map(|setting| {
            setting.wrong(
                "`include 'lib.php'` finds what another release, or another site, compiled under that name",
                "1",
            )
        })
        .collect()
}
