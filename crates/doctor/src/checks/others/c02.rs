//! C02: Caddy decides about files through the link.

use super::{caddy, looks_at_files};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C02",
    severity: Severity::Warning,
    title: "Caddy looks at files through the link",
    visitor: "Beside a flip, some requests for what is in both releases are answered with 404.",
    page: include_str!("../../../../../docs/doctor/C02.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    caddy(facts, |handler, flipping| {
        if !looks_at_files(handler) {
            return None;
        }
        let what = format!("the root of {} leads through the link {}", handler.name, told(&flipping.link));
        let fix = "nothing in Caddy resolves the root once for a request: put cutover serve in its place, or behind it";
        // The root, not the handler: one root is looked at through one link, whoever does it.
        Some(Finding::at(&flipping.place.at, what, fix))
    })
}
