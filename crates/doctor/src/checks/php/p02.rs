//! P02: realpath_cache_ttl is long, while PHP is given paths through the link.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "P02",
    severity: Severity::Warning,
    title: "links are remembered for long, and PHP gets paths with links",
    visitor: "After a flip old code is served for minutes, mixed with new code.",
    page: include_str!("../../../../../docs/doctor/P02.md"),
    look,
};

/// PHP's default, in seconds. Who has set more has done so for speed, which paths without links give as well.
const USUAL: i64 = 120;

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter_map(|php| {
        let ttl = php.ini("realpath_cache_ttl");
        let long = ttl.number().is_some_and(|seconds| seconds > USUAL);
        let on = php.ini("realpath_cache_size").number() != Some(0) && php.ini("open_basedir").value.is_empty();
        let linked = facts.linked(php).filter(|_| long && on)?;
        let why = format!(
            "for so many seconds, and once more for each directory below the link, a worker takes the link to lead where it led; {}",
            linked.seen
        );
        let finding = ttl.wrong(&why, "120");
        Some(match &linked.at {
            Some(at) => finding.also("by this line", at),
            None => finding,
        })
    });
    found.collect()
}
