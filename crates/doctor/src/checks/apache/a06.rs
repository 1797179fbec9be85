//! A06: `AllowOverride` in a `<Directory>` with a regular expression says nothing.

use super::{each, linked};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::finding::{Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A06",
    severity: Severity::Warning,
    title: "AllowOverride in <Directory ~> is ignored",
    visitor: "The .htaccess files of releases are not read: no rewrites, no protection of directories.",
    page: include_str!("../../../../../docs/doctor/A06.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, judged)
}

fn judged(apache: &Apache) -> Vec<Finding> {
    let mut found = Vec::new();
    for (site, flipping) in linked(apache) {
        for seen in apache.seen(site, "allowoverride") {
            let Some(section) = seen.dir() else { continue };
            if seen.directive.says("none") || !section.is_regex() {
                continue;
            }
            let what = format!(
                "AllowOverride {} says nothing in a section with a regular expression",
                seen.directive.word(0)
            );
            let releases = told(flipping.releases());
            let fix = Fix::from(format!("write it into a plain section: <Directory {releases}>"));
            found.push(Finding::at(&seen.directive.at, what, fix).also("the section", &section.at));
        }
    }
    found
}
