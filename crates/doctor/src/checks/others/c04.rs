//! C04: lighttpd gives PHP paths through the link.

use super::lighttpd;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C04",
    severity: Severity::Error,
    title: "lighttpd gives PHP paths through the link",
    visitor: "A request beside a flip gets parts of two releases, and old code goes on answering for minutes.",
    page: include_str!("../../../../../docs/doctor/C04.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    lighttpd(facts, |lighttpd| {
        let found = lighttpd.roots.iter().filter_map(|root| {
            let flipping = root.place.flipping()?;
            let php = lighttpd.php(root)?;
            if php.value.any_text(&|text| facts.gateways.named_in(text)) {
                return None;
            }
            let what = format!("PHP gets paths through the link {}", told(&flipping.link));
            let fix = "lighttpd cannot resolve the root for a request: put cutover serve in its place, or behind it";
            let finding = Finding::at(&root.place.at, what, fix).also("what runs PHP", &php.at);
            Some(flipping.weighed(finding))
        });
        found.collect()
    })
}
