//! A14: mod_file_cache keeps a file of a release open.

use super::each;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::site::{By, Mapped};
use crate::finding::{Edit, Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A14",
    severity: Severity::Error,
    title: "a file of a release is kept in memory",
    visitor: "This file stays that of the old release until Apache is restarted.",
    page: include_str!("../../../../../docs/doctor/A14.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache: &Apache| {
        let all = apache.sites().flat_map(|site| &site.mapped);
        all.filter(|mapped| mapped.by == By::Kept).filter_map(judged).collect()
    })
}

fn judged(mapped: &Mapped) -> Option<Finding> {
    let flipping = mapped.place.flipping()?;
    let what = format!("{} opens {} once, when Apache starts", mapped.directive, told(&mapped.place.path));
    let fix = Fix::from("take the line out").edit(Edit::Delete { at: mapped.at.clone() });
    Some(flipping.weighed(Finding::at(&mapped.at, what, fix)))
}
