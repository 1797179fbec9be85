//! A04: mod_realdoc is stale for a second longer than `RealpathEvery` says.

use super::{each, linked, realdoc};
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::finding::{Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "A04",
    severity: Severity::Warning,
    title: "mod_realdoc goes on with the old release",
    visitor: "After a flip some requests get the new release and later ones the old one again, for seconds.",
    page: include_str!("../../../../../docs/doctor/A04.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, judged)
}

fn judged(apache: &Apache) -> Vec<Finding> {
    let Some((_, loaded)) = realdoc(apache) else { return Vec::new() };
    let found = linked(apache).filter(|(site, _)| apache.pins(site)).filter_map(|(site, flipping)| {
        let set = apache.setting(site, "realpathevery");
        let every: i64 = set.map_or(Some(0), |set| set.word(0).parse().ok())?;
        // Below nought it looks for each request.
        let late = (every >= 0).then_some(every + 1)?;
        let at = set.map_or(loaded, |set| &set.at);
        let what =
            format!("RealpathEvery {every}: each process goes on with the old release for up to {late} s");
        let fix = Fix::from("load mod_cutover in its place, which looks at the link for each request");
        Some(flipping.weighed(Finding::at(at, what, fix)))
    });
    found.collect()
}
