//! A15: mod_cache answers with what a release said that is not live any more.

use super::{each, linked};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::finding::{Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "A15",
    severity: Severity::Warning,
    title: "mod_cache keeps answers over a flip",
    visitor: "Cached files and pages of the old release are answered after the flip, for hours where nothing says how long.",
    page: include_str!("../../../../../docs/doctor/A15.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, judged)
}

fn judged(apache: &Apache) -> Vec<Finding> {
    let mut found = Vec::new();
    for (site, flipping) in linked(apache) {
        for seen in apache.seen(site, "cacheenable") {
            let what = format!(
                "CacheEnable {} keeps answers by their URL, whichever release gave them",
                seen.directive.word(0)
            );
            let fix = Fix::from(
                "let each release say how long its answers hold (Cache-Control), with CacheIgnoreCacheControl Off; or CacheDisable what changes with a release",
            );
            let finding =
                Finding::at(&seen.directive.at, what, fix).also("the document root", &flipping.place.at);
            found.push(flipping.weighed(finding));
        }
    }
    found
}
