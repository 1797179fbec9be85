//! A14: Apache reads a file of a release only when it starts.

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
    title: "a file of a release is read only when Apache starts",
    visitor: "What is in this file stays that of the old release until Apache is reloaded.",
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
    let what = format!("{} reads {} once, when Apache starts", mapped.directive, told(&mapped.place.path));
    let fix = if mapped.directive == "Include" {
        Fix::from(
            "keep it outside of the releases; or reload Apache after each flip: after_flip = [\"apache2ctl graceful\"]",
        )
    } else {
        Fix::from("take the line out").edit(Edit::Delete { at: mapped.at.clone() })
    };
    Some(flipping.weighed(Finding::at(&mapped.at, what, fix)))
}
